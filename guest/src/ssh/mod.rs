// SPDX-License-Identifier: Apache-2.0
//! The SSH server of a VM: one process for each connection, whose stdin and
//! stdout are the transport, as with `sshd -i`. It listens nowhere. It trusts
//! the host, which alone can reach it, no more than a client that has yet to
//! show a key: what comes in is bounded in number, size and time.

mod account;
mod agent;
mod connection;
mod forward;
mod input;
mod limits;
mod modes;
mod session;
mod setup;
mod spawn;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use russh::server::{Config, Msg, run_stream};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::reaper::Reaper;
pub use session::Running;
pub use setup::Setup;

type Handle = russh::server::Handle;
type WriteHalf = russh::ChannelWriteHalf<Msg>;

/// Serves one connection to its end, and ends what runs for it. Must be called
/// inside a tokio runtime of one thread, by a process that has no children but
/// those of `reaper`. Whoever stops waiting hangs up on what is `running`.
pub async fn serve<S>(setup: Setup, reaper: Reaper, running: Running, stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = Arc::new(config(&setup)?);
    let connection = connection::Connection::new(setup, reaper, running.clone());
    let authenticated = connection.authenticated();
    let deadline = Instant::now() + limits::AUTHENTICATION;
    let starting = timeout_at(deadline, run_stream(config, stream, connection));
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the client was too slow");
    let mut session = starting.await.map_err(|_| late())?.map_err(io_error)?;
    let served = tokio::select! {
        served = &mut session => served.map_err(io_error),
        () = limits::authentication(authenticated, deadline) => Err(late()),
    };
    running.hang_up();
    served
}

/// That the client went is told from what it did wrong.
fn io_error(error: russh::Error) -> io::Error {
    match error {
        russh::Error::IO(error) => error,
        russh::Error::HUP | russh::Error::Disconnect => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::other(other),
    }
}

fn config(setup: &Setup) -> io::Result<Config> {
    let methods: &[MethodKind] = &[MethodKind::PublicKey];
    Ok(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-mvm")),
        methods: MethodSet::from(methods),
        // The one guess that there is to be made is a key: it takes no less
        // time when the user is wrong, and nobody but the host can try.
        auth_rejection_time: limits::REJECTION,
        auth_rejection_time_initial: Some(std::time::Duration::ZERO),
        max_auth_attempts: limits::ATTEMPTS,
        keys: vec![setup.host_key.clone()],
        window_size: limits::WINDOW,
        maximum_packet_size: limits::PACKET,
        channel_buffer_size: limits::EVENTS,
        event_buffer_size: limits::EVENTS,
        inactivity_timeout: None,
        keepalive_interval: Some(limits::KEEPALIVE),
        keepalive_max: limits::KEEPALIVES,
        preferred: preferred(),
        ..Config::default()
    })
}

/// Few, and all of them good: what OpenSSH of the last ten years can speak.
fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::MLKEM768X25519_SHA256,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        cipher: Cow::Borrowed(&[
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::CHACHA20_POLY1305,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    }
}
