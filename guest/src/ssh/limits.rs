// SPDX-License-Identifier: Apache-2.0
//! How much one connection may take, and how long.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// From the start of a connection to a key that is let in.
pub const AUTHENTICATION: Duration = Duration::from_secs(60);
/// Wrong keys or users before the connection ends; OpenSSH's number.
pub const ATTEMPTS: usize = 6;
/// How long the answer to a wrong one takes, however it was wrong.
pub const REJECTION: Duration = Duration::from_millis(200);

/// Channels open at once: sessions, forwarded connections and agents.
pub const CHANNELS: usize = 64;
/// Ports of the VM that are forwarded to the client's side.
pub const LISTENERS: usize = 16;
/// Variables of one session, and bytes of a name or a value.
pub const VARIABLES: usize = 64;
pub const VARIABLE: usize = 4096;
/// Bytes of a command.
pub const COMMAND: usize = 128 * 1024;
/// Characters of a terminal's name.
pub const TERM: usize = 64;

/// Bytes that a client may send to a channel before it is told to go on.
pub const WINDOW: u32 = 1 << 20;
/// Bytes of data in one packet. OpenSSH sends and takes no more.
pub const PACKET: u32 = 32 * 1024;
/// Packets on their way between the connection and its channels.
pub const EVENTS: usize = 8;

/// Silence after which the client is asked whether it is there.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// Questions without an answer that end the connection.
pub const KEEPALIVES: usize = 10;

/// Returns when a client has had its time and has not shown a key.
pub async fn authentication(mut done: watch::Receiver<bool>, deadline: Instant) {
    let waiting = done.wait_for(|done| *done);
    if timeout_at(deadline, waiting).await.is_ok() {
        std::future::pending().await
    }
}
