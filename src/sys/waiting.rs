// SPDX-License-Identifier: Apache-2.0
//! A copy of this process that waits to become a monitor. To fork while nothing
//! has happened yet costs a fraction of starting the program again: its pages
//! are there, and linked.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::net::UnixStream;

use super::{Connection, close_inherited, detach_from_terminal};

/// What the copy is called in lists of processes.
const NAME: &[u8] = b"mvm\0__monitor\0";

/// The connection to a copy that waits. It ends when this goes.
pub struct Waiting(BlockingStream);

/// Who returns from a fork.
pub enum Fork {
    /// This process, with its copy if there can be one.
    Maker(Option<Waiting>),
    /// The copy, when `become_monitor` was called.
    Monitor,
    /// The copy, which will not be needed.
    Unneeded,
}

/// Forks. To be called before there is another thread or anything that a copy
/// should not have.
pub fn fork_waiting() -> Fork {
    let Ok((ours, theirs)) = BlockingStream::pair() else { return Fork::Maker(None) };
    // SAFETY: there is one thread, so that the copy is a whole process, which
    // may do what any can.
    match unsafe { libc::fork() } {
        -1 => Fork::Maker(None),
        0 => {
            drop(ours);
            wait(theirs).map_or(Fork::Unneeded, |()| Fork::Monitor)
        }
        _ => Fork::Maker(Some(Waiting(ours))),
    }
}

impl Waiting {
    /// Connection, lock and log become the copy's standard descriptors 0, 1 and
    /// 2, as with `spawn_monitor`. Inside a runtime.
    pub fn become_monitor(self, lock: &File, log: &File) -> io::Result<Connection> {
        let files = [lock.as_fd(), log.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        message.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&self.0, &[IoSlice::new(&[0])], &mut message, SendFlags::NOSIGNAL)?;
        self.0.set_nonblocking(true)?;
        UnixStream::from_std(self.0)
    }
}

/// The copy until it is a monitor: it holds nothing of its maker's, is no
/// longer of its terminal, and shows none of its arguments.
fn wait(connection: BlockingStream) -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&connection)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    drop((connection, null));
    close_inherited();
    detach_from_terminal();
    std::env::set_current_dir("/")?;
    rename()?;
    let [lock, log] = receive()?;
    rustix::stdio::dup2_stdout(lock)?;
    rustix::stdio::dup2_stderr(log)?;
    Ok(())
}

fn receive() -> io::Result<[OwnedFd; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let stdin = rustix::stdio::stdin();
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(stdin, &mut [IoSliceMut::new(&mut byte)], &mut message, flags)?;
    let mut files = message.drain().flat_map(|part| match part {
        RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    match (files.next(), files.next()) {
        (Some(lock), Some(log)) => Ok([lock, log]),
        // The end: it was not needed.
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes over this process's arguments, which others can read, and which may
/// hold what is not for them.
fn rename() -> io::Result<()> {
    let arguments = arguments_place(&std::fs::read_to_string("/proc/self/stat")?)
        .ok_or_else(|| io::Error::other("/proc/self/stat does not say where they are"))?;
    for (at, byte) in arguments.zip(NAME.iter().copied().chain(std::iter::repeat(0))) {
        // SAFETY: the kernel put the arguments' bytes here, at the end of the
        // stack, and they can be written. This program has copied what it takes
        // of them, and nobody else knows of them.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(byte) };
    }
    Ok(())
}

/// Fields 48 and 49 of proc_pid_stat(5).
fn arguments_place(stat: &str) -> Option<std::ops::Range<usize>> {
    // The second field is the only one that may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut places = fields.split_ascii_whitespace().skip(48 - 3).map(str::parse);
    match (places.next()?, places.next()?) {
        (Ok(start), Ok(end)) if 0 < start && start < end => Some(start..end),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_where_the_kernel_says() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let place = arguments_place(&stat).unwrap();
        let length = std::fs::read("/proc/self/cmdline").unwrap().len();
        assert_eq!(place.len(), length);
        assert!(arguments_place("1 (a) b) R 1").is_none());
        assert!(arguments_place("").is_none());
    }
}
