// SPDX-License-Identifier: Apache-2.0
//! Raw streams that a program in the guest claims by name (`mvm stream`), each
//! of one command. The guest joins them (guest/src/rendezvous.rs); here bytes
//! pass between the command's connection and the channel.

use std::sync::Arc;
use std::time::Duration;

use mvm_proto::mux::Stream;
use mvm_proto::streams::JOINED;
use mvm_proto::{JoinEnd, JoinRequest};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::sync::{mpsc, oneshot};

use super::clients::{Client, Clients};
use super::exec::{Asked, Begun, Inside, lost};
use super::session::{Input, Session};
use super::streams::move_stdin;
use super::wire::{CHUNK, Event, Kind, Order, Streams};
use crate::error::{Failure, Result};

/// What a command wants to be joined to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    pub name: String,
    /// How long a program may take to claim it.
    pub window_ms: u64,
}

/// Joins a command's connection with a program in the guest. Its events are
/// those of a process: `Started` when they are joined, and how it ended.
pub fn begin(
    inside: &Arc<Inside>,
    request: StreamRequest,
    clients: &Arc<Clients>,
    client: &Client,
) -> Begun {
    let (number, first_stream) = inside.next();
    let process = format!("stream-{number}");
    let (session, input) = Session::new(&process, false, true, true);
    let streams = Streams { stdin: true, stdout: true, stderr: false };
    clients.attach(client, &process, streams);
    let (ordering, orders) = mpsc::channel(1);
    let joining = Joining {
        inside: Arc::clone(inside),
        clients: Arc::clone(clients),
        client: client.clone(),
        process,
        stream: first_stream,
    };
    tokio::spawn(joining.run(request, input, orders));
    Begun { session, orders: ordering }
}

struct Joining {
    inside: Arc<Inside>,
    clients: Arc<Clients>,
    client: Client,
    process: String,
    stream: u32,
}

impl Joining {
    async fn run(
        self,
        request: StreamRequest,
        input: mpsc::UnboundedReceiver<Input>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let joined = tokio::select! {
            joined = self.join(request, input) => joined,
            // The command has gone.
            () = async { while orders.recv().await.is_some() {} } => {
                self.inside.agent.part(self.stream).await;
                return;
            }
        };
        let event = match joined {
            Ok(()) => Event::Exited { code: 0, oom_killed: false },
            Err(Some(failure)) => Event::Failed(failure.status(1)),
            // The end of the VM is on its way to all.
            Err(None) => return,
        };
        self.clients.tell(&self.client, event).await;
    }

    async fn join(
        &self,
        request: StreamRequest,
        input: mpsc::UnboundedReceiver<Input>,
    ) -> Asked<()> {
        let agent = &self.inside.agent;
        let stream = agent.stream(self.stream).await.map_err(lost)?;
        let join = JoinRequest {
            name: request.name.clone(),
            stream: self.stream,
            window_ms: request.window_ms,
            ..Default::default()
        };
        let (from_guest, to_guest) = tokio::io::split(stream);
        let (opening, opened) = oneshot::channel();
        let receiving = self.receive(from_guest, opening);
        let sending = async {
            if opened.await.is_ok() {
                move_stdin(to_guest, input).await;
            }
            // The guest says when it is over.
            std::future::pending().await
        };
        let ended = async { agent.join(&join).await.map_err(lost) };
        let both = async { tokio::join!(receiving, ended).1 };
        let end = tokio::select! {
            end = both => end?,
            () = sending => return Ok(()),
        };
        Ok(explain(end, &request)?)
    }

    /// Passes on what comes, to its end. The first byte is the agent's.
    async fn receive(&self, mut stream: ReadHalf<Stream>, opening: oneshot::Sender<()>) {
        if !matches!(stream.read_u8().await, Ok(JOINED)) {
            return;
        }
        self.clients.tell(&self.client, Event::Started).await;
        let _ = opening.send(());
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let bytes = Arc::from(&buffer[..count]);
            self.clients.output(&self.process, Kind::Stdout, bytes).await;
        }
        self.clients.tell(&self.client, Event::OutputEnded).await;
    }
}

fn explain(end: JoinEnd, request: &StreamRequest) -> Result<()> {
    let name = &request.name;
    let failure = match end {
        JoinEnd::CLEAN => return Ok(()),
        JoinEnd::VANISHED => {
            Failure::new(format!("stream {name}: the program in the VM went away"))
        }
        JoinEnd::UNAVAILABLE => {
            let window = Duration::from_millis(request.window_ms).as_secs_f64();
            Failure::new(format!("stream {name} is unavailable: nobody claimed it in {window} s"))
                .hint(format!("in the VM: /dev/mvm stream {name}"))
        }
        JoinEnd::TAKEN => Failure::new(format!("stream {name} is taken"))
            .hint("another mvm stream waits for it, or has it: use another ID"),
        JoinEnd::FULL => Failure::new(format!("stream {name}: there are too many streams"))
            .hint("wait until some have ended"),
    };
    Err(failure)
}
