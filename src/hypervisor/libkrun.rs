// SPDX-License-Identifier: Apache-2.0
//! VMs in a process of our own program, `mvm __runner`, which libkrun takes
//! over: KVM on Linux, Hypervisor.framework on macOS. What it is to run comes
//! over its standard input; the guest dials the agent's channel by vsock.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use mvm_proto::{CHANNEL_ARGUMENT, NONCE_ARGUMENT, VSOCK_PORT};
use mvm_runner::{Config, Machine, VsockPort};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{ChildStdin, Command};

use super::process::{Start, Vmm, socket_pair};
use super::{
    Backend, Capabilities, Channel, Console, Dialing, Disk, DiskFormat, Endpoint, MAX_VCPUS, Nic,
    PreparedRootFs, RootFs, Share, ShareKind, VmConfig, VmEnd, VmError, VmHandle, VmId, disks,
};
use crate::confine::{self, Policy, Subject};
use crate::sys;

/// Name of the hidden command that becomes the VM.
pub const COMMAND: &str = "__runner";

/// Where the guest's connection arrives, in the VM's runtime directory, which
/// is the runner's working directory: a socket's address is short.
const SOCKET: &str = "agent.sock";

/// libkrun's slots, less two disks and a NIC.
const MAX_SHARES: usize = mvm_runner::MAX_DEVICES - 3;

/// Exit status of a runner that did not become a VM.
const NO_VM: u8 = 125;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Libkrun {}

#[async_trait]
impl Backend for Libkrun {
    fn name(&self) -> &'static str {
        "libkrun"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            vsock: true,
            max_shares: MAX_SHARES,
            max_vcpus: MAX_VCPUS.min(mvm_runner::MAX_VCPUS),
            share_kind: ShareKind::VirtioFs,
            ..Capabilities::default()
        }
    }

    fn prepare_rootfs(&self, rootfs: &RootFs, directory: &Path) -> Result<PreparedRootFs, VmError> {
        disks::prepare(rootfs, directory)
    }

    async fn start(&self, config: VmConfig) -> Result<Box<dyn VmHandle>, VmError> {
        let (console, console_end) = socket_pair()?;
        let machine = self.machine(&config, console_end.as_raw_fd())?;
        let listener =
            sys::listen(&config.run.join(SOCKET)).map_err(VmError::io("listen for the guest"))?;
        let mut ends = vec![console_end];
        for cable in config.nics.iter().filter_map(|nic| nic.cable.as_deref()) {
            ends.push(cable.try_clone().map_err(VmError::io("use the NIC's cable"))?);
        }
        let machine = with_cables(machine, &ends[1..]);
        let policy = policy(&config);
        let document = serde_json::to_vec(&Config { machine, policy: &policy })
            .map_err(|e| VmError::io("describe the VM")(e.into()))?;
        let start = Start {
            name: "the VM's runner",
            command: command(&config)?,
            ends: &ends,
            policy,
            subject: Subject::Runner,
        };
        let mut vmm = Vmm::spawn(start, console, &config)?;
        drop(ends);
        let mut stdin = vmm.stdin().ok_or_else(|| {
            VmError::io("reach the runner")(io::Error::from(io::ErrorKind::BrokenPipe))
        })?;
        // A runner that ends early says why itself.
        let _ = stdin.write_all(&document).await;
        Ok(Box::new(Running { vmm, listener: Some(listener), _stdin: stdin }))
    }
}

/// What libkrun needs beside what the VM does. The network comes by a
/// descriptor.
fn policy(config: &VmConfig) -> Policy {
    let mut policy = config.policy();
    if cfg!(target_os = "linux") {
        policy.devices.push("/dev/kvm".into());
    }
    policy.sockets.push(config.run.join(SOCKET));
    policy
}

/// Our own program again, with nothing of our environment.
fn command(config: &VmConfig) -> Result<Command, VmError> {
    let program = sys::this_program().map_err(VmError::io("find this program"))?;
    let mut command = Command::new(program);
    command.arg0("mvm").arg(COMMAND).arg(&config.name);
    command.stdin(Stdio::piped()).current_dir(&config.run).env_clear();
    if cfg!(feature = "system-libkrun") {
        let kept = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
        command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    }
    Ok(command)
}

