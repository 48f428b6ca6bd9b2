// SPDX-License-Identifier: Apache-2.0
//! A command that takes a workload's streams: stdin, output and signals pass
//! between the monitor and this process until one of them leaves.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{BufReader, ReadHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::output::{Output, ReaderGone};
use super::sending::{
    Frames, Input, Leave, Sent, follow_terminal, pass_signals, send_frames, send_order, signals,
};
use super::wire::{self, CHUNK, Event, Kind, Order, STDIN_WINDOW, Streams};
use crate::error::{Failure, Result};
use crate::sys::Connection;
use crate::terminal::{self, DetachKeys, Matcher, Raw, Size};

/// How a command is attached to a workload.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub streams: Streams,
    /// Signals that this process gets are for the workload.
    pub sig_proxy: bool,
    /// What is typed on a terminal to leave.
    pub detach_keys: DetachKeys,
}

impl Attachment {
    /// That of a command that does not stay.
    pub fn none() -> Self {
        Self { streams: Streams::default(), sig_proxy: true, detach_keys: DetachKeys::default() }
    }
}

/// A VM that this command listens to.
pub struct Attached {
    pub(super) connection: Connection,
    pub(super) attachment: Attachment,
    /// The workload has a terminal.
    pub(super) terminal: bool,
    /// It runs: this command comes later than its start.
    pub(super) running: bool,
    /// What to say if its process did not start before the VM had ended: of one
    /// beside the workload.
    pub(super) late: Option<Failure>,
    /// Where the monitor complains, if that outlives it.
    pub(super) log: Option<PathBuf>,
}

/// How it ended for this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The workload has, with this code.
    Exited(u8),
    /// The workload goes on; this command is to exit with this status.
    Left(u8),
}

/// How long a monitor may take to read what was typed last.
const FLUSH: Duration = Duration::from_secs(1);

impl Attached {
    /// What this command reads is typed on the workload's terminal.
    pub fn types(&self) -> bool {
        self.terminal && self.attachment.streams.stdin
    }

    /// Until the workload has started. Its output goes to the logs alone from
    /// then on, and a signal until then gives the start up.
    pub async fn until_started(self, mut on_event: impl FnMut(&Event)) -> Result<()> {
        let (mut reader, writer) = tokio::io::split(self.connection);
        let (frames, queue) = mpsc::channel(8);
        tokio::spawn(send_frames(writer, queue));
        tokio::spawn(async move {
            let Some(mut signals) = signals() else { return };
            while let Some(signal) = signals.recv().await {
                send_order(&frames, &Order::Signal(signal)).await;
            }
        });
        while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
            match (kind, wire::parse(&payload)) {
                (Kind::Event, Ok(Event::Started)) => return Ok(()),
                (Kind::Event, Ok(Event::Exited { .. })) => return self.late.map_or(Ok(()), Err),
                (Kind::Event, Ok(Event::Failed(failure))) => return Err(failure),
                (Kind::Event, Ok(event)) => on_event(&event),
                _ => {}
            }
        }
        Err(monitor_died(self.log))
    }

    /// Until the VM has ended, or this command leaves it. `on_event` hears of
    /// phases.
    pub async fn run(self, mut on_event: impl FnMut(&Event)) -> Result<End> {
        let (reader, writer) = tokio::io::split(self.connection);
        let (frames, queue) = mpsc::channel(8);
        tokio::spawn(send_frames(writer, queue));
        let (leaving, mut left) = mpsc::channel(4);
        let reader_gone = match self.running {
            // The one who launched the VM tells its command.
            false => ReaderGone::Tell(frames.clone()),
            true => ReaderGone::Leave,
        };
        let mut output = Output::new(reader_gone, self.terminal, leaving.clone());
        let mut side = Side {
            attachment: self.attachment,
            terminal: self.terminal,
            frames,
            credit: Arc::new(Semaphore::new(STDIN_WINDOW)),
            leaving,
            raw: None,
            has_started: false,
        };
        side.begin();
        if self.running {
            side.workload_runs()?;
            side.redraw().await;
        }
        let ended = {
            let reader = BufReader::with_capacity(CHUNK, reader);
            let mut ending = pin!(side.receive(reader, &mut output, &mut on_event));
            tokio::select! {
                ended = &mut ending => Ok(ended?),
                Some(leave) = left.recv() => Err(leave),
            }
        };
        if let Err(leave) = ended {
            if matches!(leave, Leave::Detached) {
                send_order(&side.frames, &Order::Leave).await;
            }
            side.flush().await;
            // The terminal is as it was before anything is said on it.
            drop(side);
            return Ok(leave.end());
        }
        output.end().await;
        let has_started = side.has_started;
        drop(side);
        let Ok(Some(end)) = ended else { return Err(monitor_died(self.log)) };
        if let (Event::Exited { .. }, false, Some(late)) = (&end, has_started, self.late) {
            return Err(late);
        }
        on_event(&end);
        match end {
            Event::Exited { code, .. } => Ok(End::Exited(code)),
            Event::Failed(failure) => Err(failure),
            _ => Err(monitor_died(self.log)),
        }
    }
}

