// SPDX-License-Identifier: Apache-2.0
//! `mvm create`, and the flags that it shares with `mvm run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::limits::{self, LimitArgs};
use super::log_options::LogArgs;
use super::rare::Rare;
use super::volumes::VolumeArgs;
use super::{inject, platform, secrets, values};
use crate::error::{Failure, Result};
use crate::hypervisor::BackendName;
use crate::image::{self, PullPolicy, Source};
use crate::pipeline;
use crate::rootfs::upper;
use crate::spec::{DEFAULT_MEMORY_MIB, Network, RunSpec, StopTimeout, VmSpec, signal};
use crate::ssh;
use crate::state::{Dirs, validate_name};
use crate::sys;

/// MiB of RAM that a guest needs to come up at all.
const MIN_MEMORY_MIB: u64 = 64;

/// Create a VM from an image, to be started later
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    override_usage = "mvm create [OPTIONS] IMAGE [COMMAND] [ARG...]"
)]
pub struct CreateArgs {
    /// Reference of an image, or the ID of a local one; or oci:DIR[:TAG],
    /// oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], dir:ROOTFS, - for an
    /// archive on stdin. What follows is the command with its arguments, in
    /// place of the image's own, flags of mvm or not
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<OsString>,

    /// Pass stdin to the command
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Write the VM's ID to a file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// Remove the VM when it ends, however it ends
    #[arg(long)]
    rm: bool,
    /// Set a variable; with no value, to what it is here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    #[command(flatten)]
    volumes: VolumeArgs,
    /// Give the command a file in memory, /run/secrets/NAME, of a file or a
    /// variable here: id=NAME,src=FILE or id=NAME,env=VARIABLE
    #[arg(long, value_name = "SECRET")]
    secret: Vec<OsString>,
    /// Put a file or directory of this host into the VM before its first start,
    /// root's unless it is said otherwise
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]")]
    inject: Vec<OsString>,
    /// Working directory in the VM
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User, and group, of the command: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Program to run in place of the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<OsString>,
    /// Name of the VM, in place of a random one
    #[arg(long)]
    name: Option<String>,
    /// Host name in the VM, in place of its short ID
    #[arg(short = 'h', long)]
    hostname: Option<String>,

    /// CPUs; a fraction limits the command's share of the last one
    #[arg(long, value_parser = values::cpus, default_value = "1", value_name = "NUMBER")]
    cpus: u32,
    /// RAM in MiB, or with a unit: 512m, 2g
    #[arg(short, long, value_parser = values::mib, default_value_t = DEFAULT_MEMORY_MIB, value_name = "SIZE")]
    memory: u64,
    /// Largest size of the VM's own disk; takes space only as it fills
    #[arg(long, value_parser = values::mib, default_value = "64g", value_name = "SIZE")]
    disk: u64,
    /// Network: none, or user (reaches out, and the host's loopback too)
    #[arg(long, value_enum, default_value_t = NetworkArg::None)]
    network: NetworkArg,

    /// When to pull the image
    #[arg(long, value_enum, default_value_t = PullArg::Missing)]
    pull: PullArg,
    /// Platform to choose from an image for several: linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Do not show how the pull goes on
    #[arg(short, long)]
    pub quiet: bool,
    /// Guest kernel to boot (also: MVM_KERNEL)
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Signal with which `mvm stop` asks the command to end
    #[arg(long, value_parser = signal::parse, value_name = "SIGNAL")]
    stop_signal: Option<u32>,
    /// Seconds that `mvm stop` gives it then, -1 for ever
    #[arg(long, value_parser = values::stop_timeout, allow_hyphen_values = true, value_name = "SECONDS")]
    stop_timeout: Option<StopTimeout>,
    /// Seconds that the guest may take to boot [default: 30; emulated: 180]
    #[arg(long, value_parser = values::seconds, value_name = "SECONDS")]
    boot_timeout: Option<Duration>,
    /// Let the owners of these public keys in over SSH, beside the VM's own key;
    /// the file of a private key stands for the .pub beside it
    #[arg(long, value_name = "FILE")]
    ssh_key: Vec<PathBuf>,
    /// Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]
    #[arg(long, value_enum, value_name = "NAME")]
    backend: Option<BackendName>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    limits: Rare<LimitArgs>,
    #[command(flatten)]
    log: Rare<LogArgs>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NetworkArg {
    None,
    User,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PullArg {
    Missing,
    Always,
    Never,
}

impl From<PullArg> for PullPolicy {
    fn from(arg: PullArg) -> Self {
        match arg {
            PullArg::Missing => Self::Missing,
            PullArg::Always => Self::Always,
            PullArg::Never => Self::Never,
        }
    }
}

pub async fn run(dirs: &Dirs, args: CreateArgs) -> Result<u8> {
    let progress = image::for_stderr(args.quiet);
    let id = pipeline::create(dirs, args.spec()?, progress).await?;
    super::print(&format!("{id}\n")).map(|()| 0)
}

impl CreateArgs {
    /// What the flags ask for.
    pub fn spec(self) -> Result<RunSpec> {
        spec(self)
    }

    /// The first word and those after it, of which the first may be a `--`.
    fn image_and_command(&self) -> Result<(String, &[OsString])> {
        let (image, rest) = match self.words.split_first() {
            Some((image, [first, rest @ ..])) if first == "--" => (image, rest),
            Some((image, rest)) => (image, rest),
            None => return Err(Failure::new("no image is given").hint("mvm run IMAGE")),
        };
        match image.to_str() {
            Some(image) => Ok((image.to_owned(), rest)),
            None => Err(Failure::new(format!("{} is no text", image.display()))
                .hint("rename the file, or go to its directory")),
        }
    }
}

fn spec(args: CreateArgs) -> Result<RunSpec> {
    if let Some(name) = &args.name {
        validate_name(name)?;
    }
    if let Some(hostname) = &args.hostname {
        validate_hostname(hostname)?;
    }
    if args.memory < MIN_MEMORY_MIB {
        return Err(Failure::new(format!("{} MiB of RAM boot no guest", args.memory))
            .hint(format!("--memory {MIN_MEMORY_MIB}m or more")));
    }
    if !(upper::MIN_MIB..=upper::MAX_MIB).contains(&args.disk) {
        return Err(Failure::new(format!("a disk of {} MiB cannot be made", args.disk))
            .hint(format!("--disk takes {}m to 16t", upper::MIN_MIB)));
    }
    let (image, command) = args.image_and_command()?;
    let arguments = command.iter().map(|word| sys::os_bytes(word)).collect();
    let source = source(&image, &args)?;
    let mounts = args.volumes.mounts()?;
    let limits = args.limits.limits(&mounts)?;
    let secrets = secrets::parse(&args.secret, &mounts.volumes, &limits.tmpfs)?;
    // -e wins over a file.
    let mut env = limits::env_files(&args.limits.env_file)?;
    env.extend(environment(&args.env)?);
    Ok(RunSpec {
        image,
        source,
        pull: args.pull.into(),
        platform: platform::wanted(args.platform.as_deref())?,
        name: args.name.unwrap_or_default(),
        cidfile: args.cidfile,
        auto_remove: args.rm,
        labels: args.limits.labels()?,
        inject: inject::all(&args.inject)?,
        vm: VmSpec {
            arguments,
            entrypoint: args.entrypoint.map(|word| sys::os_bytes(&word)),
            env,
            workdir: args.workdir.map(absolute_workdir).transpose()?,
            user: args.user,
            hostname: args.hostname,
            volumes: mounts.volumes,
            network: match args.network {
                NetworkArg::None => Network::None,
                NetworkArg::User => Network::User,
            },
            memory_mib: args.memory,
            cpu_milli: args.cpus,
            disk_mib: args.disk,
            stdin: args.interactive,
            stdin_once: args.interactive,
            tty: args.tty,
            stop_signal: args.stop_signal,
            stop_timeout: args.stop_timeout,
            limits,
            secrets,
            log: args.log.limits()?,
            kernel: args.kernel.map(absolute).transpose()?,
            ssh_keys: ssh::authorized_keys(&args.ssh_key)?,
            boot_window: args.boot_timeout,
            backend: args.backend,
        },
    })
}

/// A path that means the same when the VM is started from elsewhere.
fn absolute(path: PathBuf) -> Result<PathBuf> {
    std::path::absolute(&path)
        .map_err(|e| Failure::cannot(format!("use the path {}", path.display()), e))
}

/// Where the image comes from, if the other flags go with that.
fn source(name: &str, args: &CreateArgs) -> Result<Source> {
    let source = Source::parse(name).map_err(image::Error::from)?;
    let Source::Local(local) = &source else { return Ok(source) };
    if matches!(args.pull, PullArg::Never) {
        return Err(Failure::new(format!("{local} is read each time, with --pull never too"))
            .hint("load it once with `mvm load` or `mvm pull`, then run it by its name or ID"));
    }
    if local.is_stdin() && args.interactive {
        return Err(Failure::new("stdin cannot be the image and the command's input as well")
            .hint("save the archive to a file, or `mvm load` it first"));
    }
    Ok(source)
}

/// NAME=VALUE as given; NAME alone is taken from our own environment, and left
/// out where it is not set, as Docker does.
pub fn environment(given: &[OsString]) -> Result<Vec<Vec<u8>>> {
    let mut variables = Vec::new();
    for variable in given {
        let bytes = sys::os_bytes(variable);
        let name_ends = bytes.iter().position(|&b| b == b'=');
        match name_ends {
            _ if bytes.is_empty() || name_ends == Some(0) => {
                return Err(Failure::new("invalid environment variable: it has no name")
                    .hint("-e NAME=VALUE, or -e NAME for the value it has here"));
            }
            Some(_) => variables.push(bytes),
            None => {
                if let Some(value) = std::env::var_os(variable) {
                    variables.push([&bytes, &b"="[..], &sys::os_bytes(&value)].concat());
                }
            }
        }
    }
    Ok(variables)
}

pub fn absolute_workdir(path: String) -> Result<String> {
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(Failure::new(format!("the working directory {path:?} is not absolute"))
            .hint(format!("-w /{path}"))),
    }
}

