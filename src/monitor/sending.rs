// SPDX-License-Identifier: Apache-2.0
//! What a command sends to the workload that it is attached to: stdin, signals,
//! the size of its terminal; and when it leaves instead.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::attached::End;
use super::wire::{self, CHUNK, Kind, Order};
use crate::sys::{self, Connection};
use crate::terminal::{Matcher, Sizes};

const SIGHUP: u32 = 1;
const SIGPIPE: u8 = 13;
const SIGWINCH: u32 = 28;

/// Why this command leaves a workload that goes on.
pub enum Leave {
    /// Its keys were typed.
    Detached,
    /// It had nothing to take but stdin, and that has ended.
    InputEnded,
    /// The terminal is gone.
    Lost,
    /// Who read the output here has gone.
    Unread,
    /// A signal that is not for the workload.
    Signal(u32),
}

impl Leave {
    pub fn end(self) -> End {
        match self {
            Self::Detached => {
                eprintln!("read escape sequence");
                End::Left(0)
            }
            Self::InputEnded => End::Left(0),
            Self::Lost => End::Left(128 + 1),
            // As if SIGPIPE had ended it.
            Self::Unread => End::Left(128 + SIGPIPE),
            Self::Signal(signal) => End::Left(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        }
    }
}

/// On the way to the monitor.
pub enum Sent {
    Frame(Kind, Vec<u8>),
    /// All before this has been sent.
    Mark(oneshot::Sender<()>),
}

pub type Frames = mpsc::Sender<Sent>;

pub async fn send_frames(mut writer: WriteHalf<Connection>, mut queue: mpsc::Receiver<Sent>) {
    while let Some(sent) = queue.recv().await {
        match sent {
            Sent::Frame(kind, payload) => {
                if wire::write(&mut writer, kind, &payload).await.is_err() {
                    return;
                }
            }
            Sent::Mark(mark) => drop(mark.send(())),
        }
    }
}

pub async fn send_order(frames: &Frames, order: &Order) {
    if let Ok(payload) = serde_json::to_vec(order) {
        let _ = frames.send(Sent::Frame(Kind::Order, payload)).await;
    }
}

/// stdin on its way to the workload.
pub struct Input {
    pub frames: Frames,
    pub credit: Arc<Semaphore>,
    pub leaving: mpsc::Sender<Leave>,
    /// Nothing comes back.
    pub alone: bool,
    /// It is typed on a terminal, and this is looked for.
    pub keys: Option<Matcher>,
}

impl Input {
    /// Until its end, never more than the monitor gave credit for: signals do
    /// not wait behind it.
    pub async fn pass(mut self) {
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match stdin.read(&mut buffer).await {
                Ok(count) => count,
                Err(error) => {
                    tracing::debug!("cannot read stdin: {error}");
                    0
                }
            };
            let bytes = &buffer[..count];
            match &mut self.keys {
                None => {
                    if !self.send(bytes.to_vec()).await || count == 0 {
                        break;
                    }
                }
                // A raw terminal has no end but its own.
                Some(keys) if count == 0 => {
                    let rest = keys.rest().to_vec();
                    self.send(rest).await;
                    return self.leave(Leave::Lost).await;
                }
                Some(keys) => {
                    let mut passed = Vec::with_capacity(count);
                    let stays = keys.pass(bytes, &mut passed);
                    // None would be the end.
                    if !passed.is_empty() && !self.send(passed).await {
                        return;
                    }
                    if !stays {
                        return self.leave(Leave::Detached).await;
                    }
                }
            }
        }
        if self.alone {
            self.leave(Leave::InputEnded).await;
        }
    }

    async fn send(&self, bytes: Vec<u8>) -> bool {
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Ok(permits) = self.credit.acquire_many(wanted).await else { return false };
        permits.forget();
        self.frames.send(Sent::Frame(Kind::Stdin, bytes)).await.is_ok()
    }

    async fn leave(&self, why: Leave) {
        let _ = self.leaving.send(why).await;
    }
}

pub fn signals() -> Option<mpsc::Receiver<u32>> {
    sys::signals().map_err(|error| tracing::warn!("signals will not reach the VM: {error}")).ok()
}

/// Signals are for the workload, unless it is not to have them or the terminal
/// is gone: then they end this command.
pub async fn pass_signals(
    frames: Frames,
    leaving: mpsc::Sender<Leave>,
    terminal: bool,
    sig_proxy: bool,
) {
    let Some(mut signals) = signals() else { return };
    while let Some(signal) = signals.recv().await {
        match signal {
            SIGHUP if terminal => drop(leaving.send(Leave::Lost).await),
            // Its terminal gets the new size, which says as much.
            SIGWINCH if terminal || !sig_proxy => {}
            signal if sig_proxy => send_order(&frames, &Order::Signal(signal)).await,
            signal => drop(leaving.send(Leave::Signal(signal)).await),
        }
    }
}

/// The terminal of the VM takes the size of this one.
pub async fn follow_terminal(frames: Frames) {
    let Some(mut sizes) = Sizes::follow() else {
        return;
    };
    while let Some(size) = sizes.next().await {
        send_order(&frames, &Order::Resize(size)).await;
    }
}
