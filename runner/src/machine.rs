// SPDX-License-Identifier: Apache-2.0
//! What a VM is made of, as the monitor writes it and the runner reads it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the runner reads from its standard input: one JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config<P> {
    pub machine: Machine,
    /// What the process gives up before it enters the VM.
    pub policy: P,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub vcpus: u8,
    pub memory_mib: u32,
    /// ELF on x86_64, Image on aarch64.
    pub kernel: PathBuf,
    pub initramfs: PathBuf,
    /// The whole of the kernel's command line.
    pub command_line: String,
    pub disks: Vec<Disk>,
    pub shares: Vec<Share>,
    pub nics: Vec<Nic>,
    pub vsock: Vec<VsockPort>,
    /// Number of an inherited descriptor that the serial port writes to.
    pub serial: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// virtio-blk serial, 20 bytes at most.
    pub serial: String,
    pub path: PathBuf,
    pub format: DiskFormat,
    pub read_only: bool,
    /// Flushes of the guest reach the host's disk.
    pub durable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    Raw,
    /// A flat descriptor over raw files, which libkrun opens read-only.
    Vmdk,
}

/// A directory by virtio-fs. The VMM refuses writes to a read-only one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub tag: String,
    pub path: PathBuf,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    pub mac: [u8; 6],
    /// Number of an inherited, connected stream socket; each frame follows its
    /// length, four bytes in network order.
    pub stream: i32,
}

/// A port of the host that the guest dials; libkrun connects it to the socket
/// at `path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsockPort {
    pub port: u32,
    /// At most 107 bytes, or relative to the runner's working directory.
    pub path: PathBuf,
}
