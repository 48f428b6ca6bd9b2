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

#[cfg(unix)]
pub use unix::*;
#[cfg(target_os = "linux")]
pub use waiting::{Fork, Waiting, fork_waiting};
#[cfg(windows)]
pub use windows::*;
