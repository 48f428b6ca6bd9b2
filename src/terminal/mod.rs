// SPDX-License-Identifier: Apache-2.0
//! The terminal that this command runs on: set raw for the time that another
//! one, in a VM, takes its place, and set back however that ends.

mod keys;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

pub use keys::{DetachKeys, Matcher};
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

use serde::{Deserialize, Serialize};

pub use platform::{Settings, is_gone, size};
use platform::{changes, stop_this_process};

use crate::error::{Failure, Result};

/// In characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// What happens to a terminal, or to this process on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Resized,
    /// Someone else asks this process to stop: `stop_this_process` does.
    Suspended,
    /// It goes on after a stop.
    Resumed,
}

/// Docker's words and status, if stdin is no terminal.
pub fn check_input() -> Result<()> {
    match io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(Failure::new("the input device is not a TTY")
            .hint("leave out -t to pass on what is piped in, or -i to pass nothing")
            .status(1)),
    }
}

/// How the terminal was, while it is raw.
static BEFORE: Mutex<Option<Settings>> = Mutex::new(None);

/// The terminal of stdin is raw: what is typed comes as it is and at once, to
/// ^C, and is not shown; what is shown is not changed. Ends when this goes, and
/// before the words of a panic.
pub struct Raw(());

impl Raw {
    pub fn set() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let earlier = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                earlier(panic);
            }));
        });
        let settings = Settings::get()?;
        settings.set_raw()?;
        *before() = Some(settings);
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// The sizes that the terminal takes. A terminal that is raw is that only while
/// this process runs.
pub struct Sizes(tokio::sync::mpsc::Receiver<Change>);

impl Sizes {
    /// `None`, said in the log, where the terminal does not tell.
    pub fn follow() -> Option<Self> {
        changes()
            .map(Self)
            .inspect_err(|error| {
                tracing::warn!("the VM will not hear of the terminal's size: {error}");
            })
            .ok()
    }

    pub async fn next(&mut self) -> Option<Size> {
        loop {
            match self.0.recv().await? {
                Change::Suspended => {
                    pause();
                    stop_this_process();
                    continue;
                }
                Change::Resumed => resume(),
                Change::Resized => {}
            }
            if let Some(size) = size() {
                return Some(size);
            }
        }
    }
}

/// A raw terminal is as it was, for as long as this process is stopped.
pub fn pause() {
    if let Some(settings) = &*before() {
        settings.restore();
    }
}

/// A terminal that was raw is so once more.
pub fn resume() {
    if let Some(settings) = &*before()
        && let Err(error) = settings.set_raw()
    {
        tracing::debug!("the terminal stays as it is: {error}");
    }
}

fn restore() {
    if let Some(settings) = before().take() {
        settings.restore();
    }
}

fn before() -> MutexGuard<'static, Option<Settings>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}
