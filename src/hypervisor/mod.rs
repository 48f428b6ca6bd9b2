// SPDX-License-Identifier: Apache-2.0
//! What a hypervisor must do for us, and the types in which it is asked. A
//! backend knows disks, shares, NICs and one byte stream to the guest; it knows
//! nothing of images, processes or records.

mod choice;
mod console;
#[cfg(unix)]
mod disks;
#[cfg(unix)]
pub mod libkrun;
mod policy;
#[cfg(unix)]
mod process;
#[cfg(unix)]
pub mod qemu;
#[cfg(unix)]
mod stage;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::confine::GuestUser;
pub use choice::{BackendName, By, Choice, Wish, choose};
pub use console::{CONSOLE_LOG, Console, MAX_CONSOLE_LOG, last_lines};
use mvm_proto::hello::Nonce;

/// CONFIG_NR_CPUS of our kernel: no backend gives a VM more vCPUs.
pub const MAX_VCPUS: u32 = 64;

/// A hypervisor. One value makes any number of VMs.
#[async_trait]
pub trait Backend: Send + Sync {
    /// As `--backend` and records name it.
    fn name(&self) -> &'static str;

    /// What it can do; stated, never found out by failing.
    fn capabilities(&self) -> Capabilities;

    /// Makes the disks of a root file system in the form this hypervisor reads
    /// and says how the guest finds them. Writes only below `directory`, the
    /// VM's own; its cost does not grow with the image.
    fn prepare_rootfs(&self, rootfs: &RootFs, directory: &Path) -> Result<PreparedRootFs, VmError>;

    /// Starts a VM. The handle owns everything that was started; on an error
    /// nothing is left running.
    async fn start(&self, config: VmConfig) -> Result<Box<dyn VmHandle>, VmError>;
}

/// A VM that was started. Dropping it ends the VM the hard way.
#[async_trait]
pub trait VmHandle: Send {
    fn id(&self) -> VmId;

    fn is_alive(&mut self) -> bool;

    /// The byte stream to the agent, once; the guest's hello comes first on it.
    fn channel(&mut self) -> Option<Dialing>;

    /// What the guest printed on its console.
    fn console(&self) -> &Console;

    /// What went wrong on the host while the VM ran on, if something did.
    fn trouble(&self) -> Option<&'static str>;

    /// Returns when the VM has ended by itself. Cancel safe.
    async fn wait(&mut self) -> VmEnd;

    /// Ends the VM: asks, and after `grace` forces. Idempotent; frees all that
    /// the VM held.
    async fn stop(&mut self, grace: Duration) -> VmEnd;
}

/// A duplex byte stream to the guest.
pub trait Channel: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Channel for T {}

/// The channel, as soon as the guest has dialled.
pub type Dialing = Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Channel>>> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmId {
    /// A process of the host.
    Pid(u32),
}