impl Libkrun {
    fn machine(&self, config: &VmConfig, serial: RawFd) -> Result<Machine, VmError> {
        let unsupported =
            |capability: String| VmError::Unsupported { backend: "libkrun", capability };
        if !mvm_runner::HOSTS {
            return Err(unsupported("this build of mvm, which has no libkrun in it".into()));
        }
        if config.shares.len() > MAX_SHARES {
            return Err(unsupported(format!(
                "{} volumes in one VM; {MAX_SHARES} at most",
                config.shares.len()
            )));
        }
        let (Ok(vcpus), Ok(memory_mib)) =
            (u8::try_from(config.vcpus), u32::try_from(config.memory_mib))
        else {
            return Err(unsupported("a VM of this size".into()));
        };
        Ok(Machine {
            vcpus,
            memory_mib,
            kernel: config.kernel.clone(),
            initramfs: config.initramfs.clone(),
            command_line: kernel_arguments(config),
            disks: config.disks.iter().map(disk).collect(),
            shares: config.shares.iter().map(share).collect(),
            nics: config
                .nics
                .iter()
                .map(nic)
                .collect::<Option<_>>()
                .ok_or_else(|| unsupported("this kind of NIC".into()))?,
            vsock: vec![VsockPort { port: VSOCK_PORT, path: SOCKET.into() }],
            serial,
        })
    }
}

fn disk(disk: &Disk) -> mvm_runner::Disk {
    mvm_runner::Disk {
        serial: disk.serial.clone(),
        path: disk.path.clone(),
        format: match disk.format {
            DiskFormat::Raw => mvm_runner::DiskFormat::Raw,
            DiskFormat::Vmdk => mvm_runner::DiskFormat::Vmdk,
        },
        read_only: disk.read_only,
        durable: !disk.read_only && !disk.ephemeral,
    }
}

fn share(share: &Share) -> mvm_runner::Share {
    mvm_runner::Share {
        tag: share.tag.clone(),
        path: share.source.clone(),
        read_only: share.read_only,
    }
}

/// The cable's number is filled in when the child's end of it is known.
fn nic(nic: &Nic) -> Option<mvm_runner::Nic> {
    let mut mac = [0; 6];
    hex::decode_to_slice(nic.mac.replace(':', ""), &mut mac).ok()?;
    let plugged_in = nic.endpoint == Endpoint::Stream && nic.cable.is_some();
    plugged_in.then_some(mvm_runner::Nic { mac, stream: -1 })
}

fn with_cables(mut machine: Machine, cables: &[OwnedFd]) -> Machine {
    for (nic, cable) in machine.nics.iter_mut().zip(cables) {
        nic.stream = cable.as_raw_fd();
    }
    machine
}

/// On x86 libkrun has no ACPI: the i8042 resets the machine, and that ends it;
/// elsewhere PSCI does.
const MACHINE: &str = if cfg!(target_arch = "x86_64") {
    "console=ttyS0 reboot=k acpi=off pci=off"
} else {
    "console=ttyAMA0"
};

/// What does not depend on the VM but for its vCPUs; docs/KERNEL.md says what
/// each word saves.
pub fn kernel_words(vcpus: u32) -> String {
    let one = if cfg!(target_arch = "x86_64") && vcpus == 1 { " noreplace-smp" } else { "" };
    format!("{MACHINE} quiet panic=-1 dummy.numdummies=0 random.trust_cpu=on{one}")
}

fn kernel_arguments(config: &VmConfig) -> String {
    let mut words = vec![kernel_words(config.vcpus)];
    words.push(format!("{CHANNEL_ARGUMENT}=vsock {NONCE_ARGUMENT}={}", config.nonce));
    words.extend(config.extra_arguments.iter().cloned());
    words.join(" ")
}

struct Running {
    vmm: Vmm,
    listener: Option<UnixListener>,
    /// Where the kernel does not do it, its end is the runner's.
    _stdin: ChildStdin,
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
        let (listener, VmId::Pid(runner)) = (self.listener.take()?, self.vmm.id());
        Some(Box::pin(accept(listener, runner)))
    }

    fn console(&self) -> &Console {
        self.vmm.console()
    }

    fn trouble(&self) -> Option<&'static str> {
        None
    }

    async fn wait(&mut self) -> VmEnd {
        self.vmm.wait(|| VmEnd::Guest).await
    }

    async fn stop(&mut self, grace: Duration) -> VmEnd {
        // libkrun has no way to ask the guest; what it wrote is in the host's
        // hands already.
        self.vmm.stop(grace, sys::terminate).await
    }
}

