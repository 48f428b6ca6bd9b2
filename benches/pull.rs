// SPDX-License-Identifier: Apache-2.0
//! A cold pull of a Debian image of 500 MB into an empty store, against
//! `skopeo copy` + `umoci unpack` and against `podman pull`, from the same
//! registry on the loopback; the same for zstd layers and for twenty small
//! ones; what a second image costs that shares four layers of five; and how
//! long `mvm images` takes over a thousand images.
//!
//! `cargo bench --bench pull`; `MVM_BENCH_RUNS` (default 3) counts the rounds.
//! Needs root, skopeo, umoci, podman and docker-registry, and makes the images
//! with scripts/pull-images.

mod support;

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use support::{Outcome, Registry, median, mvm, printed};

/// Promises of docs/SPECIFICATION.md.
const MIN_OVER_PEER: f64 = 2.0;
const MAX_IMAGES_MS: f64 = 10.0;
/// MiB, and bytes per entry of a layer.
const MAX_RSS: (f64, f64) = (64.0, 256.0);
/// The largest layer of the images has fewer entries.
const ENTRIES: f64 = 15_000.0;

fn main() -> ExitCode {
    support::main(bench)
}

fn bench() -> Outcome<bool> {
    let rounds: usize = std::env::var("MVM_BENCH_RUNS").ok().map_or(Ok(3), |n| n.parse())?;
    let storage = PathBuf::from(printed("scripts/pull-images", &[])?);
    let home = tempfile::tempdir()?;
    let bench = Bench { registry: Registry::over(&storage, home.path())?, home: home.path() };
    let mut kept = true;
    println!("medians of {rounds} cold pulls; seconds, MiB written, MiB of peak memory");
    for name in ["five", "zstd", "twenty"] {
        kept &= bench.against_peers(name, rounds)?;
    }
    bench.sibling()?;
    Ok(bench.thousand_images()? && kept)
}

struct Bench<'a> {
    registry: Registry,
    home: &'a Path,
}

/// One run of a program, or of several after each other.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    written: f64,
    rss: f64,
}

impl Bench<'_> {
    fn image(&self, name: &str) -> String {
        self.registry.image(&format!("pull:{name}"))
    }

    fn against_peers(&self, name: &str, rounds: usize) -> Outcome<bool> {
        let (mut ours, mut unpacked, mut podman) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(self.fresh(|home| vec![pull(home, &self.image(name))])?);
            // umoci knows no zstd.
            if name != "zstd" {
                unpacked.push(self.fresh(|home| self.skopeo_and_umoci(home, name))?);
            }
            podman.push(self.fresh(|home| vec![self.podman(home, name)])?);
        }
        let (ours, unpacked, podman) = (middle(&ours), middle(&unpacked), middle(&podman));
        let (blobs, sizes) = self.blobs(name)?;
        println!("\n{name}: {:.0} MiB compressed in {} layers", sizes / MIB, blobs.len());
        for (who, cost) in
            [("mvm pull", ours), ("skopeo copy, umoci unpack", unpacked), ("podman pull", podman)]
        {
            let Cost { seconds, written, rss } = cost;
            if !seconds.is_nan() {
                println!("  {who:<28}{seconds:>7.2} s{written:>8.0} MiB{rss:>6.0} MiB");
            }
        }
        let (one, two) = (decompress(&blobs, 1)?, decompress(&blobs, 2)?);
        println!("  decompression alone         {one:>7.2} s on one core, {two:.2} s on two");
        let ratio = unpacked.seconds.min(podman.seconds) / ours.seconds;
        let limit = MAX_RSS.0 + MAX_RSS.1 * ENTRIES / MIB;
        Ok(verdict("faster than the faster by", ratio, MIN_OVER_PEER, ratio >= MIN_OVER_PEER)
            & verdict("peak memory, MiB", ours.rss, limit, ours.rss <= limit))
    }

    /// In a home that is empty, with what earlier runs wrote on the disk.
    fn fresh(&self, work: impl Fn(&Path) -> Vec<Command>) -> Outcome<Cost> {
        let home = self.home.join("cold");
        fs::create_dir(&home)?;
        rustix::fs::sync();
        let cost = run(work(&home));
        let written = disk_usage(&home)?;
        fs::remove_dir_all(&home)?;
        Ok(Cost { written: written / MIB, ..cost? })
    }

    fn skopeo_and_umoci(&self, home: &Path, name: &str) -> Vec<Command> {
        let layout = format!("{}:x", home.join("oci").display());
        let mut copy = Command::new("skopeo");
        copy.args(["copy", "--quiet", "--insecure-policy", "--src-tls-verify=false"])
            .arg(format!("docker://{}", self.image(name)))
            .arg(format!("oci:{layout}"));
        let mut unpack = Command::new("umoci");
        unpack.args(["unpack", "--image", &layout]).arg(home.join("bundle"));
        vec![copy, unpack]
    }

    fn podman(&self, home: &Path, name: &str) -> Command {
        let mut pull = Command::new("podman");
        pull.arg("--root").arg(home.join("root")).arg("--runroot").arg(home.join("run"));
        pull.args(["--storage-driver=overlay", "--events-backend=file", "pull", "--quiet"]);
        pull.args(["--tls-verify=false", &self.image(name)]);
        pull
    }

    /// The layers' blobs in the registry's storage, and bytes of all.
    fn blobs(&self, name: &str) -> Outcome<(Vec<PathBuf>, f64)> {
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false"])
            .arg(format!("docker://{}", self.image(name)))
            .output()?;
        let manifest: Value = serde_json::from_slice(&output.stdout)?;
        let (mut blobs, mut sizes) = (Vec::new(), 0.0);
        for layer in manifest["layers"].as_array().ok_or("no layers")? {
            let hex = layer["digest"].as_str().and_then(|d| d.strip_prefix("sha256:"));
            blobs.push(self.registry.blob(hex.ok_or("no digest")?));
            sizes += layer["size"].as_f64().unwrap_or_default();
        }
        Ok((blobs, sizes))
    }

    fn sibling(&self) -> Outcome {
        let home = self.home.join("sibling");
        fs::create_dir(&home)?;
        run(vec![pull(&home, &self.image("five"))])?;
        let before = disk_usage(&home)?;
        let cost = run(vec![pull(&home, &self.image("sibling"))])?;
        let added = disk_usage(&home)? - before;
        let (blobs, _) = self.blobs("sibling")?;
        let own = fs::metadata(blobs.last().ok_or("no layers")?)?.len() as f64;
        println!("\na second image that shares four layers of five");
        println!(
            "  {:.2} s, {:.1} MiB written for a layer of {:.1} MiB",
            cost.seconds,
            added / MIB,
            own / MIB
        );
        Ok(fs::remove_dir_all(&home)?)
    }

    fn thousand_images(&self) -> Outcome<bool> {
        let home = self.home.join("thousand");
        fs::create_dir(&home)?;
        run(vec![pull(&home, &self.image("twenty"))])?;
        let path = home.join("data/blobs/index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let entry = index["manifests"][0].clone();
        let name = "org.opencontainers.image.ref.name";
        let copies = (0..1000).map(|number| {
            let mut copy = entry.clone();
            copy["annotations"][name] = json!(format!("docker.io/library/image{number}:latest"));
            copy
        });
        index["manifests"] = copies.collect();
        fs::write(&path, serde_json::to_vec(&index)?)?;
        let mut times = Vec::new();
        for _ in 0..21 {
            let mut list = mvm(&home);
            list.arg("images");
            times.push(run(vec![list])?.seconds * 1e3);
        }
        let lines = mvm(&home).arg("images").output()?.stdout;
        let lines = lines.iter().filter(|&&byte| byte == b'\n').count();
        println!("\nmvm images, {lines} lines");
        let time = median(times);
        Ok(verdict("milliseconds", time, MAX_IMAGES_MS, time <= MAX_IMAGES_MS) && lines == 1001)
    }
}

