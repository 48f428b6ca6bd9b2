// SPDX-License-Identifier: Apache-2.0
//! What `mvm run IMAGE true` costs on libkrun over a program that does nothing
//! but boot the same kernel and initramfs with it and speak with the guest, and
//! what memory the processes of a VM hold on the host beyond the guest's RAM.
//!
//! `cargo bench --bench libkrun` where KVM runs guests; else `tests/lab/bench`,
//! which runs it on a machine with an emulated KVM. `MVM_BENCH_RUNS` (default
//! 5) counts the rounds; `MVM_BENCH_HOME` and `MVM_BENCH_IMAGE` name a home
//! with an image that is pulled already.

mod support;

use std::fs;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use mvm::agent::Agent;
use mvm::hypervisor::{Backend, Channel, LayerDisk, RootFs, libkrun::Libkrun};
use mvm::image::Store;
use mvm::preflight::{self, Environment, Places, QemuNeed, Requirements};
use mvm::rootfs::upper;
use mvm::state::Dirs;
use mvm_proto::hello::Nonce;
use mvm_proto::{InitConfig, MAIN_PROCESS, MessageField, Process, VSOCK_PORT};
use mvm_runner::{Config, Disk, DiskFormat, Machine, VsockPort};
use protobuf::Message;
use support::{Outcome, Registry, ended, median, mvm, phases};

