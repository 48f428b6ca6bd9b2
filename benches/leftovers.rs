// SPDX-License-Identifier: Apache-2.0
//! What short VMs leave behind, which is nothing; and what a monitor costs
//! while its VM idles.
//!
//! `cargo bench --bench leftovers`; `MVM_BENCH_RUNS` (default 100) counts the
//! VMs. Linux only: it looks in /proc. Needs docker-registry, the test images
//! and the guest kernel.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use support::{Outcome, Registry, median, mvm};

/// Promises of docs/SPECIFICATION.md.
const MAX_MONITOR_MIB: f64 = 10.0;
const MAX_IDLE_CPU_MS: f64 = 0.0;
/// What the kernel may keep of so many VMs for itself.
const MAX_MEMORY_MIB: f64 = 64.0;
/// How long an idle monitor is watched.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    if !cfg!(target_os = "linux") {
        return Err("it looks in /proc: Linux only".into());
    }
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(100), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let registry = Registry::start(home.path())?;
    let image = registry.image("busybox:latest");
    // Fills caches, and makes what stays: image, templates, probe results.
    run(home.path(), &["run", "--rm", &image, "true"])?;
    let kept = leavings(home.path());
    let memory = kept_mib()?;
    let begun = Instant::now();
    let mut took = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        run(home.path(), &["run", "--rm", &image, "true"])?;
        took.push(begun.elapsed().as_secs_f64());
    }
    println!(
        "{rounds} VMs in {:.0} s, median {:.2} s",
        begun.elapsed().as_secs_f64(),
        median(took)
    );
    let mut good = true;
    let left = settled(home.path(), &kept);
    for name in left.difference(&kept) {
        println!("left: {name}");
        good = false;
    }
    let grown = kept_mib()? - memory;
    good &= limit("memory of no process that did not come back, MiB", grown, MAX_MEMORY_MIB);
    good &= idle(home.path(), &image)?;
    Ok(good)
}

/// A VM that does nothing, and what its monitor does meanwhile.
fn idle(home: &Path, image: &str) -> Outcome<bool> {
    run(home, &["run", "-d", "--name", "idle", image, "sleep", "1000"])?;
    let pid = processes(home).into_iter().find(|(_, line)| line.contains("__monitor"));
    let (pid, _) = pid.ok_or("no monitor")?;
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu_ms(pid)?;
    std::thread::sleep(IDLE);
    let cpu = cpu_ms(pid)? - before;
    let resident = status_mib(pid, "VmRSS:")?;
    run(home, &["rm", "-f", "idle"])?;
    let good = limit("resident memory of an idle VM's monitor, MiB", resident, MAX_MONITOR_MIB);
    Ok(limit("its CPU time in 10 s, ms", cpu, MAX_IDLE_CPU_MS) && good)
}

fn limit(what: &str, value: f64, most: f64) -> bool {
    let good = value <= most;
    println!("{what}: {value:.1}, at most {most:.0}{}", if good { "" } else { ": BROKEN" });
    good
}

fn run(home: &Path, args: &[&str]) -> Outcome {
    let output = mvm(home).args(args).stderr(Stdio::piped()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// What there is, once what ends has ended.
fn settled(home: &Path, kept: &BTreeSet<String>) -> BTreeSet<String> {
    let begun = Instant::now();
    loop {
        let left = leavings(home);
        if left.is_subset(kept) || begun.elapsed() > Duration::from_secs(20) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Everything that a VM could leave: processes, files, sockets, mounts, shared
/// memory, control groups, network interfaces.
fn leavings(home: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    all.extend(processes(home).into_iter().map(|(pid, line)| format!("process {pid}: {line}")));
    walk(home, &mut all);
    let named = |path: &Path, prefix: &str| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let ours = names.filter(|name| name.starts_with(prefix));
        ours.map(|name| path.join(name).display().to_string()).collect()
    };
    for (path, prefix) in
        [("/tmp", "mvm"), ("/tmp", "qemu"), ("/dev/shm", ""), ("/sys/class/net", "")]
    {
        all.extend(named(Path::new(path), prefix));
    }
    let home = home.display().to_string();
    for table in ["/proc/self/mounts", "/proc/net/unix"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        all.extend(text.lines().filter(|line| line.contains(&home)).map(str::to_owned));
    }
    let groups = fs::read_to_string("/proc/cgroups").unwrap_or_default();
    all.extend(groups.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("control groups of {}: {}", words.next()?, words.nth(1)?))
    }));
    all
}

fn walk(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        // The registry's own.
        if path.ends_with("registry") {
            continue;
        }
        all.insert(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, all);
        }
    }
}

/// Processes that name the home, but the registry.
fn processes(home: &Path) -> Vec<(u32, String)> {
    let home = home.as_os_str().as_encoded_bytes();
    let names = |bytes: &[u8]| bytes.windows(home.len()).any(|window| window == home);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let text = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = (names(&line) || names(&environment)) && !text.contains("registry serve");
        ours.then_some((pid, text))
    });
    found.collect()
}

/// Memory that is no process's and no cache: files in memory, and the kernel's
/// own.
fn kept_mib() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    Ok(field_mib(&text, "Shmem:")? + field_mib(&text, "SUnreclaim:")?)
}

fn status_mib(pid: u32, field: &str) -> Outcome<f64> {
    field_mib(&fs::read_to_string(format!("/proc/{pid}/status"))?, field)
}

fn field_mib(text: &str, field: &str) -> Outcome<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// CPU time of a process so far; in steps of a tick, which is 10 ms.
fn cpu_ms(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit_once(')').ok_or("no stat")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    // utime and stime are the 14th and the 15th.
    Ok((ticks(11).ok_or("no time")? + ticks(12).ok_or("no time")?) * 10.0)
}
