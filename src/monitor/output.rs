// SPDX-License-Identifier: Apache-2.0
//! A workload's output on its way to this process's stdout and stderr.

use std::io::{self, Write};

use tokio::sync::{mpsc, oneshot};

use super::sending::{Frames, Leave, Sent};
use super::wire::{Kind, Order};
use crate::terminal;

/// What is done when nobody reads stdout or stderr of this process any more.
pub enum ReaderGone {
    /// The workload is to miss its reader.
    Tell(Frames),
    /// This command goes, as the reader did.
    Leave,
}

/// Writes the workload's output on a thread of its own: a reader of ours that
/// stalls must not keep signals from being passed. There is no thread before
/// there is output.
pub struct Output {
    writing: Option<Writing>,
    /// What the thread is to know.
    reader: Option<Reader>,
}

struct Writing {
    queue: mpsc::Sender<(Kind, Vec<u8>)>,
    /// Ends with the thread.
    ended: oneshot::Receiver<()>,
}

struct Reader {
    gone: ReaderGone,
    terminal: bool,
    leaving: mpsc::Sender<Leave>,
}

impl Output {
    /// `terminal`: the workload has one, and outlives the one here.
    pub fn new(gone: ReaderGone, terminal: bool, leaving: mpsc::Sender<Leave>) -> Self {
        Self { writing: None, reader: Some(Reader { gone, terminal, leaving }) }
    }

    pub async fn write(&mut self, kind: Kind, bytes: Vec<u8>) {
        if let Some(reader) = self.reader.take() {
            self.writing = Some(reader.start());
        }
        if let Some(writing) = &self.writing {
            let _ = writing.queue.send((kind, bytes)).await;
        }
    }

    /// Returns when all is written.
    pub async fn end(self) {
        if let Some(Writing { queue, ended }) = self.writing {
            drop(queue);
            let _ = ended.await;
        }
    }
}

impl Reader {
    fn start(self) -> Writing {
        let (sender, queue) = mpsc::channel(8);
        let (writing, ended) = oneshot::channel();
        std::thread::spawn(move || {
            self.serve(queue);
            drop::<oneshot::Sender<()>>(writing);
        });
        Writing { queue: sender, ended }
    }

    fn serve(self, mut queue: mpsc::Receiver<(Kind, Vec<u8>)>) {
        let mut open = [true, true];
        while let Some((kind, bytes)) = queue.blocking_recv() {
            let stream = usize::from(kind == Kind::Stderr);
            if open[stream]
                && let Err(error) = write(kind, &bytes)
            {
                open[stream] = false;
                let lost = self.terminal && terminal::is_gone(&error);
                match &self.gone {
                    _ if lost => drop(self.leaving.blocking_send(Leave::Lost)),
                    ReaderGone::Leave => drop(self.leaving.blocking_send(Leave::Unread)),
                    ReaderGone::Tell(frames) => close(frames, kind),
                }
            }
        }
    }
}

fn close(frames: &Frames, kind: Kind) {
    let order = Order::CloseOutput(if kind == Kind::Stdout { 1 } else { 2 });
    if let Ok(payload) = serde_json::to_vec(&order) {
        let _ = frames.blocking_send(Sent::Frame(Kind::Order, payload));
    }
}

fn write(kind: Kind, bytes: &[u8]) -> io::Result<()> {
    if kind == Kind::Stderr {
        return io::stderr().lock().write_all(bytes);
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
