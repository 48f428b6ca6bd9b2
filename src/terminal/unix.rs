// SPDX-License-Identifier: Apache-2.0
//! Terminals of Linux and macOS.

use std::io;

use rustix::process::{Signal, getpgrp, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Change, Size};

/// How the terminal of stdin treats what passes it.
pub struct Settings(Termios);

impl Settings {
    pub fn get() -> io::Result<Self> {
        Ok(Self(tcgetattr(stdin())?))
    }

    /// cfmakeraw(3). A job in the background is stopped by the kernel here, and
    /// goes on when it is brought to the foreground.
    pub fn set_raw(&self) -> io::Result<()> {
        let mut raw = self.0.clone();
        raw.make_raw();
        Ok(rustix::io::retry_on_intr(|| tcsetattr(stdin(), OptionalActions::Now, &raw))?)
    }

    /// Leaves the terminal alone while another job has it: a shell that sees
    /// this process stopped has set it as it wants it.
    pub fn restore(&self) {
        if tcgetpgrp(stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
            return;
        }
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Of the terminal on stdout, or else of that on stdin.
pub fn size() -> Option<Size> {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
    Some(Size { rows: size.ws_row, columns: size.ws_col })
}

/// What happens from now on. SIGTSTP no longer stops this process: who hears of
/// it does. Inside a runtime.
pub fn changes() -> io::Result<mpsc::Receiver<Change>> {
    let (sender, receiver) = mpsc::channel(16);
    let of = |signal: Signal| SignalKind::from_raw(signal.as_raw());
    for (kind, change) in [
        (SignalKind::window_change(), Change::Resized),
        (of(Signal::TSTP), Change::Suspended),
        (of(Signal::CONT), Change::Resumed),
    ] {
        let mut arriving = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() && sender.send(change).await.is_ok() {}
        });
    }
    Ok(receiver)
}

/// Whether this is what a terminal that is gone answers.
pub fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Returns when someone lets this process go on.
pub fn stop_this_process() {
    let _ = kill_process(getpid(), Signal::STOP);
}
