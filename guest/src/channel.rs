// SPDX-License-Identifier: Apache-2.0
//! The one byte stream to the host: a virtio-serial port or a vsock
//! connection. It knows nothing of what is said on it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mvm_proto::{SERIAL_PORT_NAME, VSOCK_PORT};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::cmdline::Transport;
use crate::error::{Failure, Step};
use crate::uevent;

/// How long the kernel may take to bring up the device. It is there when init
/// starts or a few milliseconds later.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open, non-blocking way to the host.
pub struct Channel(AsyncFd<OwnedFd>);

impl Channel {
    /// Must be called inside a tokio runtime.
    pub async fn open(transport: Transport) -> Result<Self, Failure> {
        let fd = match transport {
            Transport::Serial => open_serial()?,
            Transport::Vsock => return dial_vsock().await,
        };
        Ok(Self(register(fd).step(|| "register the serial port")?))
    }
}

fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor for as long as it lives,
    // and the AsyncFd takes it off the poller before it drops it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

fn open_serial() -> Result<OwnedFd, Failure> {
    let name = uevent::wait_for(PATIENCE, find_port)
        .step(|| "look for the serial port of the host")?
        .ok_or_else(|| Failure::new("wait for the serial port of the host", Errno::NODEV))?;
    let path = format!("/dev/{name}");
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let port = rustix::fs::open(&path, flags, Mode::empty()).step(|| format!("open {path}"))?;
    await_host(&port).step(|| format!("wait for the host on {path}"))?;
    Ok(port)
}

fn find_port() -> io::Result<Option<String>> {
    let ports = match std::fs::read_dir("/sys/class/virtio-ports") {
        Ok(ports) => ports,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    for port in ports {
        let port = port?;
        // The name comes in a message of its own, after the port.
        let name = std::fs::read_to_string(port.path().join("name")).unwrap_or_default();
        if name.trim_end() == SERIAL_PORT_NAME {
            return Ok(port.file_name().into_string().ok());
        }
    }
    Ok(None)
}

/// A port whose host end is not open yet polls as hung up, which tokio takes
/// for final; and it reads as ended. So the host's end comes first.
fn await_host(port: &OwnedFd) -> io::Result<()> {
    let waiter = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let edges = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&waiter, port, epoll::EventData::new_u64(0), edges)?;
    loop {
        let mut now = [PollFd::new(port, PollFlags::OUT)];
        poll(&mut now, Some(&Timespec::default()))?;
        if !now[0].revents().contains(PollFlags::HUP) {
            return Ok(());
        }
        let mut event = [std::mem::MaybeUninit::uninit(); 1];
        match epoll::wait(&waiter, &mut event[..], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// `struct sockaddr_vm` of the host's port.
struct HostPort(libc::sockaddr_vm);

impl HostPort {
    fn new() -> Self {
        // SAFETY: sockaddr_vm is integers only, for which zero is a value.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        address.svm_cid = libc::VMADDR_CID_HOST;
        address.svm_port = VSOCK_PORT;
        Self(address)
    }
}

// SAFETY: the pointer is to a whole, initialized sockaddr_vm that lives for
// the call, and the length is that of the structure.
unsafe impl SocketAddrArg for HostPort {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f((&raw const self.0).cast(), size_of::<libc::sockaddr_vm>() as SocketAddrLen)
    }
}

async fn dial_vsock() -> Result<Channel, Failure> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let address = HostPort::new();
    let dial = || {
        let socket = socket_with(AddressFamily::VSOCK, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Some(socket)),
            // The device that carries it is not up yet.
            Err(Errno::NODEV) => Ok(None),
            Err(e) => Err(e.into()),
        }
    };
    let step = || format!("dial vsock port {VSOCK_PORT} of the host");
    let socket = uevent::wait_for(PATIENCE, dial)
        .step(step)?
        .ok_or_else(|| Failure::new(step(), Errno::NODEV))?;
    let channel = register(socket).step(step)?;
    drop(channel.writable().await.step(step)?);
    sockopt::socket_error(channel.get_ref()).step(step)?.step(step)?;
    Ok(Channel(channel))
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(cx))?;
            let read = |fd: &AsyncFd<OwnedFd>| {
                let room = buffer.initialize_unfilled();
                Ok(rustix::io::retry_on_intr(|| rustix::io::read(fd.get_ref(), &mut *room))?)
            };
            if let Ok(read) = ready.try_io(read) {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(cx))?;
            let write = |fd: &AsyncFd<OwnedFd>| {
                Ok(rustix::io::retry_on_intr(|| rustix::io::write(fd.as_fd(), bytes))?)
            };
            if let Ok(written) = ready.try_io(write) {
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
