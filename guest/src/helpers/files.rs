// SPDX-License-Identifier: Apache-2.0
//! Files out of the VM and into it, as tars: see mvm-files.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use mvm_files::archive::Writer;
use mvm_files::helper::{INCOMPLETE, Incoming, Outgoing};
use mvm_files::{As, Into, Notes, Rules};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change, mount_remount};
use rustix::process::umask;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::{Failure, Step};

/// Writes the tar of a file or directory to stdout.
pub fn out(arguments: Vec<OsString>) -> ExitCode {
    let Some(asked) = Outgoing::parse(&bytes(arguments)) else { return misused() };
    give_way();
    let what = As { follow: asked.follow, ..As::named(&asked.name) };
    let path = Path::new(OsStr::from_bytes(&asked.path));
    let mut notes = Notes::default();
    let packed = descriptor(rustix::stdio::stdout()).map(Writer::new).and_then(|mut tar| {
        mvm_files::pack_pipe(path, &what, &mut tar, &mut notes).map_err(|e| e.to_string())?;
        tar.finish().map(drop).map_err(|e| e.to_string())
    });
    end(packed, &notes)
}

/// Makes files of the tar that comes on stdin.
pub fn into(arguments: Vec<OsString>) -> ExitCode {
    let Some(asked) = Incoming::parse(&bytes(arguments)) else { return misused() };
    // Who hangs up has ended the tar, too; that is the end to clean up after.
    // SAFETY: no handler is set, and nothing else in this process knows signals.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    umask(Mode::empty());
    give_way();
    let place = Path::new(OsStr::from_bytes(&asked.place));
    let into = if asked.each { Into::Below(place) } else { Into::Place(place) };
    let rules = Rules { owners: asked.owners, rights: true, follow: asked.each };
    let mut notes = Notes::default();
    let unpacked = prepare(&asked).map_err(|e| e.to_string()).and_then(|()| {
        let tar = descriptor(rustix::stdio::stdin())?;
        mvm_files::unpack_pipe(tar, into, rules, &mut notes).map_err(|e| e.to_string())
    });
    if asked.hook {
        // The host forgets what it had of them.
        rustix::fs::sync();
    }
    end(unpacked, &notes)
}

/// Pipes are to fill before this process runs, and to be emptied: to change places with the
/// agent for each piece takes longer than the piece.
fn give_way() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: a process of one thread changes its own policy; the kernel reads one struct.
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_BATCH, &parameters) };
}

/// Before the workload a root that is to be read-only can be written, for this process alone.
fn prepare(asked: &Incoming) -> Result<(), Failure> {
    if !asked.hook {
        return Ok(());
    }
    // SAFETY: this process has one thread, and no descriptor table is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.step(|| "get mounts of its own")?;
    let alone = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", alone).step(|| "keep its mounts for itself")?;
    mount_remount("/", MountFlags::BIND, "").step(|| "make the root writable")
}

/// Without the buffers of the standard library.
fn descriptor(of: impl std::os::fd::AsFd) -> Result<File, String> {
    let owned: io::Result<OwnedFd> = of.as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|e| e.to_string())
}

fn bytes(arguments: Vec<OsString>) -> Vec<Vec<u8>> {
    arguments.into_iter().map(OsString::into_vec).collect()
}

fn misused() -> ExitCode {
    eprintln!("the host and this program are not of the same mvm");
    ExitCode::FAILURE
}

fn end(outcome: Result<(), String>, notes: &Notes) -> ExitCode {
    for note in notes.lines() {
        eprintln!("{note}");
    }
    match outcome {
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Ok(()) if notes.incomplete => ExitCode::from(INCOMPLETE),
        Ok(()) => ExitCode::SUCCESS,
    }
}
