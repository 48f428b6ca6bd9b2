// SPDX-License-Identifier: Apache-2.0
//! Finds the QEMU for this host and makes sure that it is new enough and has
//! the machine mvm boots. Asking it takes tens of milliseconds, so the answer
//! is remembered until the file changes.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::platform;

/// First version with `-netdev stream` and `dgram` over unix sockets.
pub const OLDEST: Version = Version(7, 2, 0);

/// Program and machine for the host's processor; there is no other use for an
/// emulator of one's own processor.
#[cfg(target_arch = "x86_64")]
const TARGET: (&str, &str) = ("qemu-system-x86_64", "microvm");
#[cfg(target_arch = "aarch64")]
const TARGET: (&str, &str) = ("qemu-system-aarch64", "virt");

/// QEMU's own filter of system calls (Linux, and not in every build): no
/// programs, no other users, no obsolete calls, no scheduling.
pub const SANDBOX: [&str; 2] =
    ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"];

/// A QEMU that mvm can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    pub path: PathBuf,
    pub version: Version,
    /// It takes [`SANDBOX`].
    pub sandbox: bool,
}

/// Major, minor, micro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why there is no QEMU to use.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    #[error("{program} is not in PATH")]
    NotFound { program: String },
    #[error("MVM_QEMU names {}, which is no program", path.display())]
    BadOverride { path: PathBuf },
    #[error("cannot run {}: {why}", path.display())]
    Unrunnable { path: PathBuf, why: String },
    #[error("{} does not say its version as QEMU does", path.display())]
    NotQemu { path: PathBuf },
    #[error("{} is version {version}, older than {OLDEST}", path.display())]
    TooOld { path: PathBuf, version: Version },
    #[error("{} has no machine `{machine}`", path.display())]
    NoMachine { path: PathBuf, machine: String },
}

impl QemuError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            QemuError::NotFound { .. } => format!(
                "install QEMU {}.{} or newer ({INSTALL}), or set MVM_QEMU to its path",
                OLDEST.0, OLDEST.1
            ),
            QemuError::TooOld { .. } => format!(
                "install QEMU {}.{} or newer, and set MVM_QEMU if it is not the first in PATH",
                OLDEST.0, OLDEST.1
            ),
            QemuError::BadOverride { .. }
            | QemuError::Unrunnable { .. }
            | QemuError::NotQemu { .. } => {
                format!("set MVM_QEMU to the path of a working {}", TARGET.0)
            }
            QemuError::NoMachine { .. } => {
                format!("set MVM_QEMU to a complete {} ({INSTALL})", TARGET.0)
            }
        })
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const INSTALL: &str = "Debian: apt install qemu-system-x86";
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
const INSTALL: &str = "Debian: apt install qemu-system-arm";
#[cfg(target_os = "macos")]
const INSTALL: &str = "brew install qemu";
#[cfg(windows)]
const INSTALL: &str = "winget install SoftwareFreedomConservancy.QEMU";

/// What a file said when it was asked, and how to know that it is still the
/// same file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QemuEntry {
    found: Qemu,
    size: u64,
    modified_nanos: u64,
}

/// Finds and checks QEMU. `entry` is the remembered answer: it is used if it
/// is about the same file, and replaced if the file had to be asked.
pub(super) fn find(
    chosen: Option<&Path>,
    search_path: Option<&OsStr>,
    entry: &mut Option<QemuEntry>,
) -> Result<Qemu, QemuError> {
    let path = locate(chosen, search_path)?;
    let unrunnable =
        |error: io::Error| QemuError::Unrunnable { path: path.clone(), why: error.to_string() };
    let metadata = path.metadata().map_err(unrunnable)?;
    let modified_nanos = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos() as u64);
    if let Some(known) = entry
        && known.found.path == path
        && known.size == metadata.len()
        && known.modified_nanos == modified_nanos
    {
        return Ok(known.found.clone());
    }
    let version = ask(&path, &["--version"]).map_err(unrunnable)?;
    let version =
        parse_version(&version).ok_or_else(|| QemuError::NotQemu { path: path.clone() })?;
    if version < OLDEST {
        return Err(QemuError::TooOld { path, version });
    }
    let help = ["-machine", "help"];
    let (machines, sandbox) = match ask(&path, &[SANDBOX, help].concat()) {
        Ok(machines) => (machines, true),
        Err(_) => (ask(&path, &help).map_err(unrunnable)?, false),
    };
    if !has_machine(&machines, TARGET.1) {
        let machine = TARGET.1.to_owned();
        return Err(QemuError::NoMachine { path, machine });
    }
    let found = Qemu { path, version, sandbox };
    *entry = Some(QemuEntry { found: found.clone(), size: metadata.len(), modified_nanos });
    Ok(found)
}

fn locate(chosen: Option<&Path>, search_path: Option<&OsStr>) -> Result<PathBuf, QemuError> {
    if let Some(path) = chosen {
        // Absolute, because the VM's processes have another working directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return if super::is_program(&path) {
            Ok(path)
        } else {
            Err(QemuError::BadOverride { path })
        };
    }
    let program = platform::executable_name(TARGET.0);
    super::find_program(&program, search_path).ok_or(QemuError::NotFound { program })
}

