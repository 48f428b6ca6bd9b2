// SPDX-License-Identifier: Apache-2.0
//! As much of rtnetlink (RFC 3549, rtnetlink(7)) as it takes to bring up an
//! interface with one address and one route: requests of plain bytes, each
//! answered by the kernel.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// `struct nlmsghdr`.
const HEADER_LENGTH: usize = 16;

/// `RTNH_F_ONLINK` of linux/rtnetlink.h.
const ONLINK: u32 = 4;

pub struct Netlink(OwnedFd);

impl Netlink {
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        // Protocol 0 is NETLINK_ROUTE.
        Ok(Self(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?))
    }

    /// Brings an interface up, with another MTU unless that is 0.
    pub fn bring_up(&self, index: u32, mtu: u32) -> io::Result<()> {
        // struct ifinfomsg: family, padding, type, index, flags, change mask.
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend((libc::IFF_UP as u32).to_ne_bytes());
        body.extend((libc::IFF_UP as u32).to_ne_bytes());
        if mtu != 0 {
            attribute(&mut body, libc::IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.request(libc::RTM_NEWLINK, 0, &body)
    }

    pub fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        // struct ifaddrmsg: family, prefix, flags, scope, index.
        let mut body = vec![libc::AF_INET as u8, prefix, 0, 0];
        body.extend(index.to_ne_bytes());
        attribute(&mut body, libc::IFA_LOCAL, &address.octets());
        attribute(&mut body, libc::IFA_ADDRESS, &address.octets());
        if prefix < 31 {
            let broadcast = address.to_bits() | (u32::MAX >> prefix);
            attribute(&mut body, libc::IFA_BROADCAST, &broadcast.to_be_bytes());
        }
        self.request(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    pub fn add_default_route(&self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        // struct rtmsg: family, lengths of destination, source and TOS, table,
        // protocol, scope, type, flags. On-link: the gateway may be outside
        // the prefix.
        let mut body = vec![libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_MAIN];
        body.extend([libc::RTPROT_BOOT, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST]);
        body.extend(ONLINK.to_ne_bytes());
        attribute(&mut body, libc::RTA_GATEWAY, &gateway.octets());
        attribute(&mut body, libc::RTA_OIF, &index.to_ne_bytes());
        self.request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE, &body)
    }

    fn request(&self, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let length = (HEADER_LENGTH + body.len()) as u32;
        let mut message = Vec::with_capacity(HEADER_LENGTH + body.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(&self.0, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answer = [0; 1024];
        let (length, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        read_answer(&answer[..length])
    }
}

/// `struct rtattr`, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// `struct nlmsgerr`: a negative errno, 0 for done.
fn read_answer(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let code = answer.get(16..20).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    match (kind.map(i32::from), code) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(-code)),
        _ => Err(Errno::BADMSG.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_say_their_length() {
        let mut body = Vec::new();
        attribute(&mut body, 3, b"hello");
        assert_eq!(body.len(), 12);
        assert_eq!(u16::from_ne_bytes([body[0], body[1]]), 9);
    }

    #[test]
    fn answers_carry_the_errno() {
        let mut answer = vec![0; 36];
        answer[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
        assert!(read_answer(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-libc::ENODEV).to_ne_bytes());
        assert_eq!(read_answer(&answer).unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(read_answer(&answer[..3]).is_err());
    }
}
