// SPDX-License-Identifier: Apache-2.0
//! Namespaces of a VMM's own: a network in which nothing is, a file system with
//! its own files only, and, for an ordinary user, user IDs by which the files of
//! that user belong to the guest's workload (user_namespaces(7)).

use std::io;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::write;
use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::super::{Policy, Report};
use super::tree::Tree;

/// How much of it a child tries; what the host refuses the next one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// All but the mounts.
    NoTree,
    None,
}

pub struct Namespaces {
    flags: UnshareFlags,
    tree: Option<Tree>,
    /// Lines for uid_map and gid_map.
    maps: Option<(String, String)>,
}

impl Namespaces {
    /// Those that this user asks the kernel for; with a tree also one of mounts.
    pub fn plan(policy: &Policy, tree: Option<Tree>) -> Self {
        let mut flags = UnshareFlags::NEWIPC;
        if !policy.host_network {
            flags |= UnshareFlags::NEWNET;
        }
        let mut maps = None;
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        if uid != 0 {
            flags |= UnshareFlags::NEWUSER;
            let guest = policy.guest_user;
            maps = Some((format!("{} {uid} 1", guest.uid), format!("{} {gid} 1", guest.gid)));
        }
        Self { flags, tree, maps }
    }

    /// Moves this process, which has one thread, into them. System calls only.
    /// After an error it may be in a namespace in which nobody is anyone.
    pub fn enter(&self, extent: Extent) -> io::Result<()> {
        let tree = self.tree.as_ref().filter(|_| extent == Extent::All);
        let mounts = if tree.is_some() { UnshareFlags::NEWNS } else { UnshareFlags::empty() };
        // SAFETY: nothing in this process has been promised a file descriptor
        // table or a working directory that another thread shares: there is no
        // other thread.
        unsafe { unshare_unsafe(self.flags | mounts)? };
        if let Some((uids, gids)) = &self.maps {
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/uid_map", uids.as_bytes())?;
            write_file(c"/proc/self/gid_map", gids.as_bytes())?;
        }
        tree.map_or(Ok(()), Tree::grow)
    }

    pub fn is_user(&self) -> bool {
        self.flags.contains(UnshareFlags::NEWUSER)
    }

    pub fn tell(&self, extent: Extent, report: &mut Report) {
        let entered = extent != Extent::None;
        report.mount_namespace = extent == Extent::All && self.tree.is_some();
        report.user_namespace = entered && self.is_user();
        report.network_namespace = entered && self.flags.contains(UnshareFlags::NEWNET);
    }
}

fn write_file(path: &std::ffi::CStr, content: &[u8]) -> io::Result<()> {
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match write(&file, content)? {
        count if count == content.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
