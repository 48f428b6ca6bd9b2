// SPDX-License-Identifier: Apache-2.0
//! VMs in a `qemu-system-*` child, by KVM where that really runs guests and
//! emulated everywhere else. Channel, console and QMP are socket pairs that
//! the child inherits: no path to guess, nothing to clean up.

mod command;
mod qmp;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use super::process::{Start, Vmm, socket_pair};
use super::{
    Backend, Capabilities, Channel, Console, Dialing, Endpoint, MAX_VCPUS, PreparedRootFs, RootFs,
    ShareKind, VmConfig, VmEnd, VmError, VmHandle, VmId, disks,
};
use crate::confine::{self, Policy, Subject};
use command::Descriptors;
use qmp::Qmp;

/// `acpi=off` leaves the microvm machine 8 virtio-mmio transports; layers,
/// upper and the serial bus take 3, a NIC 1.
const MAX_SHARES: usize = 4;

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
        disks::prepare(rootfs, directory)
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
            .current_dir(&config.data)
            // Its messages are read.
            .env("LC_ALL", "C");
        let start = Start {
            name: "QEMU",
            command,
            ends: &ends,
            policy: self.policy(&config),
            subject: Subject::Program,
        };
        let vmm = Vmm::spawn(start, console, &config)?;
        drop(ends);
        Ok(Box::new(Running { vmm, channel: Some(channel), qmp: Qmp::start(control) }))
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

struct Running {
    vmm: Vmm,
    channel: Option<UnixStream>,
    qmp: Qmp,
}

#[async_trait]
impl VmHandle for Running {
    fn id(&self) -> VmId {
        self.vmm.id()
    }

    fn is_alive(&mut self) -> bool {
        self.vmm.is_alive()
    }

    fn channel(&mut self) -> Option<Dialing> {
        let channel: Box<dyn Channel> = Box::new(self.channel.take()?);
        Some(Box::pin(std::future::ready(Ok(channel))))
    }

    fn console(&self) -> &Console {
        self.vmm.console()
    }

    fn trouble(&self) -> Option<&'static str> {
        self.qmp.disk_was_full().then_some("the host's disk is full: writes of the VM failed")
    }

    async fn wait(&mut self) -> VmEnd {
        let qmp = &self.qmp;
        self.vmm.wait(|| if qmp.was_quit() { VmEnd::Stopped } else { VmEnd::Guest }).await
    }

    async fn stop(&mut self, grace: Duration) -> VmEnd {
        let qmp = &self.qmp;
        self.vmm.stop(grace, |_| qmp.quit()).await
    }
}
