// SPDX-License-Identifier: Apache-2.0
//! The policy's paths as a Landlock ruleset (landlock(7)). The crate leaves out
//! what the kernel does not know.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use super::super::{ConfineError, Policy};

/// The newest whose rights are handled.
const NEWEST: ABI = ABI::V9;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const EXECUTE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
/// Devices made in a volume would be the host's.
const SHARE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveDir | RemoveFile
    | MakeDir | MakeReg | MakeSym | MakeSock | MakeFifo | Refer
});
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
const SOCKET: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ResolveUnix});

/// Rights that mean something on a file that is no directory.
const OF_FILES: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    Execute | ReadFile | WriteFile | Truncate | IoctlDev | ResolveUnix
});

/// The policy as a descriptor; `None` where the kernel has no Landlock.
pub fn ruleset(policy: &Policy) -> Result<Option<OwnedFd>, ConfineError> {
    build(policy).map_err(|e| ConfineError::Landlock(e.to_string()))
}

fn build(policy: &Policy) -> Result<Option<OwnedFd>, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    if !policy.host_network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let mut ruleset = ruleset.scope(Scope::from_all(NEWEST))?.create()?;
    for (paths, access) in [
        (&policy.read, READ),
        (&policy.execute, EXECUTE),
        (&policy.write, WRITE),
        (&policy.devices, DEVICE),
        (&policy.sockets, SOCKET),
    ] {
        for path in paths {
            ruleset = add(ruleset, path, access)?;
        }
    }
    for share in &policy.shares {
        let access = if share.read_only { READ } else { SHARE };
        ruleset = add(ruleset, &share.path, access)?;
    }
    for bind in &policy.binds {
        // Whoever asks is in the VMM's tree, where only the target is there, or
        // outside, where what covers it later is only at its source.
        let access = if bind.read_only { READ } else { SHARE };
        ruleset = add(ruleset, &bind.target, access)?;
        ruleset = add(ruleset, &bind.source, access)?;
    }
    Ok(ruleset.into())
}

fn add(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match open(path, access) {
        Some((fd, access)) => ruleset.add_rule(PathBeneath::new(fd, access)),
        None => Ok(ruleset),
    }
}

/// The path and those of the rights that it can have.
fn open(path: &Path, access: BitFlags<AccessFs>) -> Option<(PathFd, BitFlags<AccessFs>)> {
    let is_directory = path.metadata().ok()?.is_dir();
    let fd = PathFd::new(path).ok()?;
    Some((fd, if is_directory { access } else { access & OF_FILES }))
}

/// This kernel's, 0 for none.
pub fn abi() -> i32 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes no structure and gives a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION)
    };
    i32::try_from(version).unwrap_or(0).max(0)
}

/// Puts this thread, and whatever it starts, under the ruleset. A system call
/// only; no_new_privs must be set.
pub fn restrict(ruleset: &OwnedFd) -> io::Result<()> {
    // SAFETY: takes a descriptor, which is open, and no flags.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