/// RFC 1123 labels, and what a Linux host name may hold.
fn validate_hostname(name: &str) -> Result<()> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(());
    }
    Err(Failure::new(format!("invalid host name {name:?}"))
        .hint("letters, digits and hyphens, 64 at most"))
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::super::Command;
    use super::*;
    use clap::Parser;

    fn parse(line: &[&str]) -> CreateArgs {
        let words = ["mvm", "create"].iter().chain(line);
        match Cli::try_parse_from(words).unwrap().command {
            Command::Create(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_follows_the_image_is_the_commands() {
        for (line, command) in [
            (&["img", "echo", "-n", "hi"][..], &["echo", "-n", "hi"][..]),
            (&["img", "--", "echo", "hi"], &["echo", "hi"]),
            (&["--rm", "img", "sh", "-c", "x", "--rm"], &["sh", "-c", "x", "--rm"]),
            (&["img", "echo", "--", "x"], &["echo", "--", "x"]),
            (&["img", "--version"], &["--version"]),
            (&["img", "-v", "--rm", "-e"], &["-v", "--rm", "-e"]),
            (&["--rm", "--", "img", "-i"], &["-i"]),
            (&["img"], &[]),
        ] {
            let args = parse(line);
            let (image, rest) = args.image_and_command().unwrap();
            assert_eq!(image, "img", "{line:?}");
            assert_eq!(rest, command, "{line:?}");
        }
    }

    #[test]
    fn dockers_short_flags() {
        let args = parse(&["-i", "-e", "A=1", "-w", "/x", "-m", "1g", "-u", "1", "-h", "box", "i"]);
        let spec = spec(args).unwrap();
        assert_eq!((spec.vm.memory_mib, spec.vm.stdin), (1024, true));
        assert_eq!(spec.vm.hostname.as_deref(), Some("box"));
        assert_eq!(spec.vm.env, [b"A=1".to_vec()]);
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for line in [
            &["--name", "-x", "i"][..],
            &["-h", "a b", "i"],
            &["-m", "1m", "i"],
            &["--disk", "1m", "i"],
            &["-w", "x", "i"],
            &["-e", "=x", "i"],
            &["-v", "x", "i"],
            &["--platform", "/", "i"],
        ] {
            let Ok(cli) = Cli::try_parse_from(["mvm", "create"].iter().chain(line)) else {
                continue;
            };
            let Command::Create(args) = cli.command else { panic!() };
            assert!(spec(*args).unwrap_err().hint.is_some(), "{line:?}");
        }
        assert!(Cli::try_parse_from(["mvm", "run", "--nope", "img"]).is_err());
    }
}
