// SPDX-License-Identifier: Apache-2.0
//! A workload's output on its way to this process's stdout and stderr.

use std::io::{self, Write};

use tokio::sync::{mpsc, oneshot};

use super::attached::{Frames, Leave, Sent};
use super::wire::{Kind, Order};
use crate::terminal;

/// Writes the workload's output on a thread of its own: a reader of ours that
/// stalls must not keep signals from being passed.
pub struct Output(mpsc::Sender<(Kind, Vec<u8>)>);

impl Output {
    /// The receiver hears, by an error, when all is written. On a terminal that
    /// is gone, this command leaves; any other reader that goes is missed by
    /// the workload.
    pub fn start(
        frames: Frames,
        on_terminal: bool,
        leaving: mpsc::Sender<Leave>,
    ) -> (Self, oneshot::Receiver<()>) {
        let (sender, mut queue) = mpsc::channel::<(Kind, Vec<u8>)>(8);
        let (writing, closed) = oneshot::channel();
        std::thread::spawn(move || {
            let _writing = writing;
            let mut open = [true, true];
            while let Some((kind, bytes)) = queue.blocking_recv() {
                let stream = usize::from(kind == Kind::Stderr);
                if !open[stream] {
                    continue;
                }
                let Err(error) = write(kind, &bytes) else { continue };
                open[stream] = false;
                if on_terminal && terminal::is_gone(&error) {
                    let _ = leaving.blocking_send(Leave::Lost);
                    continue;
                }
                let order = Order::CloseOutput(if stream == 0 { 1 } else { 2 });
                if let Ok(payload) = serde_json::to_vec(&order) {
                    let _ = frames.blocking_send(Sent::Frame(Kind::Order, payload));
                }
            }
        });
        (Self(sender), closed)
    }

    pub async fn write(&self, kind: Kind, bytes: Vec<u8>) {
        let _ = self.0.send((kind, bytes)).await;
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
