// SPDX-License-Identifier: Apache-2.0
//! VMs in a `qemu-system-*` child, by KVM where that really runs guests and
//! emulated everywhere else. Channel, console and QMP are socket pairs that
//! the child inherits: no path to guess, nothing to clean up.

mod command;
mod qmp;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{
    Backend, Capabilities, Channel, Console, Disk, DiskFormat, Endpoint, MAX_VCPUS, PreparedRootFs,
    RootFs, ShareKind, VmConfig, VmEnd, VmError, VmHandle, VmId,
};
use crate::confine::{self, ConfineError, Policy, Subject};
use crate::rootfs::layers;
use crate::sys;
use command::Descriptors;
use mvm_proto::DEVICE_BY_SERIAL;
use qmp::Qmp;

/// `acpi=off` leaves the microvm machine 8 virtio-mmio transports; layers,
/// upper and the serial bus take 3, a NIC 1.
const MAX_SHARES: usize = 4;
/// What is kept of the VMM's own messages, bytes.
const MAX_STDERR: usize = 16 << 10;

const LAYERS: &str = "layers";
const UPPER: &str = "upper";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    pub program: PathBuf,
    pub accelerator: Accelerator,
    /// It can filter its own system calls.
    pub sandbox: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    Kvm,
    /// Emulation. The host's TSC frequency, where it is known, spares the
    /// guest a calibration that has no good clock to go by.
    Tcg {
        tsc_khz: Option<u64>,
    },
}

#[async_trait]
impl Backend for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            emulated: matches!(self.accelerator, Accelerator::Tcg { .. }),
            max_shares: MAX_SHARES,
            max_vcpus: MAX_VCPUS,
            share_kind: ShareKind::NineP,
            user_network: true,
            ..Capabilities::default()
        }
    }

    fn prepare_rootfs(&self, rootfs: &RootFs, directory: &Path) -> Result<PreparedRootFs, VmError> {
        let mut disks = Vec::new();
        let mut table = Vec::new();
        if !rootfs.layers.is_empty() {
            let path = directory.join("layers.vmdk");
            table = layers::write_descriptor(&path, &rootfs.layers)
                .map_err(VmError::io("lay out the layers' disk"))?;
            disks.push(Disk {
                serial: LAYERS.into(),
                path,
                format: DiskFormat::Vmdk,
                parts: rootfs.layers.iter().map(|layer| layer.path.clone()).collect(),
                read_only: true,
                ephemeral: false,
            });
        }
        disks.push(Disk {
            serial: UPPER.into(),
            path: rootfs.upper.clone(),
            format: DiskFormat::Raw,
            parts: Vec::new(),
            read_only: false,
            ephemeral: rootfs.ephemeral,
        });
        let guest = mvm_proto::RootFs {
            layers_device: format!("{DEVICE_BY_SERIAL}{LAYERS}"),
            layers: table,
            upper_device: format!("{DEVICE_BY_SERIAL}{UPPER}"),
            read_only: rootfs.read_only,
            ..Default::default()
        };
        Ok(PreparedRootFs { disks, guest })
    }

    async fn start(&self, config: VmConfig) -> Result<Box<dyn VmHandle>, VmError> {
        self.check(&config)?;
        let (channel, channel_end) = socket_pair()?;
        let (console, console_end) = socket_pair()?;
        let (control, control_end) = socket_pair()?;
        let ends = [channel_end, console_end, control_end];
        let descriptors = Descriptors::of(&ends);
        let arguments = command::arguments(self, &config, &descriptors);
        tracing::debug!(program = %self.program.display(), ?arguments, "starting QEMU");
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .current_dir(&config.data)
            // Its messages are read.
            .env("LC_ALL", "C")
            .kill_on_drop(true);
        sys::inherit_and_die_with_us(&mut command, &ends);
        let (mut child, report) =
            confine::spawn(&mut command, &self.policy(&config), Subject::Program)
                .map_err(|e| self.not_started(e))?;
        tracing::debug!(%report, "QEMU is confined");
        drop(ends);
        let messages = child.stderr.take().map(|stderr| tokio::spawn(read_messages(stderr)));
        fs::create_dir_all(&config.log).map_err(VmError::io("make the log directory"))?;
        let console = Console::start(console, &config.log.join("console.log"))
            .map_err(VmError::io("write the console's log"))?;
        Ok(Box::new(Running {
            pid: child.id().unwrap_or_default(),
            child,
            channel: Some(Box::new(channel)),
            console,
            qmp: Qmp::start(control),
            messages,
            end: None,
        }))
    }
}

