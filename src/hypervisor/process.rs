// SPDX-License-Identifier: Apache-2.0
//! A VMM that is a child of ours: what QEMU and the libkrun runner have in
//! common.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{CONSOLE_LOG, Console, VmConfig, VmEnd, VmError, VmId, last_lines, stage};
use crate::confine::{self, ConfineError, Policy, Subject};
use crate::sys;

/// What is kept of the VMM's own messages, bytes.
const MAX_STDERR: usize = 16 << 10;
/// Lines of them that are shown.
const LINES: usize = 3;

/// The running child. Dropped, it is killed.
pub struct Vmm {
    name: &'static str,
    pid: u32,
    child: Child,
    messages: Option<JoinHandle<String>>,
    console: Console,
    end: Option<VmEnd>,
    /// The VM's writable disks, locked.
    _disks: Vec<File>,
}

/// How a VMM comes to be.
pub struct Start<'a> {
    /// As messages name it.
    pub name: &'static str,
    pub command: Command,
    /// Descriptors that it keeps, under their numbers.
    pub ends: &'a [OwnedFd],
    pub policy: Policy,
    pub subject: Subject,
}

impl Vmm {
    /// Starts it confined and copies what comes from `console` to the VM's log.
    pub fn spawn(
        start: Start<'_>,
        console: UnixStream,
        config: &VmConfig,
    ) -> Result<Self, VmError> {
        let Start { name, mut command, ends, policy, subject } = start;
        check_sources(config)?;
        stage::set(config)?;
        let disks = lock_disks(config)?;
        let program = command.as_std().get_program().to_owned();
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        sys::inherit_and_die_with_us(&mut command, ends);
        let mut unlinked = None;
        let link = || match stage::link(config) {
            Ok(()) => true,
            Err(error) => {
                unlinked = Some(error);
                false
            }
        };
        let spawned = confine::spawn(&mut command, &policy, subject, link);
        let (mut child, report) = spawned.map_err(|error| {
            unlinked.unwrap_or_else(|| not_started(&program.display().to_string(), error))
        })?;
        tracing::debug!(%report, "{name} is confined");
        let messages = child.stderr.take().map(|stderr| tokio::spawn(read_messages(stderr)));
        fs::create_dir_all(&config.log).map_err(VmError::io("make the log directory"))?;
        let console = Console::start(console, &config.log.join(CONSOLE_LOG))
            .map_err(VmError::io("write the console's log"))?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { name, pid, child, messages, console, end: None, _disks: disks })
    }

    pub fn id(&self) -> VmId {
        VmId::Pid(self.pid)
    }

    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub fn console(&self) -> &Console {
        &self.console
    }

    pub fn is_alive(&mut self) -> bool {
        self.end.is_none() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the child's end, which is a good one if it is a success: then
    /// it was `when_well`. Cancel safe.
    pub async fn wait(&mut self, when_well: impl FnOnce() -> VmEnd) -> VmEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let end = match self.child.wait().await {
            Ok(status) if status.success() => when_well(),
            Ok(status) => VmEnd::Crashed(self.explain(status).await),
            Err(error) => VmEnd::Crashed(error.to_string()),
        };
        self.finish(end).await
    }

    /// Asks by `ask`, and after `grace` kills.
    pub async fn stop(&mut self, grace: Duration, ask: impl FnOnce(u32)) -> VmEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        if !grace.is_zero() {
            ask(self.pid);
            if let Ok(status) = timeout(grace, self.child.wait()).await {
                tracing::debug!(?status, "{} ended", self.name);
                return self.finish(VmEnd::Stopped).await;
            }
        }
        let _ = self.child.kill().await;
        self.finish(VmEnd::Stopped).await
    }

    async fn finish(&mut self, end: VmEnd) -> VmEnd {
        self.console.finish().await;
        self.end = Some(end.clone());
        end
    }

    /// The VMM's last words, or at least its status.
    async fn explain(&mut self, status: ExitStatus) -> String {
        let said = match self.messages.take() {
            Some(messages) => messages.await.unwrap_or_default(),
            None => String::new(),
        };
        match last_lines(&said, LINES).join("; ") {
            text if text.is_empty() => format!("{} ended with {status}", self.name),
            text => format!("{} ended with {status}: {text}", self.name),
        }
    }
}

fn not_started(program: &str, error: ConfineError) -> VmError {
    match error {
        ConfineError::Spawn(e) if e.kind() == io::ErrorKind::NotFound => {
            VmError::NotFound(program.to_owned())
        }
        ConfineError::Spawn(e) => VmError::io(format!("start {program}"))(e),
        other => VmError::io(format!("confine {program}"))(io::Error::other(other)),
    }
}