fn monitor_died(log: Option<PathBuf>) -> Failure {
    Failure::new("the VM's monitor died, and the VM with it")
        .maybe_hint(log.map(|log| format!("{} may say why", log.display())))
}

/// What passes from here to the monitor, and what the terminal has to do with it.
struct Side {
    attachment: Attachment,
    terminal: bool,
    frames: Frames,
    credit: Arc<Semaphore>,
    leaving: mpsc::Sender<Leave>,
    /// While it lives, the terminal is raw.
    raw: Option<Raw>,
    /// Its process has, as far as this command heard.
    has_started: bool,
}

impl Side {
    /// What need not wait for the workload. What is typed does: until there is
    /// a terminal in the VM, ^C is a signal here.
    fn begin(&mut self) {
        let (frames, leaving) = (self.frames.clone(), self.leaving.clone());
        tokio::spawn(pass_signals(frames, leaving, self.terminal, self.attachment.sig_proxy));
        if !self.terminal {
            if self.attachment.streams.stdin {
                self.pass_input(None);
            }
        } else if terminal::size().is_some() {
            tokio::spawn(follow_terminal(self.frames.clone()));
        }
    }

    /// The terminal is the workload's.
    fn workload_runs(&mut self) -> Result<()> {
        if self.terminal && self.attachment.streams.stdin && self.raw.is_none() {
            let raw = Raw::set().map_err(|e| Failure::cannot("make the terminal raw", e))?;
            self.raw = Some(raw);
            self.pass_input(Some(Matcher::new(self.attachment.detach_keys.clone())));
        }
        Ok(())
    }

    fn pass_input(&self, keys: Option<Matcher>) {
        let input = Input {
            frames: self.frames.clone(),
            credit: Arc::clone(&self.credit),
            leaving: self.leaving.clone(),
            alone: !self.attachment.streams.output(),
            keys,
        };
        tokio::spawn(input.pass());
    }

    /// A program that shows something shows it anew when the size changes: so
    /// it changes, as with Docker.
    async fn redraw(&self) {
        if self.terminal
            && let Some(size) = terminal::size()
        {
            let (rows, columns) = (size.rows.saturating_add(1), size.columns.saturating_add(1));
            send_order(&self.frames, &Order::Resize(Size { rows, columns })).await;
            send_order(&self.frames, &Order::Resize(size)).await;
        }
    }

    /// Passes on what comes, until the event that ends it all.
    async fn receive(
        &mut self,
        mut reader: BufReader<ReadHalf<Connection>>,
        output: &mut Output,
        on_event: &mut impl FnMut(&Event),
    ) -> Result<Option<Event>> {
        while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
            match kind {
                Kind::Stdout | Kind::Stderr => output.write(kind, payload).await,
                Kind::Event => match wire::parse(&payload) {
                    Ok(Event::StdinCredit(bytes)) => {
                        self.credit.add_permits(bytes.min(STDIN_WINDOW));
                    }
                    Ok(end @ (Event::Exited { .. } | Event::Failed(_))) => return Ok(Some(end)),
                    Ok(event) => {
                        if event == Event::Started {
                            self.has_started = true;
                            self.workload_runs()?;
                        }
                        on_event(&event);
                    }
                    Err(_) => break,
                },
                _ => break,
            }
        }
        Ok(None)
    }

    /// Returns when the monitor has what was sent, or does not take it.
    async fn flush(&self) {
        let (mark, reached) = oneshot::channel();
        let flushing = async {
            let _ = self.frames.send(Sent::Mark(mark)).await;
            let _ = reached.await;
        };
        let _ = timeout(FLUSH, flushing).await;
    }
}
