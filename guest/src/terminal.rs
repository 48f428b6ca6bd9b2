// SPDX-License-Identifier: Apache-2.0
//! Pseudo-terminals: one for a process that asks for it. We hold the master,
//! where what is typed goes in and what is shown comes out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use mvm_proto::Terminal;
use rustix::fs::{OFlags, Uid};
use rustix::mount::mount_bind;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CONSOLE: &str = "/dev/console";

/// The master's side. When the last copy goes, the terminal hangs up.
#[derive(Clone)]
pub struct Master(Arc<AsyncFd<OwnedFd>>);

/// Sets the size, for as long as there is a terminal.
#[derive(Clone)]
pub struct Sizer(Weak<AsyncFd<OwnedFd>>);

/// Makes a terminal of this size that belongs to a user. devpts gives it the
/// group tty and mode 0620.
pub fn open(size: &Terminal, owner: Uid) -> io::Result<(Master, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let master = rustix::fs::open("/dev/ptmx", flags, rustix::fs::Mode::empty())?;
    unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    rustix::fs::fchown(&slave, Some(owner), None)?;
    // As terminals of today: in a line, a character is erased and not a byte.
    let mut settings = tcgetattr(&slave)?;
    settings.input_modes |= InputModes::IUTF8;
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    tcsetwinsize(&master, winsize(size))?;
    // SAFETY: an `OwnedFd` names one descriptor, open until it is dropped; here
    // only shared references to it are lent.
    let master = unsafe { AsyncFd::register(master) }?;
    Ok((Master(Arc::new(master)), slave))
}

/// Makes a terminal what is behind /dev/console, as runc does for a container's
/// first process.
pub fn make_console(slave: impl AsFd) -> io::Result<()> {
    File::create(CONSOLE)?;
    let path = format!("/proc/self/fd/{}", slave.as_fd().as_raw_fd());
    Ok(mount_bind(path, CONSOLE)?)
}

impl Master {
    pub fn sizer(&self) -> Sizer {
        Sizer(Arc::downgrade(&self.0))
    }
}

impl Sizer {
    /// Programs in the terminal's foreground get SIGWINCH if it is another
    /// size than before.
    pub fn set(&self, size: &Terminal) -> io::Result<()> {
        match self.0.upgrade() {
            Some(master) => Ok(tcsetwinsize(&*master, winsize(size))?),
            None => Ok(()),
        }
    }
}

fn winsize(size: &Terminal) -> Winsize {
    let capped = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    Winsize { ws_row: capped(size.rows), ws_col: capped(size.columns), ws_xpixel: 0, ws_ypixel: 0 }
}

impl AsFd for Master {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

impl AsyncRead for Master {
    /// An error, EIO, once nobody has the other side open and all is read.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let read = ready.try_io(|fd| {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::io::read(fd, buffer.initialize_unfilled())
                })?)
            });
            if let Ok(read) = read {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Master {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            let write =
                ready.try_io(|fd| Ok(rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?));
            if let Ok(written) = write {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use rustix::termios::tcgetwinsize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn small() -> Terminal {
        Terminal { rows: 3, columns: 70_000, ..Default::default() }
    }

    fn pair() -> (Master, OwnedFd) {
        open(&small(), rustix::process::geteuid()).expect("a terminal")
    }

    #[tokio::test]
    async fn what_is_typed_is_echoed_and_what_is_written_shown_to_the_last_byte() {
        let (mut master, slave) = pair();
        master.write_all(b"a\xff\n").await.unwrap();
        let mut shown = [0; 4];
        master.read_exact(&mut shown).await.unwrap();
        assert_eq!(&shown, b"a\xff\r\n");
        let mut line = [0; 8];
        assert_eq!(rustix::io::read(&slave, &mut line).unwrap(), 3);
        rustix::io::write(&slave, b"the\0end").unwrap();
        drop(slave);
        let mut rest = Vec::new();
        // EIO, after all of it.
        assert!(master.read_to_end(&mut rest).await.is_err());
        assert_eq!(rest, b"the\0end");
    }

    #[tokio::test]
    async fn a_size_is_capped_and_set_while_there_is_a_terminal() {
        let (master, slave) = pair();
        let size = tcgetwinsize(&slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (3, u16::MAX));
        let sizer = master.sizer();
        sizer.set(&Terminal { rows: 24, columns: 80, ..Default::default() }).unwrap();
        let size = tcgetwinsize(&slave).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (24, 80));
        drop(master);
        sizer.set(&small()).unwrap();
    }

    /// More than the terminal holds: the writer waits and is woken.
    #[tokio::test]
    async fn a_paste_that_is_larger_than_the_terminals_buffer_comes_through() {
        let (mut master, slave) = pair();
        let mut settings = tcgetattr(&slave).unwrap();
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings).unwrap();
        let paste: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let reading = std::thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
            while all.len() < 1_000_000 {
                let length = rustix::io::read(&slave, &mut buffer).unwrap();
                all.extend_from_slice(&buffer[..length]);
            }
            all
        });
        master.write_all(&paste).await.unwrap();
        assert!(reading.join().unwrap() == paste);
    }
}
