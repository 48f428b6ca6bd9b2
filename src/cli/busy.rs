// SPDX-License-Identifier: Apache-2.0
//! A line that says what is going on, for a person at a terminal who has waited
//! for most of a second. Nothing in a pipe or a log.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Who waits no longer than this needs no word.
const PATIENCE: Duration = Duration::from_millis(700);
const TICK: Duration = Duration::from_millis(120);

/// Shown until it is dropped, and then taken away.
#[must_use]
pub struct Busy(Option<(Sender<()>, JoinHandle<()>)>);

impl Busy {
    /// `what` is being done: "stopping web".
    pub fn with(what: impl Into<String>) -> Self {
        if !io::stderr().is_terminal() || std::env::var_os("TERM").is_some_and(|t| t == "dumb") {
            return Self(None);
        }
        let what = what.into();
        let (done, is_done) = channel();
        let show = move || {
            if is_done.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner().with_message(what);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TICK);
            let _ = is_done.recv();
            bar.finish_and_clear();
        };
        let thread = thread::Builder::new().name("busy".into()).spawn(show);
        Self(thread.ok().map(|thread| (done, thread)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}
