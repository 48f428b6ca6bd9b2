// SPDX-License-Identifier: Apache-2.0
//! How fast bytes pass between a command on the host and the workload, and
//! between the workload and a volume, against the same machine with nothing in
//! it but a shell on the bare virtio-serial port and the 9p mount; and what a
//! monitor costs while its VM does nothing. On the bare port bytes go through a
//! pipe and a program that copies, as they must where there is more than one
//! stream; what the port carries without is printed, too.
//!
//! `cargo bench --bench streams`; `MVM_BENCH_RUNS` (default 5) counts the
//! rounds, each of them two boots. Needs scripts/fixtures, docker-registry, QEMU
//! and the guest kernel. A median of ratios, each of two sessions one after the
//! other, is held against docs/SPECIFICATION.md.

#[path = "support/bare.rs"]
mod bare;
mod support;

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use mvm::hypervisor::VmHandle;
use support::{Outcome, Registry, median, mvm};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

const IMAGE: &str = "busybox:latest";
const BLOCK: usize = 64 << 10;
const MIB: usize = 1 << 20;
/// Bytes of a large transfer.
const LARGE: usize = 128 * MIB;
const SMALL_FILES: usize = 400;
/// Promises of docs/SPECIFICATION.md.
const MIN_OF_STREAM: f64 = 0.25;
const MIN_OF_VOLUME: f64 = 0.80;
const MAX_IDLE_MIB: f64 = 10.0;
const IDLE: Duration = Duration::from_secs(10);

/// What is measured, in this order, and how much of the peer's rate is enough.
const MEASURES: [(&str, f64); 8] = [
    ("stdout", MIN_OF_STREAM),
    ("stdin", MIN_OF_STREAM),
    ("stdout, port without a pipe", 0.0),
    ("stdin, port without a pipe", 0.0),
    ("volume, read a large file", MIN_OF_VOLUME),
    ("volume, write a large file", MIN_OF_VOLUME),
    ("volume, read small files", MIN_OF_VOLUME),
    ("volume, write small files", MIN_OF_VOLUME),
];
/// A copy behind or before a pipe.
const COPY: &str = "dd bs=64k 2>/dev/null";
/// Per second: MiB, and of the last two files.
type Rates = [f64; MEASURES.len()];

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(5), |n| n.parse())?;
    let home = tempfile::tempdir()?;
    let registry = Registry::start(home.path())?;
    let image = registry.image(IMAGE);
    let pulled = mvm(home.path()).args(["pull", "-q", &image]).stdout(Stdio::null()).status()?;
    if !pulled.success() {
        return Err(format!("{image} cannot be pulled: scripts/fixtures").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let initramfs = bare::initramfs(home.path(), &image)?;
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // What comes second may profit or suffer from what came first.
        if round % 2 == 0 {
            bares.push(runtime.block_on(bare_session(home.path(), &initramfs))?);
            ours.push(runtime.block_on(our_session(home.path(), &image))?);
        } else {
            ours.push(runtime.block_on(our_session(home.path(), &image))?);
            bares.push(runtime.block_on(bare_session(home.path(), &initramfs))?);
        }
    }
    println!("medians of {rounds} rounds, per second: MiB, or small files\n");
    let mut kept = true;
    for (index, (what, least)) in MEASURES.into_iter().enumerate() {
        let of = |rates: &[Rates]| median(rates.iter().map(|rates| rates[index]).collect());
        let ratios = ours.iter().zip(&bares).map(|(ours, bare)| ours[index] / bare[index]);
        let detail = format!("{:.0} / {:.0}", of(&ours), of(&bares));
        kept &= row(what, median(ratios.collect()), least, &detail);
    }
    Ok(idle(home.path(), &image)? && kept)
}

fn row(what: &str, ratio: f64, least: f64, detail: &str) -> bool {
    let kept = ratio >= least;
    let verdict = if kept { "kept" } else { "BROKEN" };
    println!("{what:<28} {ratio:>6.2}   at least {least:>5.2}   {verdict:<6}   {detail}");
    kept
}

/// A directory with what is to be read.
fn volume() -> Outcome<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().canonicalize()?;
    std::fs::write(path.join("large"), vec![b'x'; LARGE])?;
    std::fs::create_dir(path.join("small"))?;
    for number in 0..SMALL_FILES {
        std::fs::write(path.join(format!("small/{number}")), vec![b'x'; 4096])?;
    }
    std::fs::create_dir(path.join("made"))?;
    Ok(directory)
}

