// SPDX-License-Identifier: Apache-2.0
//! What a run is asked to do, parsed once from the command line; below this
//! nothing sees a flag. Also how it combines with what the image says.

mod blueprint;
pub mod bytes;
mod limits;
mod secrets;
pub mod signal;
mod volumes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mvm_proto::{MessageField, Process, Terminal};
use serde::{Deserialize, Serialize};

use crate::copy::Inject;
use crate::error::{CANNOT_INVOKE, Failure, Result};
use crate::hypervisor::BackendName;
use crate::image::{ImageConfig, Platform, PullPolicy, Source};
use crate::logs;
pub use blueprint::Blueprint;
pub use limits::{ALL, Device, ExtraHost, HOST_GATEWAY, Limits, Tmpfs, Ulimit};
pub use secrets::{MAX_SECRET_COUNT, SECRETS, Secret, SecretContents, SecretSource, wipe};
pub use volumes::{MAX_VOLUMES, Volume, VolumeSource, clean_target};

/// RAM of a VM when nothing else is said.
pub const DEFAULT_MEMORY_MIB: u64 = 512;

/// More than any command line of Linux can have: three quarters of 8 MiB, or
/// less, are for it (execve(2)); and the message to the guest has 4 MiB.
const MAX_EXEC_BYTES: usize = 3 << 20;

/// One `run` or `create`.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// As it was typed.
    pub image: String,
    /// What that means.
    pub source: Source,
    pub pull: PullPolicy,
    pub platform: Option<Platform>,
    /// Empty: a random one.
    pub name: String,
    /// File that is to hold the VM's ID; it must not be there.
    pub cidfile: Option<PathBuf>,
    pub auto_remove: bool,
    /// The VM's own labels; the image's come under them.
    pub labels: BTreeMap<String, String>,
    /// Files that it is made with.
    pub inject: Vec<Inject>,
    pub vm: VmSpec,
}

/// What a VM is made with, each time it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSpec {
    /// Arguments after the image; empty: the image's own.
    #[serde(with = "bytes::list")]
    pub arguments: Vec<Vec<u8>>,
    /// `--entrypoint`; `Some` of nothing takes the image's away.
    #[serde(with = "bytes::option")]
    pub entrypoint: Option<Vec<u8>>,
    /// NAME=value, later ones win.
    #[serde(with = "bytes::list")]
    pub env: Vec<Vec<u8>>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub hostname: Option<String>,
    pub volumes: Vec<Volume>,
    pub network: Network,
    pub memory_mib: u64,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    pub disk_mib: u64,
    /// The workload's stdin is open.
    pub stdin: bool,
    /// It ends with that of the first command that is attached to it.
    #[serde(default)]
    pub stdin_once: bool,
    /// The workload has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// What `stop` sends first, in place of what the image says.
    pub stop_signal: Option<u32>,
    pub stop_timeout: Option<StopTimeout>,
    pub limits: Limits,
    /// Where they come from, not what they are.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// How much of the output is kept; nothing, if there are none.
    #[serde(default = "kept")]
    pub log: Option<logs::Limits>,
    pub kernel: Option<PathBuf>,
    /// Public keys that get in over SSH, beside the VM's own.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    pub boot_window: Option<Duration>,
    pub backend: Option<BackendName>,
}

fn kept() -> Option<logs::Limits> {
    Some(logs::Limits::default())
}

/// From the signal that asks a workload to end to the one that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopTimeout {
    Seconds(u32),
    /// Docker's -1.
    Never,
}

impl Default for StopTimeout {
    fn default() -> Self {
        Self::Seconds(10)
    }
}

impl StopTimeout {
    pub fn millis(self) -> u64 {
        match self {
            Self::Seconds(seconds) => u64::from(seconds) * 1000,
            Self::Never => u64::MAX,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    None,
    User,
}

impl Network {
    /// As `--network` and records name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::User => "user",
        }
    }
}

impl VmSpec {
    /// Whole vCPUs that can give the CPU time asked for.
    pub fn vcpus(&self) -> u32 {
        self.cpu_milli.div_ceil(1000).max(1)
    }

    /// Entrypoint and arguments as Docker combines them: `--entrypoint` takes
    /// the image's command away too.
    pub fn command(&self, image: &ImageConfig) -> Result<Vec<Vec<u8>>> {
        let words = |list: &Option<Vec<String>>| -> Vec<Vec<u8>> {
            list.iter().flatten().map(|word| word.clone().into_bytes()).collect()
        };
        let (mut command, image_arguments) = match &self.entrypoint {
            Some(entrypoint) if entrypoint.is_empty() => (Vec::new(), Vec::new()),
            Some(entrypoint) => (vec![entrypoint.clone()], Vec::new()),
            None => (words(&image.entrypoint), words(&image.cmd)),
        };
        match self.arguments.is_empty() {
            true => command.extend(image_arguments),
            false => command.extend(self.arguments.iter().cloned()),
        }
        if command.is_empty() {
            return Err(
                Failure::new("the image names no command").hint("give one: mvm run IMAGE COMMAND")
            );
        }
        Ok(command)
    }

    /// What asks the workload to end: asked for, or the image's word where that
    /// means something, or SIGTERM.
    pub fn stop_signal(&self, image: &ImageConfig) -> u32 {
        self.stop_signal.or_else(|| signal::parse(&image.stop_signal).ok()).unwrap_or(signal::TERM)
    }

