// SPDX-License-Identifier: Apache-2.0
//! What moves between a process in the VM and the commands: bytes of its
//! streams, sizes of its terminal.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use mvm_proto::mux::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::clients::{Clients, Outgoing};
use super::session::{Input, Session};
use super::wire::{CHUNK, Event, Kind};
use crate::agent::Agent;
use crate::logs::{self, Writer};
use crate::terminal::Size;

/// Sizes of a terminal that wait for the guest.
const SIZES: usize = 64;

/// What output is written to, if it is.
type Log = Mutex<Option<Writer>>;

/// What moves while a process runs. Memory is bounded: who takes output slowly
/// holds it back.
pub struct Moving {
    session: Arc<Session>,
    clients: Arc<Clients>,
    log: Arc<Log>,
    outputs: Vec<JoinHandle<()>>,
    /// Bit n: nobody reads stream n any more.
    closed: watch::Sender<u8>,
    /// Sizes of its terminal, one after the other.
    sizes: mpsc::Sender<Size>,
    /// Until someone takes them.
    queue: Option<mpsc::Receiver<Size>>,
}

impl Moving {
    pub fn new(session: &Arc<Session>, clients: &Arc<Clients>, log: Option<Writer>) -> Self {
        let (sizes, queue) = mpsc::channel(SIZES);
        Self {
            session: Arc::clone(session),
            clients: Arc::clone(clients),
            log: Arc::new(Mutex::new(log)),
            outputs: Vec::new(),
            closed: watch::Sender::new(0),
            sizes,
            queue: Some(queue),
        }
    }

    /// What commands send goes to its stdin.
    pub fn input(&self, stream: Stream, input: mpsc::UnboundedReceiver<Input>) {
        tokio::spawn(move_stdin(stream, input));
    }

    /// What comes goes to the log and to commands.
    pub fn output(&mut self, stream: Stream, kind: Kind) {
        let (log, session) = (Arc::clone(&self.log), Arc::clone(&self.session));
        let (clients, closing) = (Arc::clone(&self.clients), self.closed.subscribe());
        let moving = move_output(stream, kind, log, session, clients, closing);
        self.outputs.push(tokio::spawn(moving));
    }

    /// It runs, and its terminal takes sizes from now on.
    pub fn sizes_go_to(&mut self, agent: &Agent) {
        if let Some(queue) = self.queue.take().filter(|_| self.session.terminal) {
            tokio::spawn(move_sizes(agent.clone(), self.session.process.clone(), queue));
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

/// Until the end of the input. Who sent it is given credit for as much.
async fn move_stdin(mut stream: Stream, mut input: mpsc::UnboundedReceiver<Input>) {
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

async fn move_sizes(agent: Agent, process: String, mut sizes: mpsc::Receiver<Size>) {
    while let Some(size) = sizes.recv().await {
        if let Err(error) = agent.resize(&process, size).await {
            tracing::warn!("cannot set the size of the terminal: {error}");
        }
    }
}

/// Until its end, or nobody is to read it any more.
async fn move_output(
    mut stream: Stream,
    kind: Kind,
    log: Arc<Log>,
    session: Arc<Session>,
    clients: Arc<Clients>,
    mut closing: watch::Receiver<u8>,
) {
    let (bit, logged) = match kind {
        Kind::Stderr => (1 << 2, logs::Stream::Stderr),
        _ => (1 << 1, logs::Stream::Stdout),
    };
    // The log's header stands in front of the bytes: both are one write.
    let mut buffer = vec![0; logs::HEADER + CHUNK];
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
    }
}

/// Writes a chunk to the log, if there is one.
fn keep(log: &Log, stream: logs::Stream, frame: &mut [u8]) -> std::io::Result<()> {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.as_mut().map_or(Ok(()), |log| log.append(stream, frame))
}
