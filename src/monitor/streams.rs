// SPDX-License-Identifier: Apache-2.0
//! The workload's streams between the guest and what is here: its log, and the
//! commands that are attached to it.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use mvm_proto::Process;
use mvm_proto::mux::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::clients::{Clients, Outgoing};
use super::session::{Input, Session};
use super::wire::{CHUNK, Event, Kind};
use crate::agent::{Agent, AgentError};
use crate::logs::{self, Writer};
use crate::terminal::Size;

/// Streams of the workload, by ID.
const STDIN: u32 = 1;
const STDOUT: u32 = 2;
const STDERR: u32 = 3;

/// Sizes of a terminal on their way to the guest.
const SIZES: usize = 64;

/// The workload's streams, before anything moves in them.
pub struct Streams {
    stdin: Option<Stream>,
    stdout: Stream,
    /// A terminal has none.
    stderr: Option<Stream>,
}

impl Streams {
    pub async fn open(
        agent: &Agent,
        stdin: bool,
        terminal: bool,
    ) -> std::result::Result<Self, AgentError> {
        let open_if = async |wanted: bool, id: u32| match wanted {
            true => agent.stream(id).await.map(Some),
            false => Ok(None),
        };
        let (stdin, stdout, stderr) = tokio::try_join!(
            open_if(stdin, STDIN),
            agent.stream(STDOUT),
            open_if(!terminal, STDERR)
        )?;
        Ok(Self { stdin, stdout, stderr })
    }

    /// Names them in the request for the process that they are for, and moves
    /// what comes. Memory is bounded: who takes output slowly holds it back.
    pub fn start(
        self,
        process: &mut Process,
        input: Option<mpsc::UnboundedReceiver<Input>>,
        log: Writer,
        session: &Arc<Session>,
        clients: &Arc<Clients>,
    ) -> Moving {
        let (closed, closing) = watch::channel(0);
        let (sizes, queue) = mpsc::channel(SIZES);
        let mut outputs = Vec::new();
        if let (Some(stream), Some(input)) = (self.stdin, input) {
            process.stdin = STDIN;
            tokio::spawn(move_stdin(stream, input));
        }
        process.stdout = STDOUT;
        process.stderr = if self.stderr.is_some() { STDERR } else { 0 };
        let log = Arc::new(Mutex::new(log));
        for (stream, kind) in [(Some(self.stdout), Kind::Stdout), (self.stderr, Kind::Stderr)] {
            let Some(stream) = stream else { continue };
            let (log, session) = (Arc::clone(&log), Arc::clone(session));
            let moving =
                move_output(stream, kind, log, session, Arc::clone(clients), closing.clone());
            outputs.push(tokio::spawn(moving));
        }
        Moving { outputs, closed, sizes, queue: Some(queue) }
    }
}

/// The workload's streams on their way.
pub struct Moving {
    outputs: Vec<JoinHandle<()>>,
    /// Bit n: nobody reads stream n any more.
    closed: watch::Sender<u8>,
    /// Sizes of the workload's terminal, one after the other.
    sizes: mpsc::Sender<Size>,
    queue: Option<mpsc::Receiver<Size>>,
}

impl Moving {
    /// The workload has a terminal that takes sizes from now on.
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
    log: Arc<Mutex<Writer>>,
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
        let written = log.lock().unwrap_or_else(PoisonError::into_inner).append(logged, frame);
        if let Err(error) = written {
            tracing::warn!("output is missing in the log: {error}");
        }
        let bytes = Arc::from(&frame[logs::HEADER..]);
        clients.output(&session.process, kind, bytes).await;
    }
}
