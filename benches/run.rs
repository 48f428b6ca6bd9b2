// SPDX-License-Identifier: Apache-2.0
//! What `mvm run IMAGE true` costs beyond the boot itself, whether that grows
//! with the image, and where the time goes. Medians of ratios, each of two
//! runs one after the other, against the same machine driven by nothing but its
//! hypervisor and the channel.
//!
//! `cargo bench --bench run`; `MVM_BENCH_RUNS` (default 9) counts the rounds.
//! Needs scripts/fixtures --big, docker-registry and the guest kernel.

mod support;

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use mvm::agent::Agent;
use mvm::hypervisor::{self, LayerDisk, RootFs, VmConfig, Wish};
use mvm::image::Store;
use mvm::rootfs::upper;
use mvm::state::Dirs;
use mvm_proto::hello::Nonce;
use mvm_proto::{InitConfig, MAIN_PROCESS, MessageField, Process};
use support::{Outcome, Registry, median, mvm, phases};

const SMALL: &str = "busybox:latest";
const BIG: &str = "big:2g";
const MEMORY_MIB: u64 = 512;
/// Promises of docs/SPECIFICATION.md.
const MAX_OVER_BARE: f64 = 1.10;
const MAX_BIG_OVER_SMALL: f64 = 1.05;
const MAX_CPU_MS: f64 = 60.0;

fn main() -> ExitCode {
    // The bare VM's own runner, where libkrun hosts it.
    if std::env::args().nth(1).is_some_and(|word| word == hypervisor::libkrun::COMMAND) {
        return hypervisor::libkrun::runner();
    }
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(9), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let dirs = Dirs::under(home.path());
    let registry = Registry::start(home.path())?;
    let (small, big) = (registry.image(SMALL), registry.image(BIG));
    for image in [&small, &big] {
        let pulled = mvm(home.path()).args(["pull", "-q", image]).stdout(Stdio::null()).status()?;
        if !pulled.success() {
            return Err(format!("{image} cannot be pulled: scripts/fixtures --big").into());
        }
    }
    // Fills the caches that live as long as the host's boot.
    timed_run(home.path(), &small)?;
    let (mut runs, mut bigs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // What comes second may profit or suffer from what came first.
        if round % 2 == 0 {
            bare.push(timed_bare(&dirs, &small)?);
            runs.push(timed_run(home.path(), &small)?);
            bigs.push(timed_run(home.path(), &big)?);
        } else {
            bigs.push(timed_run(home.path(), &big)?);
            runs.push(timed_run(home.path(), &small)?);
            bare.push(timed_bare(&dirs, &small)?);
        }
    }
    Ok(print_tables(&runs, &bigs, &bare))
}

/// One `mvm run`: its time, and what it said of its phases.
struct Run {
    wall: f64,
    phases: Vec<(String, f64)>,
    guest: String,
}

fn timed_run(home: &Path, image: &str) -> Outcome<Run> {
    let begun = Instant::now();
    let output = mvm(home).args(["-v", "run", "--rm", "--pull=never", image, "true"]).output()?;
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        return Err(format!("mvm run failed: {said}").into());
    }
    let guest = said.lines().find_map(|l| l.split_once("guest clock: ")).map_or("", |(_, g)| g);
    Ok(Run { wall, phases: phases(&said), guest: guest.to_owned() })
}

