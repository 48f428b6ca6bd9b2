// SPDX-License-Identifier: Apache-2.0
//! The few things that differ between operating systems below the level of
//! hypervisors: private files, the monitor's birth, local sockets. The files
//! beside this one have the same signatures.

#[cfg(unix)]
mod unix;
#[cfg(target_os = "linux")]
mod waiting;
#[cfg(windows)]
mod windows;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[cfg(unix)]
pub use unix::*;
#[cfg(target_os = "linux")]
pub use waiting::{Fork, Waiting, fork_waiting};
#[cfg(windows)]
pub use windows::*;

/// What of a file changes when it is written to, or another takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Where there is no such number, when the file was made.
    inode: u64,
    size: u64,
    /// When its bytes were written, nanoseconds since 1970.
    modified: i64,
    /// When anything of it was, its name too where that is known.
    changed: i64,
}

impl Stamp {
    /// Whether the next change of the file is sure to show in its stamp. Times of
    /// files are those of a tick, or of whole seconds: of two changes in one, the
    /// second may not show.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        const TICK: Duration = Duration::from_secs(2);
        let before = now.duration_since(UNIX_EPOCH).ok().and_then(|now| now.checked_sub(TICK));
        before.and_then(|time| i64::try_from(time.as_nanos()).ok()) >= Some(self.changed)
    }
}
