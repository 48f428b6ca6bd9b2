// SPDX-License-Identifier: Apache-2.0
//! Connections that go through a client's: to the VM's own loopback and sockets
//! (`-L`), and from ports of that loopback (`-R`). No further: the way to
//! anywhere else is the VM's network, if it has one.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::input::{Input, Inputs};
use super::session::close;
use super::{Handle, WriteHalf, limits};
use crate::lookup;
use crate::users::Credentials;

pub const PROHIBITED: ChannelOpenFailure = ChannelOpenFailure::AdministrativelyProhibited;

/// The loopback answers at once, or is too busy.
const CONNECTING: Duration = Duration::from_secs(10);

/// How long a stream may take what came for it before its channel was closed.
const LINGER: Duration = Duration::from_secs(10);

/// The first port that is not root's alone.
const UNPRIVILEGED: u32 = 1024;

/// What a connection goes to.
pub enum Target {
    Tcp(Vec<SocketAddr>),
    Local(StdUnixStream),
}

type Way = Result<Target, ChannelOpenFailure>;

impl Target {
    /// A port of the VM itself, by whatever name it has for itself.
    pub fn tcp(host: &str, port: u32, hostname: &str) -> Way {
        let port = u16::try_from(port).map_err(|_| PROHIBITED)?;
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => vec![address],
            Ok(address) if address.is_unspecified() => vec![v4, v6],
            Err(_) if host == "localhost" || host == hostname => vec![v4, v6],
            _ => return Err(PROHIBITED),
        };
        Ok(Self::Tcp(addresses.into_iter().map(|address| (address, port).into()).collect()))
    }

    /// A socket that this user may connect to.
    pub fn local(path: &str, user: &Credentials) -> Way {
        let open = || -> io::Result<StdUnixStream> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(socket.into())
        };
        let opened = lookup::as_user(user, open).and_then(|opened| opened);
        opened.map(Self::Local).map_err(|_| ChannelOpenFailure::ConnectFailed)
    }
}

/// The forwarded connections and ports of one connection.
pub struct Forwards {
    inputs: Inputs,
    listeners: HashMap<(String, u32), JoinHandle<()>>,
}

impl Forwards {
    pub fn new(inputs: Inputs) -> Self {
        Self { inputs, listeners: HashMap::new() }
    }

    pub async fn direct(&self, channel: Channel<Msg>, way: Way, reply: ChannelOpenHandle) {
        let target = match way {
            Ok(target) => target,
            Err(why) => return reply.reject(why).await,
        };
        let id = channel.id();
        let Some(input) = self.inputs.open(id) else {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        };
        let inputs = self.inputs.clone();
        let (_, channel) = channel.split();
        tokio::spawn(async move {
            match target {
                Target::Tcp(addresses) => match timeout(CONNECTING, connect_to(&addresses)).await {
                    Ok(Ok(stream)) => {
                        reply.accept().await;
                        let _ = stream.set_nodelay(true);
                        join(stream, channel, input).await;
                    }
                    _ => {
                        inputs.close(id);
                        reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    }
                },
                Target::Local(stream) => match UnixStream::from_std(stream) {
                    Ok(stream) => {
                        reply.accept().await;
                        join(stream, channel, input).await;
                    }
                    Err(_) => {
                        inputs.close(id);
                        reply.reject(ChannelOpenFailure::ConnectFailed).await;
                    }
                },
            }
        });
    }

    /// Listens on the loopback, whatever address is asked for, as sshd does
    /// without `GatewayPorts`. A port of 0 becomes the one that is chosen.
    pub async fn listen(
        &mut self,
        address: &str,
        port: &mut u32,
        root: bool,
        handle: Handle,
    ) -> bool {
        self.listeners.retain(|_, listening| !listening.is_finished());
        let reserved = *port != 0 && *port < UNPRIVILEGED && !root;
        let Ok(number) = u16::try_from(*port) else { return false };
        if self.listeners.len() >= limits::LISTENERS || reserved {
            return false;
        }
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).await else {
            return false;
        };
        let Ok(bound) = listener.local_addr() else { return false };
        *port = bound.port().into();
        let key = (address.to_owned(), *port);
        let serving = take(listener, key.clone(), handle, self.inputs.clone());
        self.listeners.insert(key, tokio::spawn(serving));
        true
    }

    pub fn cancel(&mut self, address: &str, port: u32) -> bool {
        let listening = self.listeners.remove(&(address.to_owned(), port));
        listening.map(|listening| listening.abort()).is_some()
    }
}

impl Drop for Forwards {
    fn drop(&mut self) {
        self.listeners.values().for_each(JoinHandle::abort);
    }
}

async fn connect_to(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connections to a port of the VM, each of which becomes a channel.
async fn take(
    listener: TcpListener,
    (address, port): (String, u32),
    handle: Handle,
    inputs: Inputs,
) {
    while let Ok((stream, from)) = listener.accept().await {
        let (handle, inputs, address) = (handle.clone(), inputs.clone(), address.clone());
        // One after the other: the client's answers bound how many there are.
        let (host, from_port) = (from.ip().to_string(), u32::from(from.port()));
        let opening = handle.channel_open_forwarded_tcpip(address, port, host, from_port);
        if let Ok(channel) = opening.await {
            tokio::spawn(serve(stream, channel, inputs));
        }
    }
}

/// Moves bytes between a stream and a channel that this side asked for.
pub async fn serve<S>(stream: S, channel: Channel<Msg>, inputs: Inputs)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_, channel) = channel.split();
    // There are as many as there may be.
    let Some(input) = inputs.open(channel.id()) else { return close(&channel).await };
    join(stream, channel, input).await;
}

/// Moves bytes both ways until both have ended, or the channel is closed. Then
/// what came before that still goes to the stream.
async fn join<S>(stream: S, channel: WriteHalf, input: Arc<Input>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let inward = async {
        while let Some(bytes) = input.next().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        input.ignore();
        let _ = writer.shutdown().await;
    };
    let outward = async {
        let mut buffer = vec![0; limits::PACKET as usize];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            if channel.data_bytes(buffer[..length].to_vec()).await.is_err() {
                return;
            }
        }
        let _ = channel.eof().await;
    };
    let lingering = async {
        input.closed().await;
        sleep(LINGER).await;
    };
    let writing = async {
        tokio::select! { () = inward => {} () = lingering => {} }
    };
    let reading = async {
        tokio::select! { () = outward => {} () = input.closed() => {} }
    };
    tokio::join!(writing, reading);
    let _ = channel.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_ends_in_the_vm() {
        let reaches = |host: &str| Target::tcp(host, 80, "box").is_ok();
        for host in ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "box", "0.0.0.0"] {
            assert!(reaches(host), "{host}");
        }
        for host in ["10.0.2.2", "example.com", "", "169.254.0.1", "localhost.", "fe80::1"] {
            assert!(!reaches(host), "{host}");
        }
        assert!(Target::tcp("localhost", 65_536, "box").is_err());
    }
}
