// SPDX-License-Identifier: Apache-2.0
//! The host's side of the guest agent: from the raw channel to typed calls.
//! The guest is hostile: each step has its deadline, each length its cap.

mod ending;

use std::time::Duration;

use mvm_proto::hello::{self, HelloError, Nonce};
use mvm_proto::mux::{self, Opener, Stream};
use mvm_proto::{
    AgentClient, Configured, Exit, InitConfig, JoinEnd, JoinRequest, MessageField, PartRequest,
    Process, ResizeRequest, ShutdownRequest, SignalRequest, Started, Terminal, WaitRequest,
};
use thiserror::Error;
use tokio::io::BufStream;
use tokio::time::timeout;
use ttrpc::asynchronous::Client;
use ttrpc::asynchronous::transport::Socket;
use ttrpc::context;

use crate::hypervisor::Dialing;
use crate::terminal::Size;

pub use ending::Ending;

/// How long the guest may take for one request that waits for nothing.
const CALL: Duration = Duration::from_secs(60);
/// How long to configure it, and to start what it is configured for.
const CONFIGURE: Duration = Duration::from_secs(120);
/// Bytes of the channel that are read or written at once.
const BUFFER: usize = 64 << 10;
/// Longest message of the guest that is shown, characters.
const MAX_MESSAGE: usize = 1000;

/// A guest that said its hello. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    client: AgentClient,
    opener: Opener,
}

#[derive(Debug, Error)]
pub enum AgentError {
    #[error("the guest did not report within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the guest said no proper hello: {0}")]
    Hello(#[from] HelloError),
    /// What the guest answered to a request.
    #[error("{0}")]
    Refused(String),
    #[error("the channel to the guest is closed")]
    Closed,
    /// `MAX_STREAMS` are open.
    #[error("as much runs in it as there can be")]
    Full,
}

type Result<T> = std::result::Result<T, AgentError>;

impl Agent {
    /// Waits for the guest to dial in and report, `window` at most.
    pub async fn accept(dialing: Dialing, nonce: Nonce, window: Duration) -> Result<Self> {
        let greeting = async {
            let mut channel = dialing.await.map_err(|_| AgentError::Closed)?;
            hello::greet(&mut channel, nonce).await?;
            Ok::<_, AgentError>(channel)
        };
        let channel = timeout(window, greeting).await.map_err(|_| AgentError::Silent(window))??;
        // yamux reads and writes headers and bodies by turns.
        let opener = mux::host(BufStream::with_capacity(BUFFER, BUFFER, channel));
        let control = opener.open(mux::CONTROL).await.map_err(|_| AgentError::Closed)?;
        let client = AgentClient::new(Client::new(Socket::new(control)));
        Ok(Self { client, opener })
    }

    pub async fn configure(&self, config: &InitConfig) -> Result<Configured> {
        self.client.configure(context::with_duration(CONFIGURE), config).await.map_err(refused)
    }

    /// Opens a raw stream for a process to claim.
    pub async fn stream(&self, id: u32) -> Result<Stream> {
        match timeout(CALL, self.opener.open(id)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::ResourceBusy => Err(AgentError::Full),
            Ok(Err(_)) => Err(AgentError::Closed),
            Err(_) => Err(AgentError::Silent(CALL)),
        }
    }

    pub async fn start(&self, process: &Process) -> Result<Started> {
        self.client.start(context::with_duration(CALL), process).await.map_err(refused)
    }

    /// Returns when the process has ended, however long that takes.
    pub async fn wait(&self, id: &str) -> Result<Exit> {
        let request = WaitRequest { id: id.to_owned(), ..Default::default() };
        self.client.wait(context::with_timeout(0), &request).await.map_err(refused)
    }

    pub async fn signal(&self, id: &str, signal: u32) -> Result<()> {
        let request = SignalRequest { id: id.to_owned(), signal, ..Default::default() };
        self.client.signal(context::with_duration(CALL), &request).await.map(drop).map_err(refused)
    }

    /// Sets the size of a process's terminal.
    pub async fn resize(&self, id: &str, size: Size) -> Result<()> {
        let request = ResizeRequest {
            id: id.to_owned(),
            terminal: MessageField::some(size.into()),
            ..Default::default()
        };
        self.client.resize(context::with_duration(CALL), &request).await.map(drop).map_err(refused)
    }

    /// Joins a stream with a program that claims its name; returns how that
    /// ended, however long that takes.
    pub async fn join(&self, request: &JoinRequest) -> Result<JoinEnd> {
        let joined = self.client.join(context::with_timeout(0), request).await.map_err(refused)?;
        Ok(joined.end.enum_value_or(JoinEnd::VANISHED))
    }

    /// This side is done with a stream that was, or is to be, joined.
    pub async fn part(&self, stream: u32) {
        let request = PartRequest { stream, ..Default::default() };
        let _ = self.client.part(context::with_duration(CALL), &request).await;
    }

    /// Asks the guest to end itself. Its end is the answer: this returns when
    /// the request is sent or the channel has closed.
    pub async fn shutdown(&self, grace: Duration) {
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        let request = ShutdownRequest { grace_ms, ..Default::default() };
        let _ = self.client.shutdown(context::with_duration(grace + CALL), &request).await;
    }
}

impl From<Size> for Terminal {
    fn from(size: Size) -> Self {
        let (rows, columns) = (size.rows.into(), size.columns.into());
        Self { rows, columns, ..Self::default() }
    }
}

#[cfg(test)]
impl Agent {
    /// One of a guest that never says a word.
    pub async fn mute() -> Self {
        let (channel, _guest) = tokio::io::duplex(1 << 16);
        let opener = mux::host(channel);
        let control = opener.open(mux::CONTROL).await.unwrap();
        let client = AgentClient::new(Client::new(Socket::new(control)));
        Self { client, opener }
    }
}

fn refused(error: ttrpc::Error) -> AgentError {
    match error {
        ttrpc::Error::RpcStatus(status) => {
            let printable = status.message().chars().filter(|c| !c.is_control());
            AgentError::Refused(printable.take(MAX_MESSAGE).collect())
        }
        ttrpc::Error::RemoteClosed | ttrpc::Error::LocalClosed | ttrpc::Error::Socket(_) => {
            AgentError::Closed
        }
        other => AgentError::Refused(other.to_string().chars().take(MAX_MESSAGE).collect()),
    }
}