    /// The workload, without the streams that the monitor adds; its terminal
    /// has no size yet.
    pub fn process(&self, image: &ImageConfig) -> Result<Process> {
        let mut env: Vec<Vec<u8>> = image.env.iter().map(|e| e.clone().into_bytes()).collect();
        env.extend(self.env.iter().cloned());
        let whole_cpus = self.cpu_milli.is_multiple_of(1000);
        let mut process = Process {
            args: self.command(image)?,
            env,
            cwd: self.workdir.as_ref().unwrap_or(&image.working_dir).clone().into_bytes(),
            user: self.user.as_ref().unwrap_or(&image.user).clone(),
            cpu_milli: if whole_cpus { 0 } else { self.cpu_milli },
            terminal: MessageField::from_option(self.tty.then(Terminal::new)),
            ..Default::default()
        };
        self.limits.apply_to_process(&mut process);
        check_size(&process)?;
        Ok(process)
    }
}

/// What no stack in the guest holds is not sent there; the kernel of the guest
/// tells about what is smaller and too large.
fn check_size(process: &Process) -> Result<()> {
    let bytes: usize = process.args.iter().chain(&process.env).map(|text| text.len() + 1).sum();
    if bytes <= MAX_EXEC_BYTES {
        return Ok(());
    }
    let message = format!("argument list too long: arguments and environment have {bytes} bytes");
    Err(Failure::new(message)
        .status(CANNOT_INVOKE)
        .hint("2 MiB is what a command takes; put the rest into a file, and share that with -v"))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn spec() -> RunSpec {
        RunSpec {
            image: "busybox".into(),
            source: Source::Name("busybox".into()),
            pull: PullPolicy::Missing,
            platform: None,
            name: String::new(),
            cidfile: None,
            auto_remove: false,
            labels: BTreeMap::new(),
            inject: Vec::new(),
            vm: vm(),
        }
    }

    fn vm() -> VmSpec {
        VmSpec {
            arguments: Vec::new(),
            entrypoint: None,
            env: Vec::new(),
            workdir: None,
            user: None,
            hostname: None,
            volumes: Vec::new(),
            network: Network::None,
            memory_mib: 512,
            cpu_milli: 1000,
            disk_mib: 1024,
            stdin: false,
            stdin_once: false,
            tty: false,
            stop_signal: None,
            stop_timeout: None,
            limits: Limits::default(),
            secrets: Vec::new(),
            log: kept(),
            kernel: None,
            ssh_keys: Vec::new(),
            boot_window: None,
            backend: None,
        }
    }

    fn image(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
        let list = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect());
        ImageConfig { entrypoint: list(entrypoint), cmd: list(cmd), ..ImageConfig::default() }
    }

    fn command(spec: &VmSpec, image: &ImageConfig) -> String {
        let words = spec.command(image).unwrap();
        words.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn entrypoint_and_command_combine_as_in_docker() {
        let mut spec = vm();
        let image = image(&["/entry", "-x"], &["cmd"]);
        assert_eq!(command(&spec, &image), "/entry -x cmd");
        spec.arguments = vec![b"given".to_vec()];
        assert_eq!(command(&spec, &image), "/entry -x given");
        spec.entrypoint = Some(b"/mine".to_vec());
        assert_eq!(command(&spec, &image), "/mine given");
        spec.arguments.clear();
        assert_eq!(command(&spec, &image), "/mine");
        spec.entrypoint = Some(Vec::new());
        assert!(spec.command(&image).is_err());
    }

    #[test]
    fn flags_win_over_the_image() {
        let mut spec = vm();
        let image = ImageConfig {
            env: vec!["A=1".into()],
            working_dir: "/img".into(),
            user: "app".into(),
            ..image(&[], &["sh"])
        };
        let process = spec.process(&image).unwrap();
        assert_eq!((process.cwd.as_slice(), process.user.as_str()), (&b"/img"[..], "app"));
        spec.env = vec![b"A=2".to_vec()];
        spec.workdir = Some("/mine".into());
        spec.user = Some("0".into());
        let process = spec.process(&image).unwrap();
        assert_eq!(process.env, [b"A=1".to_vec(), b"A=2".to_vec()]);
        assert_eq!((process.cwd.as_slice(), process.user.as_str()), (&b"/mine"[..], "0"));
    }

    #[test]
    fn the_image_says_how_it_wants_to_be_stopped() {
        let mut spec = vm();
        let image = |word: &str| ImageConfig { stop_signal: word.into(), ..ImageConfig::default() };
        for (word, signal) in [("", 15), ("SIGINT", 2), ("9", 9), ("nonsense", 15)] {
            assert_eq!(spec.stop_signal(&image(word)), signal, "{word}");
        }
        spec.stop_signal = Some(10);
        assert_eq!(spec.stop_signal(&image("SIGINT")), 10);
    }

    #[test]
    fn parts_of_a_cpu_are_a_limit_on_whole_ones() {
        let mut spec = vm();
        for (milli, vcpus, limit) in [(1000, 1, 0), (500, 1, 500), (1500, 2, 1500), (2000, 2, 0)] {
            spec.cpu_milli = milli;
            assert_eq!(spec.vcpus(), vcpus);
            assert_eq!(spec.process(&image(&[], &["x"])).unwrap().cpu_milli, limit);
        }
    }
}
