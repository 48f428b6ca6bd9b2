// SPDX-License-Identifier: Apache-2.0
//! What `mvm exec VM true` costs in a warm VM, against what cannot be had for
//! less: a bare round trip on the channel, and the guest's own fork and exec of
//! the same program. And what fifty of them at once take.
//!
//! `cargo bench --bench exec`; `MVM_BENCH_RUNS` (default 30) counts the rounds.
//! Needs scripts/fixtures, docker-registry and the guest kernel. Medians, held
//! against docs/SPECIFICATION.md.

mod support;

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use mvm::monitor::{self, ExecRequest};
use mvm::state::{Dirs, Record, VmStore};
use support::{Outcome, Registry, median, mvm};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const IMAGE: &str = "busybox:latest";
const AT_ONCE: usize = 50;
/// Promise of docs/SPECIFICATION.md.
const MAX_OVER_BARE: f64 = 3.0;

/// Forks and execs of the guest that are timed together.
const FORKS: usize = 200;

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(30), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let registry = Registry::start(home.path())?;
    let image = registry.image(IMAGE);
    let run = ["run", "-d", "-q", "--name", "box", &image, "sleep", "10000"];
    if !mvm(home.path()).args(run).stdout(Stdio::null()).status()?.success() {
        return Err(format!("{image} does not run: scripts/fixtures").into());
    }
    let outcome = measure(home.path(), rounds);
    mvm(home.path()).args(["rm", "-f", "box"]).stdout(Stdio::null()).status()?;
    outcome
}

fn measure(home: &Path, rounds: usize) -> Outcome<bool> {
    let record = VmStore::new(&Dirs::under(home)).find("box")?.record;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Warm, all of it.
    exec(home)?;
    runtime.block_on(connected(&record))?;
    let fork = fork_and_exec(home)?;
    let (mut execs, mut trips, mut inner) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        execs.push(exec(home)?);
        trips.push(runtime.block_on(round_trip(&record))?);
        inner.push(runtime.block_on(connected(&record))?);
    }
    let (exec, trip, inner) = (median(execs), median(trips), median(inner));
    let ratio = exec / (trip + fork);
    let kept = ratio <= MAX_OVER_BARE;
    println!("medians of {rounds} rounds, milliseconds\n");
    println!("mvm exec VM true                        {exec:>8.2}");
    println!("  of it without mvm's own start         {inner:>8.2}");
    println!("a round trip on the channel             {trip:>8.2}");
    println!("fork and exec in the guest              {fork:>8.2}");
    println!(
        "exec / (round trip + fork and exec)     {ratio:>8.2}   at most {MAX_OVER_BARE:.2}   {}",
        if kept { "kept" } else { "BROKEN" }
    );
    Ok(at_once(home)? && kept)
}

/// Milliseconds of the whole command.
fn exec(home: &Path) -> Outcome<f64> {
    let begun = Instant::now();
    let status = mvm(home).args(["exec", "box", "true"]).status()?;
    match status.success() {
        true => Ok(millis(begun)),
        false => Err("mvm exec failed".into()),
    }
}

/// The same from here: no process of ours has to start.
async fn connected(record: &Record) -> Outcome<f64> {
    let begun = Instant::now();
    let request =
        ExecRequest { args: vec![b"true".to_vec()], helper: false, ..ExecRequest::helper("", &[]) };
    let end = monitor::helper(record, request).await?.end().await?;
    match end.code {
        0 => Ok(millis(begun)),
        code => Err(format!("true ended with {code}").into()),
    }
}

/// A byte to a program in the guest and back, which is there already.
async fn round_trip(record: &Record) -> Outcome<f64> {
    let request =
        ExecRequest { args: vec![b"cat".to_vec()], helper: false, ..ExecRequest::helper("", &[]) };
    let mut cat = monitor::helper(record, request).await?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        cat.stdin.write_all(b"x").await?;
        cat.stdin.flush().await?;
        cat.stdout.read_u8().await?;
        times.push(millis(begun));
    }
    cat.end().await?;
    Ok(median(times))
}

/// Milliseconds of one, by the guest's clock: a shell's, without its own start.
fn fork_and_exec(home: &Path) -> Outcome<f64> {
    let script = format!(
        "n=0; read a _ </proc/uptime; while [ $n -lt {FORKS} ]; do /bin/true; n=$((n+1)); done
        read b _ </proc/uptime; echo $a $b"
    );
    let output = mvm(home).args(["exec", "box", "sh", "-c", &script]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let times: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match times[..] {
        [from, to] => Ok((to - from) * 1e3 / FORKS as f64),
        _ => Err(format!("the guest said {text:?}").into()),
    }
}

fn at_once(home: &Path) -> Outcome<bool> {
    let monitor = mvm(home).args(["inspect", "-f", "{{.State.Pid}}", "box"]).output()?;
    let monitor: u32 = String::from_utf8(monitor.stdout)?.trim().parse()?;
    let before = peak_kib(monitor)?;
    let begun = Instant::now();
    let children: Vec<_> =
        (0..AT_ONCE).map(|_| mvm(home).args(["exec", "box", "true"]).spawn()).collect();
    let mut failed = 0;
    for child in children {
        failed += usize::from(!child?.wait()?.success());
    }
    let took = millis(begun);
    // What it holds for them is let go of.
    std::thread::sleep(Duration::from_millis(200));
    println!(
        "\n{AT_ONCE} at once: {took:.0} ms, {failed} failed; the monitor's peak grew by {} KiB",
        peak_kib(monitor)?.saturating_sub(before)
    );
    Ok(failed == 0)
}

fn peak_kib(pid: u32) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