/// A connected pair: ours, and the child's.
pub fn socket_pair() -> Result<(UnixStream, OwnedFd), VmError> {
    let pair = || {
        let (ours, theirs) = BlockingStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs)))
    };
    pair().map_err(VmError::io("make a socket pair"))
}

/// What a VMM would only stumble over once it runs.
fn check_sources(config: &VmConfig) -> Result<(), VmError> {
    let gone = |path: &Path| VmError::NotFound(path.display().to_string());
    stage::check(config)?;
    let files = config.disks.iter().flat_map(|disk| disk.parts.iter().chain([&disk.path]));
    for file in files {
        fs::metadata(file).map_err(|_| gone(file))?;
    }
    Ok(())
}

/// Two VMs that write to one disk destroy it.
fn lock_disks(config: &VmConfig) -> Result<Vec<File>, VmError> {
    let writable = config.disks.iter().filter(|disk| !disk.read_only);
    let lock = |path: &Path| {
        let file = File::open(path)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    writable
        .map(|disk| match lock(&disk.path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(VmError::DiskInUse(disk.path.clone())),
            Err(error) => Err(VmError::io(format!("lock {}", disk.path.display()))(error)),
        })
        .collect()
}

async fn read_messages(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(MAX_STDERR);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hypervisor::{Disk, DiskFormat, Share};

    fn config(directory: &Path) -> VmConfig {
        let upper = directory.join("upper.img");
        fs::write(&upper, "disk").unwrap();
        let disk = Disk {
            serial: "upper".into(),
            path: upper,
            parts: Vec::new(),
            format: DiskFormat::Raw,
            read_only: false,
            ephemeral: true,
        };
        VmConfig { disks: vec![disk], ..crate::hypervisor::tests::config(directory) }
    }

    fn spawn(config: &VmConfig, program: &str) -> Result<Vmm, VmError> {
        let (console, end) = socket_pair()?;
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        let ends = [end];
        let (name, policy, subject) = ("the test", config.policy(), Subject::Runner);
        Vmm::spawn(Start { name, command, ends: &ends, policy, subject }, console, config)
    }

    /// Other tests fork too, and a fork holds every lock until it executes.
    fn spawn_when_free(config: &VmConfig, program: &str) -> Result<Vmm, VmError> {
        let begun = std::time::Instant::now();
        loop {
            match spawn(config, program) {
                Err(VmError::DiskInUse(_)) if begun.elapsed() < Duration::from_secs(10) => {
                    std::thread::yield_now();
                }
                other => return other,
            }
        }
    }

    #[tokio::test]
    async fn a_share_or_a_layer_that_vanished_is_named_before_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        let gone = directory.path().join("gone");
        config.disks[0].parts.push(gone.clone());
        let error = spawn(&config, "/bin/true").err().unwrap();
        assert!(matches!(&error, VmError::NotFound(path) if path.ends_with("gone")), "{error}");
        config.disks[0].parts.clear();
        config.shares.push(Share::new("v0", gone, true));
        let error = spawn(&config, "/bin/true").err().unwrap();
        assert!(matches!(error, VmError::ShareGone(_)), "{error}");
        assert!(error.hint().is_some());
    }

    #[tokio::test]
    async fn one_disk_is_one_vms() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let mut first = spawn(&config, "/bin/cat").unwrap();
        let error = spawn(&config, "/bin/cat").err().unwrap();
        assert!(matches!(error, VmError::DiskInUse(_)), "{error}");
        assert!(error.hint().is_some());
        first.stop(Duration::ZERO, |_| ()).await;
        drop(first);
        let mut next = spawn_when_free(&config, "/bin/cat").unwrap();
        next.wait(|| VmEnd::Guest).await;
    }

    #[tokio::test]
    async fn a_vmm_that_ends_badly_is_told_from_a_guest_that_ends() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        let mut well = spawn(&config, "/bin/true").unwrap();
        assert_eq!(well.wait(|| VmEnd::Guest).await, VmEnd::Guest);
        drop(well);
        let mut badly = spawn_when_free(&config, "/bin/false").unwrap();
        let VmEnd::Crashed(why) = badly.wait(|| VmEnd::Guest).await else { panic!() };
        assert!(why.contains("exit status: 1"), "{why}");
        drop(badly);
        let absent = spawn_when_free(&config, "/no/such/vmm").err().unwrap();
        assert!(matches!(absent, VmError::NotFound(_)), "{absent}");
    }
}