/// The same kernel, initramfs and devices, driven by the hypervisor and the
/// channel alone: no command line, store, record, monitor or log.
fn timed_bare(dirs: &Dirs, image: &str) -> Outcome<f64> {
    let directory = tempfile::tempdir()?;
    let (config, init, backend) = bare_config(dirs, image, directory.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    runtime.block_on(async {
        let nonce = config.nonce();
        let lap = |what: &str| {
            if std::env::var_os("MVM_BENCH_LAPS").is_some() {
                eprintln!("bare {what} {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
            }
        };
        let mut vm = backend.backend().start(config).await?;
        lap("started");
        let channel = vm.channel().ok_or("no channel")?;
        let agent = Agent::accept(channel, nonce, Duration::from_secs(60)).await?;
        lap("booted");
        agent.configure(&init).await?;
        lap("configured");
        let process = Process {
            id: MAIN_PROCESS.into(),
            args: vec![b"true".to_vec()],
            env: vec![b"PATH=/bin:/usr/bin".to_vec()],
            ..Process::default()
        };
        agent.start(&process).await?;
        lap("running");
        let exit = agent.wait(MAIN_PROCESS).await?;
        lap("ended");
        vm.stop(Duration::ZERO).await;
        match exit.code {
            0 => Ok(begun.elapsed().as_secs_f64() * 1e3),
            code => Err(format!("the bare VM's command ended with {code}").into()),
        }
    })
}

fn bare_config(
    dirs: &Dirs,
    image: &str,
    directory: &Path,
) -> Outcome<(VmConfig, InitConfig, hypervisor::Choice)> {
    let wish = Wish::of(None, dirs)?;
    let (preflight, backend) = support::host(dirs, &wish, MEMORY_MIB)?;
    let image = Store::open(&dirs.data)?.resolve(image)?;
    let disk = directory.join("upper.img");
    upper::create(&disk, upper::DEFAULT_MIB, &dirs.data.join("uppers"))?;
    let layers = image.layers.iter().map(|layer| LayerDisk {
        path: layer.path.clone(),
        implied_dirs: layer.implied_dirs.clone(),
    });
    let rootfs =
        RootFs { layers: layers.collect(), upper: disk, read_only: false, ephemeral: true };
    // The descriptor names the layers relative to itself: beside the VMs'.
    let beside = dirs.vms().join("bench");
    std::fs::create_dir_all(&beside)?;
    let prepared = backend.backend().prepare_rootfs(&rootfs, &beside)?;
    let config = VmConfig {
        name: "bare".into(),
        vcpus: 1,
        memory_mib: MEMORY_MIB,
        disks: prepared.disks,
        shares: Vec::new(),
        guest_user: Default::default(),
        nics: Vec::new(),
        kernel: preflight.kernel.path,
        initramfs: mvm::initramfs::path(&dirs.cache)?,
        extra_arguments: Vec::new(),
        nonce: Nonce([7; 16]).to_hex(),
        data: directory.to_owned(),
        run: directory.to_owned(),
        log: directory.to_owned(),
    };
    let init = InitConfig {
        hostname: "bare".into(),
        root: MessageField::some(prepared.guest),
        ..InitConfig::default()
    };
    Ok((config, init, backend))
}

fn print_tables(runs: &[Run], bigs: &[Run], bare: &[f64]) -> bool {
    let ratios = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a / b).collect::<Vec<f64>>();
    let walls = |runs: &[Run]| runs.iter().map(|run| run.wall).collect::<Vec<f64>>();
    let over_bare = median(ratios(&walls(runs), bare));
    let over_small = median(ratios(&walls(bigs), &walls(runs)));
    let (run, big, bare) = (median(walls(runs)), median(walls(bigs)), median(bare.to_vec()));
    let phase = |name: &str| {
        median(runs.iter().filter_map(|run| find(&run.phases, name)).collect::<Vec<f64>>())
    };
    let cpu = phase("cpu mvm") + phase("cpu mon.");
    let mut kept = true;
    let mut row = |what: &str, value: f64, limit: f64, detail: String| {
        let verdict = if value <= limit { "kept" } else { "BROKEN" };
        kept &= value <= limit;
        println!("{what:<34} {value:>8.2}   at most {limit:>6.2}   {verdict:<6}   {detail}");
    };
    println!("medians of {} rounds\n", runs.len());
    row("mvm run true / bare VM", over_bare, MAX_OVER_BARE, format!("{run:.0} ms / {bare:.0} ms"));
    row(
        "2 GB image / 2 MB image",
        over_small,
        MAX_BIG_OVER_SMALL,
        format!("{big:.0} ms / {run:.0} ms"),
    );
    row("CPU time of mvm and monitor, ms", cpu, MAX_CPU_MS, "the VMM's is not in it".into());
    println!("\nphase            ms");
    let mut named = 0.0;
    for (name, _) in runs.first().map(|run| run.phases.as_slice()).unwrap_or_default() {
        let time = phase(name);
        println!("{name:<10} {time:>8.1}");
        named += if name.starts_with("cpu") { 0.0 } else { time };
    }
    println!(
        "{:<10} {:>8.1}   start of the processes, records, end of the VM",
        "the rest",
        run - named
    );
    if let Some(run) = runs.last() {
        println!("guest clock (last round): {}", run.guest);
    }
    kept
}

fn find(phases: &[(String, f64)], name: &str) -> Option<f64> {
    phases.iter().find(|(found, _)| found == name).map(|(_, time)| *time)
}
