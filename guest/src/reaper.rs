// SPDX-License-Identifier: Apache-2.0
//! The one place that waits for children. PID 1 inherits every orphan of the
//! VM; the statuses of those the agent started go to whoever watches them,
//! the others' are dropped.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

/// Shared by whoever starts processes.
#[derive(Clone, Default)]
pub struct Reaper(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watched: Mutex<HashMap<Pid, oneshot::Sender<WaitStatus>>>,
    reaped: Notify,
}

impl Reaper {
    /// Must be called inside a tokio runtime, once, before the first child.
    pub fn start() -> io::Result<Self> {
        let signals = signal(SignalKind::child())?;
        let reaper = Self::default();
        tokio::spawn(reaper.clone().run(signals));
        Ok(reaper)
    }

    /// The end of a child. No other task may run between the child's start
    /// and this call, or its status could be taken for an orphan's.
    pub fn watch(&self, pid: Pid) -> oneshot::Receiver<WaitStatus> {
        let (sender, receiver) = oneshot::channel();
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, sender);
        receiver
    }

    /// Returns when no process is left but this one.
    pub async fn all_ended(&self) {
        loop {
            let reaped = self.0.reaped.notified();
            if !self.reap() {
                return;
            }
            reaped.await;
        }
    }

    async fn run(self, mut signals: Signal) {
        while signals.recv().await.is_some() {
            self.reap();
            self.0.reaped.notify_waiters();
        }
    }

    /// Takes every status there is. Whether there are children left.
    fn reap(&self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let mut watched = self.0.watched.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(watcher) = watched.remove(&pid) {
                        // Nobody may be interested any more.
                        let _ = watcher.send(status);
                    }
                }
                Ok(None) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}
