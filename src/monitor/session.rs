// SPDX-License-Identifier: Apache-2.0
//! A process in the VM as commands meet it, and one command's side of that:
//! what it sends is stdin of its process, or an order.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::io::{AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::clients::{Client, Clients, Sender};
use super::exec::{self, Begun, ExecRequest, Inside};
use super::follow::Following;
use super::stream::{self, StreamRequest};
use super::wire::{self, Event, Kind, Order, STDIN_WINDOW, Streams};
use crate::error::Failure;

/// Bytes for a process's stdin, and who is to be given credit for as many.
pub struct Input {
    pub bytes: Vec<u8>,
    pub from: Sender,
}

/// A process in the VM.
pub struct Session {
    /// Its ID in the guest.
    pub process: String,
    pub terminal: bool,
    stdin: bool,
    /// stdin ends with the first command that ends it. Never on a terminal,
    /// where it has no end: one types ^D.
    once: bool,
    /// Unbounded as a type; bounded by the credit that commands are given.
    input: Mutex<Option<mpsc::UnboundedSender<Input>>>,
}

impl Session {
    /// The receiver is for what is to become its stdin.
    pub fn new(
        process: &str,
        terminal: bool,
        stdin: bool,
        once: bool,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let input = Mutex::new(stdin.then_some(sender));
        let process = process.to_owned();
        (Arc::new(Self { process, terminal, stdin, once, input }), receiver)
    }

    fn send(&self, input: Input) {
        if let Some(sender) = &*self.input.lock().unwrap_or_else(PoisonError::into_inner) {
            // A process that reads no more is no error.
            let _ = sender.send(input);
        }
    }

    /// A command that was attached to stdin has ended it, or gone.
    fn input_ended(&self) {
        if self.once && !self.terminal {
            drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// What a connection may do.
pub struct Connection {
    pub clients: Arc<Clients>,
    pub client: Client,
    /// What its orders are about; what it may attach to.
    pub session: Arc<Session>,
    /// What it is attached to.
    pub streams: Streams,
    /// It launched the VM: output that it does not take, and nobody else,
    /// is refused to the workload.
    pub launcher: bool,
    /// It started its process: as above, for that.
    pub owner: bool,
    pub orders: mpsc::Sender<Order>,
    pub following: Following,
    /// Set while the workload runs.
    pub inside: Arc<OnceLock<Arc<Inside>>>,
}

impl Connection {
    /// It takes these streams from now on, as far as they are there.
    pub fn attach(&mut self, streams: Streams) {
        self.streams = Streams { stdin: streams.stdin && self.session.stdin, ..streams };
        self.clients.attach(&self.client, &self.session.process, self.streams);
    }

    /// Reads a command's frames until it goes.
    pub async fn listen<R: AsyncRead + Unpin>(mut self, reader: R) {
        let mut reader = BufReader::new(reader);
        while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
            match kind {
                Kind::Stdin => self.input(payload),
                Kind::Order => match wire::parse(&payload) {
                    Ok(order) => {
                        if self.order(order).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => tracing::warn!("a command sent no order: {error}"),
                },
                other => {
                    tracing::warn!("a command sent {other:?} out of turn");
                    break;
                }
            }
        }
        self.input(Vec::new());
        self.clients.remove(&self.client);
    }

    /// None is the end.
    fn input(&mut self, bytes: Vec<u8>) {
        if !self.streams.stdin || bytes.len() > STDIN_WINDOW {
            return;
        }
        if bytes.is_empty() {
            self.streams.stdin = false;
            self.session.input_ended();
        } else {
            self.session.send(Input { bytes, from: self.client.sender.clone() });
        }
    }

    /// An error means that nobody takes orders any more.
    async fn order(&mut self, order: Order) -> Result<(), mpsc::error::SendError<Order>> {
        match order {
            Order::Attach(streams) if !self.launcher => {
                let Session { terminal, stdin, .. } = *self.session;
                let answer = Event::Attached { terminal, stdin };
                self.clients.tell(&self.client, answer).await;
                self.attach(streams);
                Ok(())
            }
            Order::Exec(request) if !self.launcher => {
                self.exec(request).await;
                Ok(())
            }
            Order::Stream(request) if !self.launcher => {
                self.stream(request).await;
                Ok(())
            }
            Order::CloseOutput(stream) => {
                let taken = self.clients.close_output(&self.client, stream);
                match (self.launcher || self.owner) && !taken {
                    true => self.orders.send(order).await,
                    false => Ok(()),
                }
            }
            Order::AwaitLog { beyond } => {
                self.following.order(beyond);
                Ok(())
            }
            order => self.orders.send(order).await,
        }
    }

    /// From here on this connection is that of a process of its own.
    async fn exec(&mut self, request: ExecRequest) {
        let Some(inside) = self.inside().await else { return };
        let streams = request.streams;
        let begun = exec::begin(&inside, request, &self.clients, &self.client);
        self.own(begun, streams);
    }

    async fn stream(&mut self, request: StreamRequest) {
        let Some(inside) = self.inside().await else { return };
        let streams = Streams { stdin: true, stdout: true, stderr: false };
        let begun = stream::begin(&inside, request, &self.clients, &self.client);
        self.own(begun, streams);
    }

    /// Where it may have something of its own, once.
    async fn inside(&self) -> Option<Arc<Inside>> {
        let refused = match self.inside.get() {
            Some(inside) if inside.is_over() => {
                Failure::new("the VM is stopping: its command has ended")
                    .hint("mvm wait returns when it has stopped")
            }
            Some(inside) if !self.owner => return Some(Arc::clone(inside)),
            _ => Failure::new("the VM's command does not run yet"),
        };
        self.clients.tell(&self.client, Event::Failed(refused.status(1))).await;
        None
    }

    fn own(&mut self, begun: Begun, streams: Streams) {
        self.session = begun.session;
        self.orders = begun.orders;
        self.streams = streams;
        self.owner = true;
    }
}

#[cfg(test)]
mod tests;
