// SPDX-License-Identifier: Apache-2.0
//! What SSH costs over `mvm exec`, in a warm VM: a session from its start to its
//! end with `true` in it, by mvm's own client and by OpenSSH's; and how fast
//! bytes come and go.
//!
//! `cargo bench --bench ssh`; `MVM_BENCH_RUNS` (default 15) counts the rounds.
//! Needs scripts/fixtures, docker-registry, OpenSSH's client, QEMU and the guest
//! kernel. Prints medians; nothing is promised of them.

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use support::{Outcome, Registry, median, mvm};

const IMAGE: &str = "busybox:latest";
const VM: &str = "bench";
/// MiB of a transfer.
const LARGE: usize = 32;

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(15), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let registry = Registry::start(home.path())?;
    let image = registry.image(IMAGE);
    let run = ["run", "-d", "-q", "--name", VM, &image, "sleep", "100000"];
    ended_well(mvm(home.path()).args(run))?;
    let measured = measure(home.path(), rounds);
    ended_well(mvm(home.path()).args(["rm", "-f", VM]))?;
    measured.map(|()| true)
}

fn ended_well(command: &mut Command) -> Outcome<()> {
    let status = command.stdout(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {status}").into()),
    }
}

/// How a command gets into the VM.
type Way<'a> = (&'a str, Line<'a>);
type Line<'a> = Box<dyn Fn(&[&str]) -> Command + 'a>;

fn measure(home: &Path, rounds: usize) -> Outcome<()> {
    let config = home.join("ssh_config");
    let block = mvm(home).args(["ssh-config", VM]).output()?.stdout;
    std::fs::write(&config, block)?;
    let of = |head: &'static [&'static str]| -> Line {
        Box::new(move |words| {
            let mut command = mvm(home);
            command.args(head).arg(VM).args(words);
            command
        })
    };
    let openssh = |words: &[&str]| {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&config).arg(VM).args(words);
        command
    };
    let ways: [Way; 3] = [
        ("mvm exec", of(&["exec", "-i"])),
        ("mvm ssh", of(&["ssh"])),
        ("OpenSSH", Box::new(openssh)),
    ];
    let count = (LARGE << 20).to_string();
    println!("medians of {rounds} rounds; ssh runs commands with a shell, and exec without\n");
    println!(
        "{:10} {:>10} {:>8} {:>12} {:>12}",
        "", "true, ms", "÷ exec", "out, MiB/s", "in, MiB/s"
    );
    let mut times = vec![Vec::new(); ways.len()];
    let mut rates = vec![(Vec::new(), Vec::new()); ways.len()];
    for _ in 0..rounds {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            times.push(took(&mut way(&["true"]), None)? * 1000.0);
        }
    }
    for _ in 0..rounds.div_ceil(5) {
        for ((_, way), (out, inward)) in ways.iter().zip(&mut rates) {
            out.push(LARGE as f64 / took(&mut way(&["head", "-c", &count, "/dev/zero"]), None)?);
            let zeros = Some(LARGE << 20);
            inward.push(LARGE as f64 / took(&mut way(&["wc", "-c"]), zeros)?);
        }
    }
    let exec = median(times[0].clone());
    for (((name, _), times), (out, inward)) in ways.iter().zip(times).zip(rates) {
        let time = median(times);
        let (out, inward) = (median(out), median(inward));
        println!("{name:10} {time:10.1} {:8.2} {out:12.1} {inward:12.1}", time / exec);
    }
    Ok(())
}

/// Seconds from start to end. `bytes` zeros are on its stdin.
fn took(command: &mut Command, bytes: Option<usize>) -> Outcome<f64> {
    let begun = Instant::now();
    command.stdout(Stdio::null());
    let status = match bytes {
        None => command.stdin(Stdio::null()).status()?,
        Some(count) => {
            let mut child = command.stdin(Stdio::piped()).spawn()?;
            let mut input = child.stdin.take().ok_or("no pipe")?;
            std::io::copy(&mut std::io::Read::take(std::io::repeat(0), count as u64), &mut input)?;
            drop(input);
            child.wait()?
        }
    };
    match status.success() {
        true => Ok(begun.elapsed().as_secs_f64()),
        false => Err(format!("{command:?}: {status}").into()),
    }
}