/// First argument of this program as the minimal program: a program that is
/// started for each boot, as `mvm run` is.
const MINIMAL: &str = "__minimal";
/// First argument of this program as the minimal program's runner.
const RUNNER: &str = "__minimal_runner";
const MEMORY_MIB: u32 = 512;
/// Rounds that tell of their phases.
const PHASED: usize = 3;
/// Promises of docs/SPECIFICATION.md.
const MAX_OVER_MINIMAL: f64 = 1.10;
const MAX_RSS_MIB: f64 = 20.0;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(RUNNER) => {
            let unconfined = |()| Ok(());
            eprintln!("{}", mvm_runner::main(unconfined));
            return ExitCode::FAILURE;
        }
        Some(MINIMAL) => return ended(Minimal::run().map(|()| true)),
        _ => {}
    }
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(5), |n| n.parse())?;
    let temporary = tempfile::tempdir()?;
    let home = std::env::var_os("MVM_BENCH_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| temporary.path().to_owned());
    let mut registry = None;
    let image = match std::env::var("MVM_BENCH_IMAGE") {
        Ok(image) => image,
        Err(_) => pulled(&home, registry.insert(Registry::start(temporary.path())?))?,
    };
    let minimal = Minimal::prepare(&Dirs::under(&home), &image, temporary.path())?;
    // Fills the caches that live as long as the host's boot.
    timed_run(&home, &image, &[])?;
    let (mut runs, mut bare) = (Vec::<Run>::new(), Vec::<Run>::new());
    for round in 0..rounds {
        // What comes second may profit or suffer from what came first.
        if round % 2 == 0 {
            bare.push(minimal.timed(&[])?);
            runs.push(timed_run(&home, &image, &[])?);
        } else {
            runs.push(timed_run(&home, &image, &[])?);
            bare.push(minimal.timed(&[])?);
        }
    }
    let over = median(runs.iter().zip(&bare).map(|(run, bare)| run.wall / bare.wall).collect());
    let wall = |runs: &[Run]| median(runs.iter().map(|run| run.wall).collect());
    let (run, bare_wall) = (wall(&runs), wall(&bare));
    println!("medians of {rounds} rounds");
    let kept = over <= MAX_OVER_MINIMAL;
    println!(
        "mvm run true / minimal program {over:>6.2}   at most {MAX_OVER_MINIMAL:.2}   {:<6}   \
         {run:.0} ms / {bare_wall:.0} ms",
        if kept { "kept" } else { "BROKEN" },
    );
    let (mut runs, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..PHASED {
        runs.push(timed_run(&home, &image, &["-v"])?);
        bare.push(minimal.timed(&["-v"])?);
    }
    println!("\nphases, ms: mvm run / minimal program, medians of {PHASED}");
    for (name, _) in runs.first().map(|run| run.phases.as_slice()).unwrap_or_default() {
        match phase(&bare, name) {
            Some(bare) => {
                println!("{name:<10} {:>8.1} {bare:>8.1}", phase(&runs, name).unwrap_or(0.0))
            }
            None => println!("{name:<10} {:>8.1}", phase(&runs, name).unwrap_or(0.0)),
        }
    }
    Ok(memory(&home, &image)? && kept)
}

fn pulled(home: &Path, registry: &Registry) -> Outcome<String> {
    let image = registry.image("busybox:latest");
    let done = mvm(home).args(["pull", "-q", &image]).stdout(Stdio::null()).status()?;
    if done.success() { Ok(image) } else { Err(format!("{image} cannot be pulled").into()) }
}

/// One run, in milliseconds: the whole of it, or the phases it told of, which
/// take time to tell.
struct Run {
    wall: f64,
    phases: Vec<(String, f64)>,
}

/// The median of a phase.
fn phase(runs: &[Run], name: &str) -> Option<f64> {
    let find = |run: &Run| run.phases.iter().find(|(found, _)| found == name).map(|(_, ms)| *ms);
    let found: Vec<f64> = runs.iter().filter_map(find).collect();
    (!found.is_empty()).then(|| median(found))
}

fn timed_run(home: &Path, image: &str, told: &[&str]) -> Outcome<Run> {
    let begun = Instant::now();
    let output = mvm(home)
        .args(told)
        .args(["run", "--backend=libkrun", "--rm", "--pull=never", image, "true"])
        .output()?;
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    match output.status.success() {
        true => Ok(Run { wall, phases: phases(&String::from_utf8_lossy(&output.stderr)) }),
        false => Err(format!("mvm run: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// libkrun, a socket, the agent's protocol, and nothing else: not confined, not
/// recorded, nothing checked.
struct Minimal {
    directory: PathBuf,
}

const NONCE: Nonce = Nonce([7; 16]);
/// What the minimal program finds in its directory, and makes there.
const MACHINE: &str = "machine.json";
const INIT: &str = "init.pb";
const SOCKET: &str = "agent.sock";

impl Minimal {
    fn prepare(dirs: &Dirs, image: &str, directory: &Path) -> Outcome<Self> {
        let requirements = Requirements {
            ram_mib: MEMORY_MIB.into(),
            vcpus: 1,
            max_vcpus: 1,
            qemu: QemuNeed::Never,
            kernel: None,
            environment: Environment::of_process(),
        };
        let places = Places { data: &dirs.data, cache: &dirs.cache, runtime: &dirs.runtime };
        let preflight = preflight::check(&requirements, places)?;
        let image = Store::open(&dirs.data)?.resolve(image)?;
        let layers = image.layers.iter().map(|layer| LayerDisk {
            path: layer.path.clone(),
            implied_dirs: layer.implied_dirs.clone(),
        });
        let rootfs = RootFs {
            layers: layers.collect(),
            upper: directory.join("upper.img"),
            read_only: false,
            ephemeral: true,
        };
        upper::create(&rootfs.upper, upper::DEFAULT_MIB, &dirs.data.join("uppers"))?;
        // The descriptor names the layers relative to itself: beside the VMs'.
        let beside = dirs.vms().join("bench");
        fs::create_dir_all(&beside)?;
        let prepared = Libkrun {}.prepare_rootfs(&rootfs, &beside)?;
        let disks = prepared.disks.iter().map(|disk| Disk {
            serial: disk.serial.clone(),
            path: disk.path.clone(),
            format: match disk.format {
                mvm::hypervisor::DiskFormat::Raw => DiskFormat::Raw,
                mvm::hypervisor::DiskFormat::Vmdk => DiskFormat::Vmdk,
            },
            read_only: disk.read_only,
            durable: false,
        });
        let machine = Machine {
            vcpus: 1,
            memory_mib: MEMORY_MIB,
            kernel: preflight.kernel.path,
            initramfs: mvm::initramfs::path(&dirs.cache)?,
            command_line: format!(
                "{} {}=vsock {}={}",
                mvm::hypervisor::libkrun::kernel_words(1),
                mvm_proto::CHANNEL_ARGUMENT,
                mvm_proto::NONCE_ARGUMENT,
                NONCE.to_hex()
            ),
            disks: disks.collect(),
            shares: Vec::new(),
            nics: Vec::new(),
            vsock: vec![VsockPort { port: VSOCK_PORT, path: SOCKET.into() }],
            serial: 0,
        };
        let init = InitConfig {
            hostname: "minimal".into(),
            root: MessageField::some(prepared.guest),
            ..InitConfig::default()
        };
        fs::write(directory.join(MACHINE), serde_json::to_vec(&machine)?)?;
        fs::write(directory.join(INIT), init.write_to_bytes()?)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// One boot, one `true`, in a process of its own.
    fn timed(&self, told: &[&str]) -> Outcome<Run> {
        let directory = &self.directory;
        let _ = fs::remove_file(directory.join(SOCKET));
        let begun = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .arg(MINIMAL)
            .args(told)
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()?;
        let wall = begun.elapsed().as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(Run { wall, phases: phases(&said) }),
            false => Err(format!("the minimal program: {said}").into()),
        }
    }

    /// The minimal program, in the directory that `prepare` filled.
    fn run() -> Outcome {
        let begun = Instant::now();
        let listener = StdListener::bind(SOCKET)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serial = fs::File::create("console")?;
        // A descriptor that stays open across the start of the child.
        let serial = rustix::io::fcntl_dupfd_cloexec(&serial, 10)?;
        rustix::io::fcntl_setfd(&serial, rustix::io::FdFlags::empty())?;
        let mut machine: Machine = serde_json::from_slice(&fs::read(MACHINE)?)?;
        machine.serial = std::os::fd::AsRawFd::as_raw_fd(&serial);
        let init = InitConfig::parse_from_bytes(&fs::read(INIT)?)?;
        let mut child =
            Command::new(std::env::current_exe()?).arg(RUNNER).stdin(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        serde_json::to_writer(&input, &Config { machine, policy: () })?;
        drop(input);
        let outcome = runtime.block_on(async {
            Self::speak(&init, tokio::net::UnixListener::from_std(listener)?, begun).await
        });
        // The run is over when the VM is gone, here as there.
        child.kill()?;
        child.wait()?;
        outcome
    }

    async fn speak(
        init: &InitConfig,
        listener: tokio::net::UnixListener,
        begun: Instant,
    ) -> Outcome {
        let mut last = begun;
        let verbose = std::env::args().any(|argument| argument == "-v");
        // As `mvm -v` says it.
        let mut lap = |name: &str| {
            if !verbose {
                return;
            }
            eprintln!("INFO {name} {:.1} ms", last.elapsed().as_secs_f64() * 1e3);
            last = Instant::now();
        };
        let dialing = Box::pin(async move {
            let (connection, _) = listener.accept().await?;
            Ok(Box::new(connection) as Box<dyn Channel>)
        });
        let agent = Agent::accept(dialing, NONCE, Duration::from_secs(120)).await?;
        lap("boot");
        agent.configure(init).await?;
        lap("configure");
        let process = Process {
            id: MAIN_PROCESS.into(),
            args: vec![b"true".to_vec()],
            env: vec![b"PATH=/bin:/usr/bin".to_vec()],
            ..Process::default()
        };
        agent.start(&process).await?;
        lap("exec");
        let code = agent.wait(MAIN_PROCESS).await?.code;
        lap("command");
        match code {
            0 => Ok(()),
            code => Err(format!("the minimal VM's command ended with {code}").into()),
        }
    }
}

/// What the monitor and the runner of a VM hold while its command waits.
fn memory(home: &Path, image: &str) -> Outcome<bool> {
    let mut running = mvm(home)
        .args(["run", "--backend=libkrun", "--rm", "--pull=never", image])
        .args(["sh", "-c", "echo up; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = running.stdout.take().ok_or("no stdout")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    // What the boot leaves behind in passing is given back by then.
    std::thread::sleep(Duration::from_secs(2));
    let mut total = 0.0;
    println!(
        "\nresident, MiB     text  libraries   heap and other   stacks   guest RAM (not counted)"
    );
    for (name, word) in [("monitor", "__monitor"), ("runner", "__runner")] {
        let held = Held::of(word)?;
        total += held.own();
        println!(
            "{name:<14} {:>7.1} {:>10.1} {:>16.1} {:>8.1} {:>11.1}",
            held.program, held.libraries, held.other, held.stacks, held.guest
        );
    }
    running.kill()?;
    running.wait()?;
    // `mvm` was killed; its VM goes on without it.
    let ids = mvm(home).args(["ps", "-q"]).output()?;
    let ids = String::from_utf8(ids.stdout)?;
    mvm(home).args(["rm", "-f"]).args(ids.split_whitespace()).stdout(Stdio::null()).status()?;
    let kept = total <= MAX_RSS_MIB;
    let verdict = if kept { "kept" } else { "BROKEN" };
    println!("together {total:.1} MiB beyond guest RAM   at most {MAX_RSS_MIB:.0}   {verdict}");
    Ok(kept)
}

/// Resident memory of a process, in MiB, by what it is.
#[derive(Default)]
struct Held {
    program: f64,
    libraries: f64,
    other: f64,
    stacks: f64,
    guest: f64,
}

impl Held {
    fn own(&self) -> f64 {
        self.program + self.libraries + self.other + self.stacks
    }

    /// Of the process whose second argument is `word`.
    fn of(word: &str) -> Outcome<Self> {
        for entry in fs::read_dir("/proc")?.flatten() {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if command.split(|&b| b == 0).nth(1) == Some(word.as_bytes()) {
                return Ok(Self::parse(&fs::read_to_string(entry.path().join("smaps"))?));
            }
        }
        Err(format!("no process {word}").into())
    }

    /// proc_pid_smaps(5).
    fn parse(smaps: &str) -> Self {
        let mut held = Self::default();
        let (mut name, mut size) = (String::new(), 0.0);
        for line in smaps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            let kib = || line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
            match first {
                "Size:" => size = kib().unwrap_or(0.0) / 1024.0,
                "Rss:" => held.add(&name, size, kib().unwrap_or(0.0) / 1024.0),
                _ if !first.ends_with(':') => name = words.nth(4).unwrap_or_default().to_owned(),
                _ => {}
            }
        }
        held
    }

    fn add(&mut self, name: &str, size: f64, resident: f64) {
        let place = match name {
            _ if size >= 64.0 && resident > 0.0 && !name.starts_with("/usr") => &mut self.guest,
            name if name.contains("mvm") => &mut self.program,
            name if name.contains(".so") => &mut self.libraries,
            name if name.contains("stack") => &mut self.stacks,
            _ => &mut self.other,
        };
        *place += resident;
    }
}