/// The one connection of the runner. Another process of this user may find
/// the socket; it is not our guest.
async fn accept(listener: UnixListener, runner: u32) -> io::Result<Box<dyn Channel>> {
    loop {
        let (connection, _) = listener.accept().await?;
        if is_from(&connection, runner) {
            return Ok(Box::new(connection));
        }
        tracing::warn!("a stranger dialled the agent's socket");
    }
}

fn is_from(connection: &UnixStream, runner: u32) -> bool {
    let peer = connection.peer_cred().ok().and_then(|credentials| credentials.pid());
    peer.is_none_or(|pid| u32::try_from(pid) == Ok(runner))
}

/// Becomes the VM that standard input describes. To be called first of all:
/// before any thread, and before anything is opened.
pub fn runner() -> ExitCode {
    let why = mvm_runner::main(|policy: Policy| confine::enter(&policy).map_err(|e| e.to_string()));
    eprintln!("{why}");
    ExitCode::from(NO_VM)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::confine::GuestUser;

    fn config() -> VmConfig {
        VmConfig {
            name: "n".into(),
            vcpus: 1,
            memory_mib: 512,
            disks: Vec::new(),
            shares: Vec::new(),
            guest_user: GuestUser::default(),
            nics: Vec::new(),
            kernel: PathBuf::from("/kernel"),
            initramfs: PathBuf::from("/initramfs"),
            extra_arguments: vec!["last=word".into()],
            nonce: "00".repeat(16),
            data: PathBuf::from("/data"),
            run: PathBuf::from("/run"),
            log: PathBuf::from("/log"),
        }
    }

    #[test]
    fn the_guest_is_told_to_dial_by_vsock_and_to_reset_by_i8042() {
        let machine = Libkrun {}.machine(&config(), 5).unwrap();
        let line = &machine.command_line;
        let machine_words = MACHINE.split(' ');
        for word in machine_words.chain(["mvm.channel=vsock", "panic=-1", "last=word"]) {
            assert!(line.split(' ').any(|found| found == word), "{word} in {line}");
        }
        assert!(!line.contains("tsi"), "{line}");
        assert_eq!(machine.vsock, [VsockPort { port: VSOCK_PORT, path: SOCKET.into() }]);
    }

    #[test]
    fn the_runners_document_comes_back() {
        let mut machine = Libkrun {}.machine(&config(), 5).unwrap();
        machine.disks.push(disk(&Disk {
            serial: "upper".into(),
            path: "/u".into(),
            parts: Vec::new(),
            format: DiskFormat::Raw,
            read_only: false,
            ephemeral: true,
        }));
        assert!(!machine.disks[0].durable);
        let text =
            serde_json::to_string(&Config { machine: machine.clone(), policy: Policy::default() });
        let back: Config<Policy> = serde_json::from_str(&text.unwrap()).unwrap();
        assert_eq!(back.machine, machine);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_the_start() {
        let refused = |change: fn(&mut VmConfig)| {
            let mut config = config();
            change(&mut config);
            Libkrun {}.machine(&config, 5).unwrap_err().to_string()
        };
        let share = Share::new("v", "/".into(), true);
        let many = vec![share; MAX_SHARES + 1];
        let mut crowded = config();
        crowded.shares = many;
        assert!(Libkrun {}.machine(&crowded, 5).unwrap_err().to_string().contains("volumes"));
        assert!(refused(|c| c.vcpus = 256).contains("size"));
        assert!(refused(|c| c.memory_mib = 1 << 40).contains("size"));
        let nic = |endpoint| Nic { mac: "52:00:00:00:00:01".into(), endpoint, cable: None };
        for endpoint in [Endpoint::HypervisorUser, Endpoint::Stream] {
            let mut config = config();
            config.nics.push(nic(endpoint));
            assert!(Libkrun {}.machine(&config, 5).unwrap_err().to_string().contains("NIC"));
        }
    }
}
