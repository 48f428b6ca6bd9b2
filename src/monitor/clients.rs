// SPDX-License-Identifier: Apache-2.0
//! Commands connected to a monitor. All hear of events; those that are
//! attached get a process's output too, and a slow one holds it back.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use mvm_proto::MAIN_PROCESS;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::wire::{self, Event, Kind, Streams};

/// The status of what goes with its VM: 128 and SIGKILL.
const KILLED: u8 = 128 + 9;

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

/// One command.
#[derive(Clone)]
pub struct Client {
    pub sender: Sender,
}

struct Entry {
    client: Client,
    /// ID of the process that it is attached to.
    process: Option<String>,
    streams: Streams,
    writing: JoinHandle<()>,
}

impl Entry {
    fn takes(&self, process: &str, kind: Kind) -> bool {
        let taken = match kind {
            Kind::Stdout => self.streams.stdout,
            Kind::Stderr => self.streams.stderr,
            _ => false,
        };
        taken && self.process.as_deref() == Some(process)
    }
}

#[derive(Default)]
pub struct Clients(Mutex<State>);

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// The last event, once it is out.
    end: Option<Event>,
}

impl Clients {
    /// A command that is attached to nothing yet.
    pub fn add<W>(&self, mut writer: W) -> Client
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
        let client = Client { sender };
        let entry =
            Entry { client: client.clone(), process: None, streams: Streams::default(), writing };
        let mut state = self.lock();
        if let Some(end) = &state.end {
            // It comes too late for all else; the queue is empty.
            let _ = client.sender.try_send(Outgoing::Event(end.clone()));
            let _ = client.sender.try_send(Outgoing::End);
        }
        state.entries.push(entry);
        drop(state);
        client
    }

    /// It has gone: nobody waits for it, and its connection is closed when
    /// nobody else has anything for it.
    pub fn remove(&self, client: &Client) {
        self.lock().entries.retain(|entry| !entry.is(client));
    }

    /// From now on it gets what the process writes to these streams.
    pub fn attach(&self, client: &Client, process: &str, streams: Streams) {
        if let Some(entry) = self.lock().entries.iter_mut().find(|entry| entry.is(client)) {
            entry.process = Some(process.to_owned());
            entry.streams = streams;
        }
    }

    /// It gets no more of stdout (1) or stderr (2). Whether another one does.
    pub fn close_output(&self, client: &Client, stream: u8) -> bool {
        let kind = if stream == 1 { Kind::Stdout } else { Kind::Stderr };
        let clients = &mut self.lock().entries;
        let Some(entry) = clients.iter_mut().find(|entry| entry.is(client)) else { return false };
        match kind {
            Kind::Stdout => entry.streams.stdout = false,
            _ => entry.streams.stderr = false,
        }
        let Some(process) = entry.process.clone() else { return false };
        clients.iter().any(|entry| entry.takes(&process, kind) && !entry.client.sender.is_closed())
    }

    /// An event for one.
    pub async fn tell(&self, client: &Client, event: Event) {
        let _ = client.sender.send(Outgoing::Event(event)).await;
    }

    /// An event for all.
    pub async fn event(&self, event: Event) {
        self.send(Outgoing::Event(event), |_| true).await;
    }

    /// A chunk of a process's output, for those that take it.
    pub async fn output(&self, process: &str, kind: Kind, bytes: Arc<[u8]>) {
        self.send(Outgoing::Output(kind, bytes), |entry| entry.takes(process, kind)).await;
    }

    async fn send(&self, outgoing: Outgoing, wanted: impl Fn(&Entry) -> bool) {
        let senders: Vec<Sender> = {
            let clients = &mut self.lock().entries;
            clients.retain(|entry| !entry.client.sender.is_closed());
            let wanting = clients.iter().filter(|entry| wanted(entry));
            wanting.map(|entry| entry.client.sender.clone()).collect()
        };
        // At the same time: one that is slow holds back no other.
        join_all(senders.iter().map(|sender| sender.send(outgoing.clone()))).await;
    }

    /// The last events. The commands of other processes than the workload hear only
    /// of a VM that failed; else theirs was killed with it. Returns when every
    /// command has been sent what was queued, or has gone. One that does not read
    /// keeps none of the others from hearing of the end.
    pub async fn finish(&self, last: &[Event]) {
        let entries = {
            let mut state = self.lock();
            state.end = last.last().cloned();
            std::mem::take(&mut state.entries)
        };
        let gone = match last.last() {
            Some(failed @ Event::Failed(_)) => failed.clone(),
            _ => Event::Exited { code: KILLED, oom_killed: false },
        };
        let finishing = entries.into_iter().map(async |entry| {
            let other = entry.process.as_deref().is_some_and(|process| process != MAIN_PROCESS);
            let last = if other { std::slice::from_ref(&gone) } else { last };
            for event in last {
                let _ = entry.client.sender.send(Outgoing::Event(event.clone())).await;
            }
            // Others may hold the sender still: that it is dropped is no end.
            let _ = entry.client.sender.send(Outgoing::End).await;
            let _ = entry.writing.await;
        });
        join_all(finishing).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Entry {
    fn is(&self, client: &Client) -> bool {
        self.client.sender.same_channel(&client.sender)
    }
}
