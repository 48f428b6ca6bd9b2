// SPDX-License-Identifier: Apache-2.0
//! A process's streams between the guest and what is here: the workload's log,
//! and the commands that are attached.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use mvm_proto::Process;
use mvm_proto::mux::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::clients::{Clients, Outgoing};
use super::session::{Input, Session};
use super::wire::{CHUNK, Event, Kind, Streams as Wanted};
use crate::agent::{Agent, AgentError};
use crate::logs::{self, Writer};
use crate::terminal::Size;

/// A process's streams are numbered from a first one on: stdin, stdout, stderr.
/// The workload's:
pub const MAIN: u32 = 1;

/// Bytes of output that are read at once, at first: most commands say little,
/// and memory that is touched takes time.
const FIRST_CHUNK: usize = 4 << 10;

/// Sizes of a terminal on their way to the guest.
const SIZES: usize = 64;

/// A process's streams, before anything moves in them.
pub struct Streams {
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
}

impl Streams {
    /// Names those that are wanted in the request for the process that they are
    /// for; a terminal has no stderr.
    pub fn name(process: &mut Process, first: u32, wanted: Wanted) {
        let terminal = process.terminal.is_some();
        let number_if = |wanted: bool, offset: u32| match wanted {
            true => first.wrapping_add(offset),
            false => 0,
        };
        process.stdin = number_if(wanted.stdin, 0);
        // A terminal has to have somewhere to write to.
        process.stdout = number_if(wanted.stdout || terminal, 1);
        process.stderr = number_if(wanted.stderr && !terminal, 2);
    }

    /// Those that the request names.
    pub async fn open(agent: &Agent, process: &Process) -> std::result::Result<Self, AgentError> {
        let open_if = async |number: u32| match number {
            0 => Ok(None),
            number => agent.stream(number).await.map(Some),
        };
        let (stdin, stdout, stderr) = tokio::try_join!(
            open_if(process.stdin),
            open_if(process.stdout),
            open_if(process.stderr)
        )?;
        Ok(Self { stdin, stdout, stderr })
    }

    /// Moves what comes. Memory is bounded: who takes output slowly holds it back.
    pub fn start(
        self,
        input: Option<mpsc::UnboundedReceiver<Input>>,
        log: Option<Writer>,
        session: &Arc<Session>,
        clients: &Arc<Clients>,
    ) -> Moving {
        let (closed, closing) = watch::channel(0);
        let (sizes, queue) = mpsc::channel(SIZES);
        let mut outputs = Vec::new();
        if let (Some(stream), Some(input)) = (self.stdin, input) {
            tokio::spawn(move_stdin(stream, input));
        }
        let log = Arc::new(Mutex::new(log));
        for (stream, kind) in [(self.stdout, Kind::Stdout), (self.stderr, Kind::Stderr)] {
            let Some(stream) = stream else { continue };
            let (log, session) = (Arc::clone(&log), Arc::clone(session));
            let moving =
                move_output(stream, kind, log, session, Arc::clone(clients), closing.clone());
            outputs.push(tokio::spawn(moving));
        }
        Moving { outputs, closed, sizes, queue: Some(queue) }
    }
}

/// A process's streams on their way.
pub struct Moving {
    outputs: Vec<JoinHandle<()>>,
    /// Bit n: nobody reads stream n any more.
    closed: watch::Sender<u8>,
    /// Sizes of its terminal, one after the other.
    sizes: mpsc::Sender<Size>,
    queue: Option<mpsc::Receiver<Size>>,
}

impl Moving {
    /// The process has a terminal that takes sizes from now on.
    pub fn sizes_go_to(&mut self, agent: &Agent, session: &Arc<Session>) {
        if let Some(queue) = self.queue.take() {
            tokio::spawn(move_sizes(agent.clone(), Arc::clone(session), queue));
        }
    }

    /// A guest that is behind by many of them is not helped by more.
    pub fn resize(&self, size: Size) {
        let _ = self.sizes.try_send(size);
    }

    /// Nobody reads stdout (1) or stderr (2) any more.
    pub fn close(&self, stream: u8) {
        let bit = 1u8.checked_shl(stream.into()).unwrap_or(0);
        self.closed.send_modify(|closed| *closed |= bit);
    }

    /// Returns when all output is handed over.
    pub async fn drained(self) {
        join_all(self.outputs).await;
    }
}

/// What commands send, until its end; they are given credit for what is taken.
pub async fn move_stdin<W>(mut stream: W, mut input: mpsc::UnboundedReceiver<Input>)
where
    W: AsyncWrite + Unpin,
{
    while let Some(Input { bytes, from }) = input.recv().await {
        if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
            // The workload closed its stdin: no more credit, nothing is lost
            // that anyone would read.
            return;
        }
        let credit = Outgoing::Event(Event::StdinCredit(bytes.len()));
        let _ = from.send(credit).await;
    }
    let _ = stream.shutdown().await;
}

async fn move_sizes(agent: Agent, session: Arc<Session>, mut sizes: mpsc::Receiver<Size>) {
    while let Some(size) = sizes.recv().await {
        if let Err(error) = agent.resize(&session.process, size).await {
            tracing::warn!("cannot set the size of the terminal: {error}");
        }
    }
}

async fn move_output(
    mut stream: Stream,
    kind: Kind,
    log: Arc<Mutex<Option<Writer>>>,
    session: Arc<Session>,
    clients: Arc<Clients>,
    mut closing: watch::Receiver<u8>,
) {
    let (bit, logged) = match kind {
        Kind::Stderr => (1 << 2, logs::Stream::Stderr),
        _ => (1 << 1, logs::Stream::Stdout),
    };
    // The log's header stands in front of the bytes: both are one write.
    let mut buffer = vec![0; logs::HEADER + FIRST_CHUNK];
    loop {
        let count = tokio::select! {
            count = stream.read(&mut buffer[logs::HEADER..]) => count.unwrap_or(0),
            // Dropping the stream tells the guest, and the workload gets EPIPE.
            _ = closing.wait_for(|closed| closed & bit != 0) => return,
        };
        if count == 0 {
            return;
        }
        let frame = &mut buffer[..logs::HEADER + count];
        if let Err(error) = keep(&log, logged, frame) {
            tracing::warn!("output is missing in the log: {error}");
        }
        let bytes = Arc::from(&frame[logs::HEADER..]);
        clients.output(&session.process, kind, bytes).await;
        // Who fills it has more to say.
        if count == buffer.len() - logs::HEADER && count < CHUNK {
            buffer.resize(logs::HEADER + (count * 4).min(CHUNK), 0);
        }
    }
}

/// Writes a chunk to the log, if there is one.
fn keep(
    log: &Mutex<Option<Writer>>,
    stream: logs::Stream,
    frame: &mut [u8],
) -> std::io::Result<()> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.as_mut().map_or(Ok(()), |log| log.append(stream, frame))
}