/// The version in the first line of `--version`, with or without a packager's
/// suffix: `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)`.
fn parse_version(text: &str) -> Option<Version> {
    let number = text
        .lines()
        .next()?
        .split_once("QEMU emulator version ")?
        .1
        .split(|c: char| c != '.' && !c.is_ascii_digit())
        .next()?;
    let mut parts = number.split('.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some(Version(next()?, next()?, next().unwrap_or(0)))
}

/// Whether `-machine help` lists a machine: its lines begin with the name.
fn has_machine(help: &str, machine: &str) -> bool {
    help.lines().any(|line| line.split_whitespace().next() == Some(machine))
}

/// Standard output of a program that is to answer at once. Whatever MVM_QEMU
/// names is run here, so neither its time nor its output is without bound.
fn ask(path: &Path, arguments: &[&str]) -> io::Result<String> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const MOST_OUTPUT: u64 = 1 << 20;
    let mut child = spawn(path, arguments)?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let result = stdout.take(MOST_OUTPUT).read_to_end(&mut text);
        let _ = sender.send(result.map(|_| text));
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::other(format!("no answer to {arguments:?}")));
        }
        thread::sleep(Duration::from_millis(2));
    };
    if !status.success() {
        return Err(io::Error::other(format!("{arguments:?} gave {status}")));
    }
    // Should some grandchild hold the pipe open, the reader is left to itself.
    let text = receiver
        .recv_timeout(PATIENCE.saturating_sub(started.elapsed()))
        .map_err(io::Error::other)??;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn spawn(path: &Path, arguments: &[&str]) -> io::Result<Child> {
    let mut attempts = 0..20;
    loop {
        let result = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        match result {
            // A package manager, or another thread's fork, still has it open.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy
                    && attempts.next().is_some() =>
            {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright";
        assert_eq!(parse_version(debian), Some(Version(7, 2, 22)));
        let parse = |number: &str| parse_version(&format!("QEMU emulator version {number}\n"));
        assert_eq!(parse("10.1.0"), Some(Version(10, 1, 0)));
        assert_eq!(parse("9.0.50 (v9.0.0-1-gabc)"), Some(Version(9, 0, 50)));
        assert_eq!(parse("8.2"), Some(Version(8, 2, 0)));
        assert_eq!(parse("7.2.0-rc1"), Some(Version(7, 2, 0)));
        for bad in ["", "x", "7", "7.x", "99999999999.1.2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse_version("GNU coreutils 9.1\n"), None);
        assert_eq!(parse_version(""), None);
        assert!(Version(10, 0, 0) > OLDEST && Version(7, 1, 9) < OLDEST);
    }

    #[test]
    fn machines() {
        let help = "Supported machines are:\nmicrovm              microvm (i386)\nnone  empty\n";
        assert!(has_machine(help, "microvm"));
        assert!(!has_machine(help, "virt"));
        assert!(!has_machine(help, "micro"));
    }

    #[test]
    fn nothing_in_path() {
        let error = find(None, Some(OsStr::new("")), &mut None).unwrap_err();
        assert!(matches!(error, QemuError::NotFound { .. }));
        assert!(error.hint().unwrap().contains("install QEMU 7.2"));
        assert!(find(None, None, &mut None).is_err());
    }

    #[cfg(unix)]
    mod asked {
        use super::*;
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        fn program(dir: &Path, body: &str) -> PathBuf {
            let path = dir.join(TARGET.0);
            fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            path
        }

        fn qemu(dir: &Path, version: &str, machine: &str) -> PathBuf {
            let body = format!(
                "echo asked >> {}/log\n[ \"$1\" = --version ] \
                 && echo 'QEMU emulator version {version}' || echo '{machine}  a machine'",
                dir.display()
            );
            program(dir, &body)
        }

        #[test]
        fn once_per_file() {
            let dir = tempfile::tempdir().unwrap();
            let path = qemu(dir.path(), "8.1.2", TARGET.1);
            let mut entry = None;
            for _ in 0..3 {
                let found = find(None, Some(dir.path().as_os_str()), &mut entry).unwrap();
                assert_eq!((&found.path, found.version), (&path, Version(8, 1, 2)));
                assert!(found.sandbox);
            }
            let log = || fs::read_to_string(dir.path().join("log")).unwrap();
            assert_eq!(log().lines().count(), 2);
            qemu(dir.path(), "10.1.2", TARGET.1);
            let found = find(None, Some(dir.path().as_os_str()), &mut entry).unwrap();
            assert_eq!(found.version, Version(10, 1, 2));
            assert_eq!(log().lines().count(), 4);
        }

        #[test]
        fn without_a_sandbox_it_is_used_all_the_same() {
            let dir = tempfile::tempdir().unwrap();
            let body = format!(
                "case $1 in --version) echo 'QEMU emulator version 8.1.2';; -sandbox) exit 1;; \
                 *) echo '{}  a machine';; esac",
                TARGET.1
            );
            let path = program(dir.path(), &body);
            let found = find(Some(&path), None, &mut None).unwrap();
            assert!(!found.sandbox);
        }

        #[test]
        fn and_refused_if_unfit() {
            let dir = tempfile::tempdir().unwrap();
            let mut entry = None;
            let mut find = |path: &Path| find(Some(path), None, &mut entry);
            let old = qemu(dir.path(), "7.1.9", TARGET.1);
            assert!(matches!(find(&old), Err(QemuError::TooOld { .. })));
            let foreign = qemu(dir.path(), "9.0.0", "pc");
            assert!(matches!(find(&foreign), Err(QemuError::NoMachine { .. })));
            let other = program(dir.path(), "echo hello");
            assert!(matches!(find(&other), Err(QemuError::NotQemu { .. })));
            let failing = program(dir.path(), "exit 3");
            assert!(matches!(find(&failing), Err(QemuError::Unrunnable { .. })));
            let absent = dir.path().join("absent");
            assert!(matches!(find(&absent), Err(QemuError::BadOverride { .. })));
            assert_eq!(entry, None);
        }
    }
}
