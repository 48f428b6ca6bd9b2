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
/// stalls must not keep signals from being passed.
pub struct Output(mpsc::Sender<(Kind, Vec<u8>)>);

impl Output {
    /// The receiver hears, by an error, when all is written. `terminal`: the
    /// workload has one, and outlives the one here.
    pub fn start(
        reader_gone: ReaderGone,
        terminal: bool,
        leaving: mpsc::Sender<Leave>,
    ) -> (Self, oneshot::Receiver<()>) {
        let (sender, mut queue) = mpsc::channel::<(Kind, Vec<u8>)>(8);
        let (writing, closed) = oneshot::channel();
        std::thread::spawn(move || {
            let _writing = writing;
            let mut open = [true, true];
            while let Some((kind, bytes)) = queue.blocking_recv() {
                let stream = usize::from(kind == Kind::Stderr);
                if open[stream]
                    && let Err(error) = write(kind, &bytes)
                {
                    open[stream] = false;
                    let lost = terminal && terminal::is_gone(&error);
                    match &reader_gone {
                        _ if lost => drop(leaving.blocking_send(Leave::Lost)),
                        ReaderGone::Leave => drop(leaving.blocking_send(Leave::Unread)),
                        ReaderGone::Tell(frames) => close(frames, kind),
                    }
                }
            }
        });
        (Self(sender), closed)
    }

    pub async fn write(&self, kind: Kind, bytes: Vec<u8>) {
        let _ = self.0.send((kind, bytes)).await;
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
