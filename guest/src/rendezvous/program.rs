// SPDX-License-Identifier: Apache-2.0
//! A program at the socket: what it says before it has met the host, and how
//! bytes pass from then on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use mvm_proto::JoinEnd;
use mvm_proto::mux::{FRAME, Stream};
use mvm_proto::streams::{HANDSHAKE, MAX_LINE};
use tokio::io::unix::AsyncFd;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Interest,
};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

/// A program that has said which stream it wants.
pub struct Program {
    pub number: u64,
    pub reader: BufReader<OwnedReadHalf>,
    pub writer: OwnedWriteHalf,
    pub hang_up: HangUp,
    /// Dropped when it waits no more.
    pub waiting: Option<oneshot::Sender<()>>,
    pub _room: OwnedSemaphorePermit,
}

impl Program {
    pub async fn refuse(&mut self, why: &str) {
        let line = format!("{why}\n");
        let _ = timeout(HANDSHAKE, self.writer.write_all(line.as_bytes())).await;
    }
}

/// A line without its end; what has none within `MAX_LINE` bytes is none.
pub async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut limited = reader.take(MAX_LINE as u64);
    match limited.read_until(b'\n', &mut line).await {
        Ok(_) if line.pop() == Some(b'\n') => line,
        _ => Vec::new(),
    }
}

/// Moves bytes both ways until both have ended what they say.
pub async fn pass(stream: Stream, program: Program) -> JoinEnd {
    let Program { reader, writer, hang_up, .. } = program;
    let (from_host, to_host) = tokio::io::split(stream);
    let receiving = copy(from_host, writer);
    let sending = copy(reader, to_host);
    tokio::pin!(receiving, sending);
    tokio::select! {
        received = &mut receiving => match received {
            Ok(()) => match sending.await {
                Ok(()) => JoinEnd::CLEAN,
                Err(_) => JoinEnd::VANISHED,
            },
            Err(_) => JoinEnd::VANISHED,
        },
        sent = &mut sending => match sent {
            Ok(()) => tokio::select! {
                biased;
                received = &mut receiving => match received {
                    Ok(()) => JoinEnd::CLEAN,
                    Err(_) => JoinEnd::VANISHED,
                },
                () = hang_up.wait() => JoinEnd::VANISHED,
            },
            Err(_) => JoinEnd::VANISHED,
        },
    }
}

/// Copies to the end, and ends the other side.
async fn copy<R, W>(mut from: R, mut to: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; FRAME];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            count => {
                to.write_all(&buffer[..count]).await?;
                to.flush().await?;
            }
        }
    }
}

/// Knows when a program has closed its socket, and not only ended one side.
#[derive(Clone)]
pub struct HangUp(Arc<AsyncFd<OwnedFd>>);

impl HangUp {
    /// By a descriptor of its own: to look does not take readiness from those
    /// who read and write.
    pub fn of(program: &UnixStream) -> io::Result<Self> {
        let copy = program.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` names one descriptor, open until it is dropped;
        // here only shared references to it are lent.
        let registered = unsafe { AsyncFd::register_with_interest(copy, Interest::WRITABLE) };
        Ok(Self(Arc::new(registered?)))
    }

    pub async fn wait(&self) {
        while let Ok(mut ready) = self.0.writable().await {
            if ready.ready().is_write_closed() {
                return;
            }
            ready.clear_ready();
        }
    }
}
