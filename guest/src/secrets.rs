// SPDX-License-Identifier: Apache-2.0
//! Files in memory that the host sent (`--secret`), mounted read-only where the
//! workload looks for them: on no disk, and gone with the VM.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use mvm_proto::{MAX_SECRETS, Secret};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};

use crate::error::{Failure, Step};
use crate::mounts::{make_directories, mount_entry};
use crate::users;

/// Where most of them are: a file system of their own.
const DIRECTORY: &str = "/run/secrets";

/// Covered while files for elsewhere are made; mounted by then.
const SCRATCH: &str = "/dev/shm";

const FLAGS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Makes them and wipes what the message held.
pub fn mount(secrets: &mut [Secret]) -> Result<(), Failure> {
    let bytes: usize = secrets.iter().map(|secret| secret.content.len()).sum();
    if bytes > MAX_SECRETS {
        return Err(Failure::invalid("make the secrets", format!("they have {bytes} bytes")));
    }
    let (inside, elsewhere): (Vec<_>, Vec<_>) =
        secrets.iter().partition(|secret| path(secret).starts_with(DIRECTORY));
    if !inside.is_empty() {
        make_directories(Path::new(DIRECTORY))?;
        cover(DIRECTORY)?;
        for secret in inside {
            path(secret).parent().map_or(Ok(()), make_directories)?;
            make(secret, path(secret))?;
        }
        seal(DIRECTORY)?;
    }
    if !elsewhere.is_empty() {
        cover(SCRATCH)?;
        let placed = (0..).zip(elsewhere).try_for_each(|(n, secret)| place(secret, n));
        // The files stay as long as they are mounted elsewhere.
        unmount(SCRATCH, UnmountFlags::DETACH).step(|| "unmount the secrets' tmpfs")?;
        placed?;
    }
    for secret in secrets {
        secret.content.fill(0);
        // Or the compiler could leave that out.
        std::hint::black_box(&secret.content);
    }
    Ok(())
}

fn path(secret: &Secret) -> &Path {
    Path::new(OsStr::from_bytes(&secret.target))
}

fn cover(target: &str) -> Result<(), Failure> {
    mount_entry(&(target, "tmpfs", FLAGS, "mode=755,size=4m,nr_inodes=1k"))
}

fn seal(target: impl AsRef<Path>) -> Result<(), Failure> {
    let target = target.as_ref();
    mount_remount(target, MountFlags::BIND | MountFlags::RDONLY | FLAGS, "")
        .step(|| format!("make the secrets in {} read-only", target.display()))
}

/// A file for elsewhere: mounted over what is there, which may be nothing.
fn place(secret: &Secret, number: usize) -> Result<(), Failure> {
    let target = path(secret);
    let made = PathBuf::from(SCRATCH).join(number.to_string());
    make(secret, &made)?;
    target.parent().map_or(Ok(()), make_directories)?;
    let step = || format!("put a secret at {}", target.display());
    if fs::metadata(target).is_err() {
        File::options().write(true).create(true).truncate(false).open(target).step(step)?;
    }
    mount_bind(&made, target).step(step)?;
    seal(target)
}

fn make(secret: &Secret, path: &Path) -> Result<(), Failure> {
    let step = || format!("make the secret {}", String::from_utf8_lossy(&secret.target));
    // A user that the image does not have is told of when the command starts.
    let (uid, gid) = users::resolve(&secret.owner, &[]).map_or((0, 0), |user| (user.uid, user.gid));
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).step(step)?;
    file.write_all(&secret.content).step(step)?;
    fchown(&file, Some(uid), Some(gid)).step(step)?;
    file.set_permissions(Permissions::from_mode(secret.mode & 0o7777)).step(step)
}
