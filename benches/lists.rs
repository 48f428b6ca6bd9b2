// SPDX-License-Identifier: Apache-2.0
//! How long `mvm ps`, `inspect` and the completion of a name take with 1,000
//! VMs, twenty of which run, and how much of that the start of mvm is. The VMs
//! are records without a machine, made as `mvm create` makes them; those that
//! run are ones whose lock this process holds. Lists are measured with the index
//! that the first of them writes: that round, and the reading of what changed
//! within the last seconds, is not what the median shows.
//!
//! `cargo bench --bench lists`; `MVM_BENCH_RUNS` (default 21) counts the rounds,
//! and `MVM_BENCH_BINARY` names another mvm.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use mvm::state::{
    Claim, Dirs, ExitRecord, ImageRecord, Phase, Record, SCHEMA, VmStore, now_ms, random_id,
};
use support::{Outcome, median, mvm};

/// Promises of docs/SPECIFICATION.md.
const MAX_LIST_MS: f64 = 10.0;
/// Of lists that print every one of them.
const MAX_WHOLE_LIST_MS: f64 = 15.0;
const MAX_COMPLETION_MS: f64 = 50.0;

const VMS: usize = 1000;
const RUNNING: usize = 20;
/// No list trusts the times of a record that is younger than two seconds.
const SETTLED: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(21), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let dirs = Dirs::under(home.path());
    let running = make(&dirs)?;
    sleep(SETTLED);
    let prefix = running[0].record.id[..12].to_owned();
    println!("{VMS} VMs, {RUNNING} of them running; medians of {rounds}, in ms");
    let mut kept = true;
    for (line, lines, limit) in [
        (&["--version"][..], 1, f64::INFINITY),
        (&["ps"], RUNNING + 1, MAX_LIST_MS),
        (&["ps", "-a"], VMS + 1, MAX_WHOLE_LIST_MS),
        (&["ps", "-a", "--format", "json"], VMS, MAX_WHOLE_LIST_MS),
        (&["ps", "-aq", "--filter", "status=exited"], VMS - RUNNING, MAX_WHOLE_LIST_MS),
        (&["inspect", "vm500", "--format", "{{.Name}}"], 1, MAX_LIST_MS),
        (&["inspect", &prefix, "--format", "{{.Name}}"], 1, MAX_LIST_MS),
        (&["__complete", "3", "mvm", "start", "vm"], VMS - RUNNING + 1, MAX_COMPLETION_MS),
    ] {
        kept &= measure(home.path(), line, lines, limit, rounds)?;
    }
    Ok(kept)
}

fn measure(home: &Path, line: &[&str], lines: usize, limit: f64, rounds: usize) -> Outcome<bool> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let output = mvm(home).args(line).output()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let printed = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
        if !output.status.success() || printed != lines {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{line:?}: {printed} lines, not {lines}; {said}").into());
        }
    }
    let time = median(times);
    let kept = time <= limit;
    let word = if kept { "kept" } else { "BROKEN" };
    let limit =
        if limit.is_finite() { format!("limit {limit:.0}   {word}") } else { String::new() };
    println!("  {:<44}{time:>7.2}   {limit}", line.join(" "));
    Ok(kept)
}

/// The claims are those of the VMs that run.
fn make(dirs: &Dirs) -> Outcome<Vec<Claim>> {
    let store = VmStore::new(dirs);
    let mut running = Vec::new();
    for number in 0..VMS {
        let runs = number % (VMS / RUNNING) == 0;
        let mut claim = store.create(record(dirs, number)?).map_err(|e| e.message)?;
        claim.record.phase = if runs { Phase::Running } else { Phase::Exited };
        let exit = ExitRecord {
            code: 0,
            signal: None,
            oom_killed: false,
            finished_ms: now_ms(),
            error: None,
        };
        claim.record.exit = (!runs).then_some(exit);
        claim.save().map_err(|e| e.message)?;
        running.extend(runs.then_some(claim));
    }
    Ok(running)
}

fn record(dirs: &Dirs, number: usize) -> Outcome<Record> {
    let layer = |at: usize| dirs.data.join("layers/erofs-1").join(format!("{at:064x}.img"));
    Ok(Record {
        schema: SCHEMA,
        id: random_id().map_err(|e| e.message)?,
        name: format!("vm{number}"),
        created_ms: now_ms(),
        image: ImageRecord {
            reference: "registry.example/team/application:1.2.3".into(),
            id: format!("sha256:{number:064x}"),
            manifest_digest: format!("sha256:{number:064x}"),
            layers: (0..5).map(layer).collect(),
        },
        command: ["/usr/sbin/nginx", "-g", "daemon off;"].map(str::to_owned).into(),
        backend: "libkrun".into(),
        vcpus: 2,
        memory_mib: 512,
        network: "none".into(),
        auto_remove: false,
        labels: BTreeMap::from([
            ("org.opencontainers.image.source".into(), "https://registry.example/x".into()),
            ("org.opencontainers.image.version".into(), "1.2.3".into()),
        ]),
        unlogged: false,
        has_disk: false,
        user: String::new(),
        phase: Phase::Creating,
        started_ms: Some(now_ms()),
        exit: None,
        dirs: dirs.clone(),
        monitor_pid: Some(1),
        other: serde_json::Map::new(),
    })
}
