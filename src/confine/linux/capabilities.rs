// SPDX-License-Identifier: Apache-2.0
//! Capabilities that a VMM started by root keeps: those without which the
//! files of a volume would not be the guest root's to use.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::super::{Policy, Subject};

/// To make files of any owner and mode in a volume, and to use those that are
/// there. Not MKNOD: a device made in a volume would be one of the host.
const WRITABLE: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID);

/// libkrun makes files as their owner instead of giving them away.
const SWITCHES_USERS: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// To read files of any owner and mode. The way around paths that comes with
/// it, `open_by_handle_at`, the filters close.
const READABLE: CapabilitySet = CapabilitySet::DAC_READ_SEARCH;

/// What a process of root under this policy keeps of what it has.
pub fn needed(policy: &Policy, subject: Subject) -> CapabilitySet {
    let mut needed = CapabilitySet::empty();
    let shares = policy.shares.iter().map(|share| share.read_only);
    for read_only in shares.chain(policy.binds.iter().map(|bind| bind.read_only)) {
        needed |= if read_only { READABLE } else { WRITABLE };
    }
    if subject == Subject::Runner && needed.contains(WRITABLE) {
        needed |= SWITCHES_USERS;
    }
    let read = [&policy.read, &policy.execute].into_iter().flatten();
    let write = [&policy.write, &policy.devices, &policy.sockets].into_iter().flatten();
    if read.clone().any(|path| is_closed_to_root(path, 0o4)) {
        needed |= READABLE;
    }
    if write.clone().any(|path| is_closed_to_root(path, 0o6)) {
        needed |= CapabilitySet::DAC_OVERRIDE;
    }
    needed
}

/// Whether root without a capability lacks one of these rights (of others) to
/// a path, because it belongs to another user; or cannot get there.
fn is_closed_to_root(path: &Path, rights: u32) -> bool {
    let Ok(path) = fs::canonicalize(path) else { return false };
    let closed = |part: &Path, rights: u32| match fs::symlink_metadata(part) {
        Ok(found) => found.uid() != 0 && found.mode() & rights != rights,
        Err(_) => true,
    };
    closed(&path, rights) || path.ancestors().skip(1).any(|directory| closed(directory, 0o1))
}

/// What this process has.
pub fn held() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted)
}

/// Gives up everything else, for this thread and what it executes. System
/// calls only.
pub fn keep(kept: CapabilitySet) -> io::Result<()> {
    let held = capabilities(None)?;
    if held.permitted.is_empty() {
        // An ordinary user, who with no_new_privs will never get any.
        return Ok(());
    }
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            match remove_if_not_kept(one, kept) {
                // Past the last that this kernel knows.
                Err(Errno::INVAL) => break,
                result => result?,
            }
        }
    }
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    let left = held.permitted.intersection(kept);
    let sets =
        CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

fn remove_if_not_kept(one: CapabilitySet, kept: CapabilitySet) -> Result<(), Errno> {
    if kept.contains(one) { Ok(()) } else { remove_capability_from_bounding_set(one) }
}
