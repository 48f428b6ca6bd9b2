// SPDX-License-Identifier: Apache-2.0
//! Waits for a device without polling: the kernel broadcasts a uevent when one
//! appears or gains its name.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

/// The kernel's own broadcasts (2 would be udev's).
const KERNEL_GROUP: u32 = 1;

/// Calls `find` now and after each uevent until it finds something. `None`
/// when `patience` is over.
pub fn wait_for<T>(
    patience: Duration,
    mut find: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    if let Some(found) = find()? {
        return Ok(Some(found));
    }
    let deadline = Instant::now() + patience;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    loop {
        // Looked for after the socket exists, so that no event is missed.
        if let Some(found) = find()? {
            return Ok(Some(found));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let mut event = [0; 2048];
        // Whatever it says, and even if some were lost, `find` looks again.
        while recv(&socket, &mut event, RecvFlags::empty()).is_ok() {}
    }
}
