// SPDX-License-Identifier: Apache-2.0
//! Commands connected to a monitor. All hear of events; those that are
//! attached get the workload's output too, and a slow one holds it back.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::follow::Following;
use super::wire::{self, Event, Kind, Order, STDIN_WINDOW};

/// Frames on their way to one command.
const QUEUE: usize = 8;

#[derive(Clone)]
pub enum Outgoing {
    Event(Event),
    /// A chunk of stdout or stderr.
    Output(Kind, Arc<[u8]>),
    /// Nothing comes after this.
    End,
}

/// The sending side of one command.
pub type Sender = mpsc::Sender<Outgoing>;

struct Client {
    sender: Sender,
    wants_output: bool,
    writing: JoinHandle<()>,
}

#[derive(Default)]
pub struct Clients(Mutex<Vec<Client>>);

impl Clients {
    pub fn add<W>(&self, mut writer: W, wants_output: bool) -> Sender
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, mut queue) = mpsc::channel(QUEUE);
        let writing = tokio::spawn(async move {
            while let Some(outgoing) = queue.recv().await {
                let written = match &outgoing {
                    Outgoing::Event(event) => {
                        wire::write_json(&mut writer, Kind::Event, event).await
                    }
                    Outgoing::Output(kind, bytes) => wire::write(&mut writer, *kind, bytes).await,
                    Outgoing::End => return,
                };
                if written.is_err() {
                    return;
                }
            }
        });
        let client = Client { sender: sender.clone(), wants_output, writing };
        self.lock().push(client);
        sender
    }

    pub async fn event(&self, event: Event) {
        self.send(Outgoing::Event(event), false).await;
    }

    pub async fn output(&self, kind: Kind, bytes: Arc<[u8]>) {
        self.send(Outgoing::Output(kind, bytes), true).await;
    }

    async fn send(&self, outgoing: Outgoing, output: bool) {
        let senders: Vec<Sender> = {
            let mut clients = self.lock();
            clients.retain(|client| !client.sender.is_closed());
            let wanting = clients.iter().filter(|client| client.wants_output || !output);
            wanting.map(|client| client.sender.clone()).collect()
        };
        // At the same time: one that is slow holds back no other.
        join_all(senders.iter().map(|sender| sender.send(outgoing.clone()))).await;
    }

    /// Returns when every command has been sent what was queued, or has gone.
    pub async fn finish(&self) {
        let clients = std::mem::take(&mut *self.lock());
        for client in clients {
            // Others may hold the sender still: that it is dropped is no end.
            let _ = client.sender.send(Outgoing::End).await;
            let _ = client.writing.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Bytes for the workload's stdin. Unbounded as a type; bounded by the credit
/// that commands are given.
pub type Stdin = mpsc::UnboundedSender<Vec<u8>>;

/// Reads a command's frames until it goes. Its going is the end of stdin.
pub async fn listen<R>(
    mut reader: R,
    orders: mpsc::Sender<Order>,
    mut stdin: Option<Stdin>,
    mut following: Following,
) where
    R: AsyncRead + Unpin,
{
    while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
        match kind {
            Kind::Stdin if payload.is_empty() => stdin = None,
            Kind::Stdin if payload.len() <= STDIN_WINDOW => {
                if let Some(stdin) = &stdin {
                    let _ = stdin.send(payload);
                }
            }
            Kind::Order => match wire::parse(&payload) {
                Ok(Order::AwaitLog { beyond }) => following.order(beyond),
                Ok(order) => {
                    if orders.send(order).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!("a command sent no order: {error}"),
            },
            other => {
                tracing::warn!("a command sent {other:?} out of turn");
                return;
            }
        }
    }
}