/// How a VM came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmEnd {
    /// The guest reset or powered off the machine.
    Guest,
    /// We ended it.
    Stopped,
    /// The VMM failed; with what it said.
    Crashed(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Runs guests without hardware virtualization.
    pub emulated: bool,
    pub vsock: bool,
    /// Shared directories at most.
    pub max_shares: usize,
    pub max_vcpus: u32,
    pub share_kind: ShareKind,
    /// Has a user-mode network of its own.
    pub user_network: bool,
    pub snapshot: bool,
    pub pause: bool,
    pub hot_plug: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShareKind {
    #[default]
    NineP,
    VirtioFs,
}

#[derive(Debug, Error)]
pub enum VmError {
    #[error("{0} was not found")]
    NotFound(String),
    #[error("the VM is not running")]
    NotRunning,
    #[error("{what} is not available (waited {} s)", .window.as_secs())]
    Unavailable { what: String, window: Duration },
    #[error("the {backend} backend does not support {capability}")]
    Unsupported { backend: &'static str, capability: String },
    #[error("the volume {} is gone", .0.display())]
    ShareGone(PathBuf),
    /// Somebody, perhaps a guest, put a link in the way.
    #[error("the volume {} is not what it was: a link leads elsewhere", .0.display())]
    ShareMoved(PathBuf),
    /// Neither a mount namespace nor a link beside the VM's disk can show it.
    #[error("{} cannot be a volume of this VM: {why}", .path.display())]
    NotShareable { path: PathBuf, why: String },
    #[error("another VM writes to the disk {}", .0.display())]
    DiskInUse(PathBuf),
    #[error("cannot {what}: {source}")]
    Io { what: String, source: std::io::Error },
}

impl VmError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("mvm doctor says what this host has".into()),
            Self::ShareGone(path) => {
                Some(format!("make {} again, or run without this volume", path.display()))
            }
            Self::ShareMoved(path) => {
                Some(format!("look at {}, and give its real path", path.display()))
            }
            Self::NotShareable { .. } => Some(
                "share one directory that has it in it, or let users make user namespaces \
                 (mvm doctor says how)"
                    .into(),
            ),
            Self::DiskInUse(_) => Some("mvm ps shows what runs; mvm stop ends it".into()),
            Self::Unsupported { .. } => Some("--backend qemu may do it".into()),
            _ => None,
        }
    }

    #[cfg(unix)]
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// What a root file system is made of.
#[derive(Clone, Debug)]
pub struct RootFs {
    /// Read-only layer images, bottom first.
    pub layers: Vec<LayerDisk>,
    /// The writable ext4 disk, raw.
    pub upper: PathBuf,
    pub read_only: bool,
    /// The upper disk is thrown away at the end: it need not survive a crash.
    pub ephemeral: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerDisk {
    pub path: PathBuf,
    /// Passed on to the guest: see `mvm_proto::Layer`.
    #[serde(with = "crate::spec::bytes::list")]
    pub implied_dirs: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub struct PreparedRootFs {
    pub disks: Vec<Disk>,
    /// The guest's view of the same disks.
    pub guest: mvm_proto::RootFs,
}

/// Everything a VM is made with. Consumed by `Backend::start`: what runs can
/// no longer be configured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VmConfig {
    pub name: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub disks: Vec<Disk>,
    pub shares: Vec<Share>,
    /// Whom the files of a share belong to in the guest if they are the host
    /// user's, who is not root.
    pub guest_user: GuestUser,
    pub nics: Vec<Nic>,
    /// ELF on x86_64, Image on aarch64.
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    /// Kernel arguments after our own.
    pub extra_arguments: Vec<String>,
    /// Ties the guest's hello to this boot; hexadecimal.
    pub nonce: String,
    /// Records and disks of this VM.
    pub data: PathBuf,
    /// Sockets of this VM.
    pub run: PathBuf,
    /// Console and VMM logs of this VM.
    pub log: PathBuf,
}

impl VmConfig {
    /// The nonce, which we made ourselves.
    pub fn nonce(&self) -> Nonce {
        Nonce::from_hex(&self.nonce).unwrap_or(Nonce([0; 16]))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// virtio-blk serial, at most 20 characters.
    pub serial: String,
    pub path: PathBuf,
    /// The files that a descriptor at `path` refers to.
    pub parts: Vec<PathBuf>,
    pub format: DiskFormat,
    pub read_only: bool,
    /// Its contents need not survive a crash of the host.
    pub ephemeral: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    Raw,
    /// A flat VMDK descriptor over raw files.
    Vmdk,
}

/// A directory of the host. Read-only is the host's to enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub tag: String,
    pub source: PathBuf,
    pub read_only: bool,
    /// If there are any, `source` is the VM's own, made when it starts, and the
    /// guest sees these in it, by their numbers. Absolute and free of links.
    pub parts: Vec<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nic {
    /// aa:bb:cc:dd:ee:ff
    pub mac: String,
    pub endpoint: Endpoint,
    /// Our end of the cable of `Endpoint::Stream`, plugged in by the monitor.
    #[cfg(unix)]
    #[serde(skip)]
    pub cable: Option<std::sync::Arc<std::os::fd::OwnedFd>>,
}

impl Nic {
    /// Not plugged in yet.
    pub fn new(mac: String, endpoint: Endpoint) -> Self {
        Self {
            mac,
            endpoint,
            #[cfg(unix)]
            cable: None,
        }
    }
}

/// The host's end of a NIC's cable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// The hypervisor's own user-mode network (`Capabilities::user_network`).
    HypervisorUser,
    /// A connected stream socket; each frame follows its length, four bytes in
    /// network order.
    Stream,
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A VM of nothing.
    pub fn config(directory: &Path) -> VmConfig {
        VmConfig {
            name: "n".into(),
            vcpus: 1,
            memory_mib: 64,
            disks: Vec::new(),
            shares: Vec::new(),
            guest_user: GuestUser::default(),
            nics: Vec::new(),
            kernel: directory.join("kernel"),
            initramfs: directory.join("initramfs"),
            extra_arguments: Vec::new(),
            nonce: String::new(),
            data: directory.to_owned(),
            run: directory.to_owned(),
            log: directory.to_owned(),
        }
    }
}