async fn our_session(home: &Path, image: &str) -> Outcome<Rates> {
    let volume = volume()?;
    let share = format!("{}:/v", volume.path().canonicalize()?.display());
    let mut command = tokio::process::Command::from(mvm(home));
    command.args(["run", "--rm", "-i", "--pull=never", "-v", &share, image, "sh"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("no pipes".into());
    };
    let rates = Shell::new(stdout, stdin).measure(false).await?;
    match child.wait().await?.success() {
        true => Ok(rates),
        false => Err("mvm run failed".into()),
    }
}

async fn bare_session(home: &Path, initramfs: &Path) -> Outcome<Rates> {
    let volume = volume()?;
    let mut vm: Box<dyn VmHandle> = bare::start(home, initramfs, volume.path()).await?;
    let channel = vm.channel().ok_or("no channel")?.await?;
    let (reader, writer) = tokio::io::split(channel);
    let rates = Shell::new(reader, writer).measure(true).await;
    let console = vm.console().tail();
    vm.stop(Duration::ZERO).await;
    rates.map_err(|error| format!("the bare VM: {error}: {console}").into())
}

/// A shell in a guest, whose stdin and stdout these are.
struct Shell<R, W> {
    reader: BufReader<R>,
    writer: W,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Shell<R, W> {
    fn new(reader: R, writer: W) -> Self {
        Self { reader: BufReader::with_capacity(BLOCK, reader), writer }
    }

    /// On a bare port it makes the pipes that mvm's workload has.
    async fn measure(mut self, bare: bool) -> Outcome<Rates> {
        let blocks = LARGE / BLOCK;
        let large = (LARGE / MIB) as f64;
        self.timed("true").await?;
        let stdout = self.stdout(blocks, bare).await?;
        let stdin = self.stdin(blocks, bare).await?;
        let (free_stdout, free_stdin) = match bare {
            true => (self.stdout(blocks, false).await?, self.stdin(blocks, false).await?),
            false => (stdout, stdin),
        };
        let read = self.timed("dd if=/v/large of=/dev/null bs=1M 2>/dev/null").await?;
        let mebibytes = LARGE / MIB;
        let write =
            format!("dd if=/dev/zero of=/v/out bs=1M count={mebibytes} conv=fsync 2>/dev/null");
        let write = self.timed(&write).await?;
        let read_small = self.timed("cat /v/small/* >/dev/null").await?;
        let write_small = format!(
            "n=0; while [ $n -lt {SMALL_FILES} ]; do echo content >/v/made/$n; n=$((n + 1)); done"
        );
        let write_small = self.timed(&write_small).await?;
        self.writer.write_all(b"exit\n").await?;
        self.writer.flush().await?;
        let files = SMALL_FILES as f64;
        Ok([
            large / stdout,
            large / stdin,
            large / free_stdout,
            large / free_stdin,
            large / read,
            large / write,
            files / read_small,
            files / write_small,
        ])
    }

    /// Seconds of the guest's writing so many blocks to its stdout.
    async fn stdout(&mut self, blocks: usize, piped: bool) -> Outcome<f64> {
        let writing = format!("dd if=/dev/zero bs={BLOCK} count={blocks} 2>/dev/null");
        let pipe = if piped { format!(" | {COPY}") } else { String::new() };
        self.say(&format!("{writing}{pipe}; echo end")).await?;
        let begun = Instant::now();
        let mut buffer = vec![0; BLOCK];
        for _ in 0..blocks {
            self.reader.read_exact(&mut buffer).await?;
        }
        self.hear("end").await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Seconds of its reading so many from its stdin.
    async fn stdin(&mut self, blocks: usize, piped: bool) -> Outcome<f64> {
        let limit = format!("bs={BLOCK} count={blocks} iflag=fullblock 2>/dev/null");
        let reading = match piped {
            true => format!("dd {limit} | {COPY} >/dev/null"),
            false => format!("dd of=/dev/null {limit}"),
        };
        self.say(&format!("echo ready; {reading}; echo end")).await?;
        self.hear("ready").await?;
        let begun = Instant::now();
        let buffer = vec![b'x'; BLOCK];
        for _ in 0..blocks {
            self.writer.write_all(&buffer).await?;
        }
        self.writer.flush().await?;
        self.hear("end").await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn timed(&mut self, command: &str) -> Outcome<f64> {
        let begun = Instant::now();
        self.say(&format!("{command}; echo end")).await?;
        self.hear("end").await?;
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn say(&mut self, line: &str) -> Outcome {
        self.writer.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.writer.flush().await?)
    }

    async fn hear(&mut self, word: &str) -> Outcome {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await? {
            0 => Err("the shell has ended".into()),
            _ if line.trim_end() == word => Ok(()),
            _ => Err(format!("{line:?} instead of {word:?}").into()),
        }
    }
}

/// What a monitor holds and does while nothing happens.
fn idle(home: &Path, image: &str) -> Outcome<bool> {
    let run = ["run", "-d", "--name", "idle", "--pull=never", image, "sleep", "1000"];
    if !mvm(home).args(run).stdout(Stdio::null()).status()?.success() {
        return Err("mvm run -d failed".into());
    }
    let measured = measure_idle(home);
    let removed = mvm(home).args(["rm", "-f", "idle"]).stdout(Stdio::null()).status()?;
    let (mib, micros, switches) = measured?;
    let kept = mib <= MAX_IDLE_MIB && micros == 0 && switches == 0;
    println!(
        "\nidle monitor: {mib:.1} MiB resident (at most {MAX_IDLE_MIB:.0}); in {} s {micros} us of \
         CPU time and {switches} wakeups (none)   {}",
        IDLE.as_secs(),
        if kept { "kept" } else { "BROKEN" },
    );
    Ok(kept && removed.success())
}

/// MiB, and over `IDLE` microseconds of CPU time and voluntary switches.
fn measure_idle(home: &Path) -> Outcome<(f64, u64, u64)> {
    let inspected = mvm(home).args(["inspect", "-f", "{{.State.Pid}}", "idle"]).output()?;
    let pid: u32 = String::from_utf8(inspected.stdout)?.trim().parse()?;
    // The end of its start.
    std::thread::sleep(Duration::from_secs(2));
    let before = (cpu_micros(pid)?, of_status(pid, "voluntary_ctxt_switches:")?);
    std::thread::sleep(IDLE);
    let after = (cpu_micros(pid)?, of_status(pid, "voluntary_ctxt_switches:")?);
    let mib = of_status(pid, "VmRSS:")? as f64 / 1024.0;
    Ok((mib, after.0 - before.0, after.1 - before.1))
}

/// Of all threads, as the scheduler counts it.
fn cpu_micros(pid: u32) -> Outcome<u64> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split(' ').next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(nanos / 1000)
}

fn of_status(pid: u32, field: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