impl Qemu {
    /// What this QEMU needs beside what the VM does: itself, and the network
    /// where it is the VM's.
    fn policy(&self, config: &VmConfig) -> Policy {
        /// Where the resolver's configuration may lead.
        const NAMES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/localtime"];
        let mut policy = config.policy();
        policy.read.extend(confine::library_places(&self.program));
        policy.execute.push(self.program.clone());
        policy.execute.extend(confine::loader_of(&self.program));
        if self.accelerator == Accelerator::Kvm {
            policy.devices.push("/dev/kvm".into());
        }
        if !config.nics.is_empty() {
            policy.host_network = true;
            policy.read.extend(NAMES.map(PathBuf::from));
        }
        policy
    }

    fn not_started(&self, error: ConfineError) -> VmError {
        let program = self.program.display();
        match error {
            ConfineError::Spawn(e) if e.kind() == std::io::ErrorKind::NotFound => {
                VmError::NotFound(program.to_string())
            }
            ConfineError::Spawn(e) => VmError::io(format!("start {program}"))(e),
            other => VmError::io(format!("confine {program}"))(std::io::Error::other(other)),
        }
    }

    fn check(&self, config: &VmConfig) -> Result<(), VmError> {
        let unsupported = |capability: String| VmError::Unsupported { backend: "qemu", capability };
        if cfg!(not(target_arch = "x86_64")) {
            return Err(unsupported(format!("{} hosts", std::env::consts::ARCH)));
        }
        if config.shares.len() > MAX_SHARES {
            return Err(unsupported(format!(
                "{} volumes in one VM; {MAX_SHARES} at most",
                config.shares.len()
            )));
        }
        if config.vcpus > MAX_VCPUS {
            return Err(unsupported(format!("{} vCPUs; {MAX_VCPUS} at most", config.vcpus)));
        }
        if config.nics.iter().any(|nic| nic.endpoint != Endpoint::HypervisorUser) {
            return Err(unsupported("this kind of NIC".into()));
        }
        Ok(())
    }
}

fn socket_pair() -> Result<(UnixStream, OwnedFd), VmError> {
    let pair = || {
        let (ours, theirs) = BlockingStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs)))
    };
    pair().map_err(VmError::io("make a socket pair"))
}

struct Running {
    pid: u32,
    child: Child,
    channel: Option<Box<dyn Channel>>,
    console: Console,
    qmp: Qmp,
    messages: Option<JoinHandle<String>>,
    end: Option<VmEnd>,
}

#[async_trait]
impl VmHandle for Running {
    fn id(&self) -> VmId {
        VmId::Pid(self.pid)
    }

    fn is_alive(&mut self) -> bool {
        self.end.is_none() && matches!(self.child.try_wait(), Ok(None))
    }

    fn channel(&mut self) -> Option<Box<dyn Channel>> {
        self.channel.take()
    }

    fn console(&self) -> &Console {
        &self.console
    }

    fn trouble(&self) -> Option<&'static str> {
        self.qmp.disk_was_full().then_some("the host's disk is full: writes of the VM failed")
    }

    async fn wait(&mut self) -> VmEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        let status = self.child.wait().await;
        let end = match status {
            Ok(status) if status.success() && !self.qmp.was_quit() => VmEnd::Guest,
            Ok(status) if status.success() => VmEnd::Stopped,
            Ok(status) => VmEnd::Crashed(self.explain(&status.to_string()).await),
            Err(error) => VmEnd::Crashed(error.to_string()),
        };
        self.finish(end).await
    }

    async fn stop(&mut self, grace: Duration) -> VmEnd {
        if let Some(end) = &self.end {
            return end.clone();
        }
        if !grace.is_zero() {
            self.qmp.quit();
            if let Ok(status) = timeout(grace, self.child.wait()).await {
                tracing::debug!(?status, "QEMU quit");
                return self.finish(VmEnd::Stopped).await;
            }
        }
        let _ = self.child.kill().await;
        self.finish(VmEnd::Stopped).await
    }
}

impl Running {
    async fn finish(&mut self, end: VmEnd) -> VmEnd {
        self.console.finish().await;
        self.end = Some(end.clone());
        end
    }

    /// The VMM's last words, or at least its status.
    async fn explain(&mut self, status: &str) -> String {
        let said = match self.messages.take() {
            Some(messages) => messages.await.unwrap_or_default(),
            None => String::new(),
        };
        match super::last_lines(&said, 3).join("; ") {
            text if text.is_empty() => format!("QEMU ended with {status}"),
            text => format!("QEMU ended with {status}: {text}"),
        }
    }
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