const MIB: f64 = (1 << 20) as f64;

fn verdict(what: &str, value: f64, limit: f64, kept: bool) -> bool {
    let word = if kept { "kept" } else { "BROKEN" };
    println!("  {what:<28}{value:>7.2}   limit {limit:.2}   {word}");
    kept
}

fn pull(home: &Path, image: &str) -> Command {
    let mut command = mvm(home);
    command.args(["pull", "-q", image]);
    command
}

fn middle(costs: &[Cost]) -> Cost {
    let of = |part: fn(&Cost) -> f64| median(costs.iter().map(part).collect());
    Cost { seconds: of(|c| c.seconds), written: of(|c| c.written), rss: of(|c| c.rss) }
}

/// Runs commands one after the other.
fn run(commands: Vec<Command>) -> Outcome<Cost> {
    let begun = Instant::now();
    let mut rss: f64 = 0.0;
    for mut command in commands {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
        let pid = libc::pid_t::try_from(child.id())?;
        // SAFETY: both pointers are valid for writes for the length of the call.
        if unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) } != pid {
            return Err(io::Error::last_os_error().into());
        }
        if !std::process::ExitStatus::from_raw(status).success() {
            return Err(format!("{command:?} failed").into());
        }
        // SAFETY: zeros are a valid rusage, and the call has filled it.
        rss = rss.max(unsafe { usage.assume_init() }.ru_maxrss as f64 / 1024.0);
    }
    Ok(Cost { seconds: begun.elapsed().as_secs_f64(), written: 0.0, rss })
}

/// Bytes that a directory takes on the disk.
fn disk_usage(path: &Path) -> Outcome<f64> {
    let output = Command::new("du").args(["-s", "-B1"]).arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split_whitespace().next().ok_or("du says nothing")?.parse()?)
}

/// Seconds that it takes to decompress all blobs, with nothing done to them.
fn decompress(blobs: &[PathBuf], threads: usize) -> Outcome<f64> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let begun = Instant::now();
    let failed = std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            let mut buffer = vec![0; 128 << 10];
            while let Some(blob) =
                blobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
            {
                let mut file = io::BufReader::with_capacity(128 << 10, fs::File::open(blob)?);
                let zstd = io::BufRead::fill_buf(&mut file)?.starts_with(&[0x28, 0xb5]);
                let mut reader: Box<dyn Read> = match zstd {
                    true => Box::new(zstd::Decoder::with_buffer(file)?),
                    false => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
                };
                while reader.read(&mut buffer)? > 0 {}
            }
            Ok(())
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().any(|thread| !matches!(thread.join(), Ok(Ok(()))))
    });
    match failed {
        false => Ok(begun.elapsed().as_secs_f64()),
        true => Err("a blob cannot be decompressed".into()),
    }
}
