// SPDX-License-Identifier: Apache-2.0
//! `mvm cp` of a large file, both ways, over what the same channel carries: a command in the VM
//! that writes as much to its stdout, or reads it from its stdin, through `mvm exec`. The VM's
//! file is on a file system in memory; on its disk it is measured beside that.
//!
//! MVM_BENCH_MIB: how large (default 1024); MVM_BENCH_RUNS: how many rounds (default 3).

mod support;

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use support::{Outcome, Registry, median, mvm};

const IMAGE: &str = "busybox";
/// What `docs/SPECIFICATION.md` promises.
const MIN: f64 = 0.80;

/// What is measured, over which of the first two, and what is promised of it.
const MEASURES: [(&str, usize, f64); 6] = [
    ("channel, out of the VM", 0, 0.0),
    ("channel, into the VM", 1, 0.0),
    ("cp out of memory", 0, MIN),
    ("cp into memory", 1, MIN),
    ("cp out of the disk", 0, 0.0),
    ("cp into the disk", 1, 0.0),
];

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let number = |name: &str, default| std::env::var(name).ok().map_or(Ok(default), |n| n.parse());
    let (mib, rounds) = (number("MVM_BENCH_MIB", 1024)?, number("MVM_BENCH_RUNS", 3)?);
    let home = tempfile::tempdir()?;
    // A disk of the host that is slow is not what is measured.
    let memory = Path::new("/dev/shm");
    let place = match memory.is_dir() {
        true => tempfile::tempdir_in(memory)?,
        false => tempfile::tempdir()?,
    };
    let registry = Registry::start(home.path())?;
    let image = registry.image(IMAGE);
    let tmpfs = format!("/m:size={}m", mib + 64);
    let ram = format!("{}m", mib + mib / 2 + 512);
    let run = ["run", "-dq", "--name", "vm", "-m", &ram, "--tmpfs", &tmpfs, &image];
    succeed(mvm(home.path()).args(run).args(["sleep", "1000000"]))?;
    let outcome = measure(home.path(), place.path(), mib, rounds);
    succeed(mvm(home.path()).args(["rm", "-f", "vm"]))?;
    outcome
}

fn measure(home: &Path, place: &Path, mib: usize, rounds: usize) -> Outcome<bool> {
    let (there, back) = (place.join("there"), place.join("back"));
    let mut file = File::create(&there)?;
    // No holes, which cp would leave out.
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b'x'), (mib as u64) << 20), &mut file)?;
    let mut all = Vec::new();
    for _ in 0..rounds {
        let exec = |script: &str| {
            let mut command = mvm(home);
            command.args(["exec", "-i", "vm", "sh", "-c", script]).stdout(Stdio::null());
            command
        };
        let rate = |command: &mut Command| -> Outcome<f64> {
            let begun = Instant::now();
            succeed(command)?;
            Ok(mib as f64 / begun.elapsed().as_secs_f64())
        };
        let blocks = mib * 16;
        let out = rate(&mut exec(&format!("dd if=/dev/zero bs=64k count={blocks} 2>/dev/null")))?;
        let into = rate(exec("dd of=/dev/null bs=64k 2>/dev/null").stdin(File::open(&there)?))?;
        let mut rates = vec![out, into];
        for directory in ["/m", "/"] {
            let in_vm = format!("vm:{}/file", directory.trim_end_matches('/'));
            let into = rate(mvm(home).arg("cp").arg(&there).arg(&in_vm))?;
            // What the guest has still to write would slow down what comes next.
            succeed(&mut exec("sync"))?;
            let out = rate(mvm(home).args(["cp", &in_vm]).arg(&back))?;
            std::fs::remove_file(&back)?;
            succeed(&mut exec(&format!("rm {directory}/file; sync")))?;
            rates.extend([out, into]);
        }
        all.push(rates);
    }
    println!("{mib} MiB, medians of {rounds} rounds: MiB/s, and over the channel's\n");
    let mut kept = true;
    for (index, (what, over, least)) in MEASURES.into_iter().enumerate() {
        let rate = median(all.iter().map(|rates| rates[index]).collect());
        let ratio = median(all.iter().map(|rates| rates[index] / rates[over]).collect());
        let verdict = match (ratio >= least, least > 0.0) {
            (_, false) => "",
            (true, true) => "kept",
            (false, true) => "BROKEN",
        };
        println!("{what:<24} {rate:>8.0} {ratio:>8.2}   {verdict}");
        kept &= ratio >= least;
    }
    Ok(kept)
}

fn succeed(command: &mut Command) -> Outcome {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed").into()),
    }
}
