// SPDX-License-Identifier: Apache-2.0
//! What a VMM process gives up before a guest runs in it, so that whoever
//! breaks out of the guest finds an empty room. This knows paths and rights
//! and nothing of VMs; docs/SECURITY.md says what the room still has.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod report;
#[cfg(windows)]
mod windows;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

#[cfg(target_os = "linux")]
pub use linux::{enter, library_places, loader_of, probe, spawn};
#[cfg(target_os = "macos")]
pub use macos::{enter, library_places, loader_of, probe, spawn};
pub use report::Report;
#[cfg(windows)]
pub use windows::{enter, library_places, loader_of, probe, spawn};

/// What a VMM process needs of the host. Whatever is not here it loses. A path
/// that does not exist is passed over: the VMM says so in better words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Files, and directories with all that is below, to read.
    pub read: Vec<PathBuf>,
    /// Programs, or directories of such, to read and to execute.
    pub execute: Vec<PathBuf>,
    /// Files that exist, to read and to write: disks.
    pub write: Vec<PathBuf>,
    pub shares: Vec<SharedDirectory>,
    /// What is to be seen in a share that is elsewhere on the host, which takes
    /// a mount namespace.
    pub binds: Vec<Bind>,
    /// Device nodes, to read, to write and for ioctl.
    pub devices: Vec<PathBuf>,
    /// Unix sockets to connect to; they must be there when the VMM enters.
    pub sockets: Vec<PathBuf>,
    /// The VMM itself talks to the host's network.
    pub host_network: bool,
    /// Who the files of this host's user belong to, seen from the guest. An
    /// ordinary user only: root's files are shared with their own numbers.
    pub guest_user: GuestUser,
}

/// A directory in which the guest reads and, unless it is read-only, makes and
/// removes what it likes, except for devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedDirectory {
    pub path: PathBuf,
    pub read_only: bool,
}

/// A file or directory that the VMM finds in another place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute and free of links.
    pub source: PathBuf,
    /// Something of the same kind to cover: it must exist on the host.
    pub target: PathBuf,
    pub read_only: bool,
}

/// A user of the guest, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestUser {
    pub uid: u32,
    pub gid: u32,
}

/// How the VMM comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A program that knows nothing of this: it is confined before its start.
    Program,
    /// `mvm __runner`: it gets its namespaces before its start and does the
    /// rest itself, by [`enter`].
    Runner,
}

/// Why a VMM is not confined although this host could. What this host cannot do
/// is no error; [`Report`] tells.
#[derive(Debug, Error)]
pub enum ConfineError {
    #[error("cannot give up rights: {0}")]
    Apply(std::io::Error),
    #[error("cannot restrict file access: {0}")]
    Landlock(String),
    #[error("cannot filter system calls: {0}")]
    Seccomp(String),
    /// The host has no mount namespaces for this user, and nothing else puts the
    /// policy's files into their places.
    #[error("this host lets mvm mount nothing")]
    NoMounts,
    /// Not ours: the program itself could not be started.
    #[error("{0}")]
    Spawn(std::io::Error),
}
