// SPDX-License-Identifier: Apache-2.0
//! What the benches of whole runs share.
#![allow(dead_code, reason = "not every bench uses all of it")]

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use mvm::hypervisor::{self, Choice, Wish};
use mvm::preflight::{self, Environment, Places, Preflight, Requirements};
use mvm::state::Dirs;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What `mvm -v` said of its phases, in milliseconds.
pub fn phases(said: &str) -> Vec<(String, f64)> {
    let phase = |line: &str| -> Option<(String, f64)> {
        if line.contains(':') {
            return None;
        }
        let (name, time) =
            line.trim().strip_prefix("INFO ")?.strip_suffix(" ms")?.rsplit_once(' ')?;
        Some((name.trim().to_owned(), time.parse().ok()?))
    };
    said.lines().filter_map(phase).collect()
}

/// Runs a bench that tells whether all promises were kept.
pub fn main(bench: fn() -> Outcome<bool>) -> ExitCode {
    // `cargo test --benches` runs this too, and wants nothing of it.
    if std::env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    ended(bench())
}

pub fn ended(outcome: Outcome<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// This host, and what it runs a VM of one vCPU with.
pub fn host(dirs: &Dirs, wish: &Wish, ram_mib: u64) -> Outcome<(Preflight, Choice)> {
    let requirements = Requirements {
        ram_mib,
        vcpus: 1,
        max_vcpus: hypervisor::MAX_VCPUS,
        qemu: wish.qemu_need(),
        kernel: None,
        environment: Environment::of_process(),
    };
    let places = Places { data: &dirs.data, cache: &dirs.cache, runtime: &dirs.runtime };
    let preflight = preflight::check(&requirements, places)?;
    let backend = hypervisor::choose(&preflight.facts, wish)?;
    Ok((preflight, backend))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn mvm(home: &Path) -> Command {
    // Elsewhere than where it was built.
    let program = std::env::var_os("MVM_BENCH_BINARY");
    let mut command = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_mvm").into()));
    command.env("MVM_HOME", home).env_remove("MVM_LOG").stdin(Stdio::null());
    command
}

/// The test images, served by scripts/registry.
pub struct Registry {
    address: String,
    directory: PathBuf,
    storage: PathBuf,
}

impl Registry {
    pub fn start(home: &Path) -> Outcome<Self> {
        let fixtures = printed("scripts/fixtures", &["--big".as_ref()])?;
        Self::over(&Path::new(&fixtures).join("registry"), home)
    }

    /// Serves a storage as it is.
    pub fn over(storage: &Path, home: &Path) -> Outcome<Self> {
        let directory = home.join("registry");
        std::fs::create_dir_all(&directory)?;
        let arguments =
            ["start".as_ref(), "--storage".as_ref(), storage.as_os_str(), directory.as_os_str()];
        let address = printed("scripts/registry", &arguments)?;
        Ok(Self { address, directory, storage: storage.to_owned() })
    }

    /// Where the registry keeps a blob.
    pub fn blob(&self, hex: &str) -> PathBuf {
        let blobs = self.storage.join("docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let stop: Result<Child, _> =
            script("scripts/registry").arg("stop").arg(&self.directory).spawn();
        let _ = stop.and_then(|mut child| child.wait());
    }
}

fn script(path: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    command.stdin(Stdio::null());
    command
}

/// The last line that a script prints.
pub fn printed(path: &str, arguments: &[&OsStr]) -> Outcome<String> {
    let output = script(path).args(arguments).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    match text.lines().last() {
        Some(line) if output.status.success() => Ok(line.to_owned()),
        _ => Err(format!("{path} failed").into()),
    }
}
