// SPDX-License-Identifier: Apache-2.0
//! The process that owns a VM while it lives: it starts the VMM, speaks with
//! the agent, moves the workload's streams, takes orders, and writes how it
//! all ended. Commands come and go; when the monitor dies, the VM dies.

mod answers;
mod attached;
mod client;
mod clients;
mod door;
mod exec;
mod explain;
mod follow;
mod helper;
mod launch;
mod life;
mod output;
mod sending;
mod session;
mod stream;
mod streams;
mod visit;
mod wire;

use std::pin::pin;
use std::process::ExitCode;
#[cfg(target_os = "linux")]
use std::sync::{Mutex, PoisonError};

pub use attached::{Attached, Attachment, End};
pub use client::{attach, end_of, exec, order_signal, order_stop, spawn};
pub use exec::{ExecRequest, SSH_SERVER};
pub use follow::Follower;
pub use helper::{Helper, HelperEnd, helper, stream};
pub use launch::{Launch, StopOrder};
pub use stream::StreamRequest;
pub use visit::Visit;
pub use wire::{Cost, Event, Streams};

use crate::error::{Failure, Result};
use crate::sys;

/// Name of the hidden command.
pub const COMMAND: &str = "__monitor";

/// The copy of this process that is to be a monitor.
#[cfg(target_os = "linux")]
static WAITING: Mutex<Option<sys::Waiting>> = Mutex::new(None);

/// Has a monitor wait for `spawn`, which then takes less time. To be called
/// first, and only where a VM is most likely started. What it returns is for the
/// monitor, when it has run or is not needed: its exit code.
#[cfg(target_os = "linux")]
pub fn prepare(main: fn() -> ExitCode) -> Option<ExitCode> {
    match sys::fork_waiting() {
        sys::Fork::Maker(waiting) => {
            *WAITING.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
            None
        }
        sys::Fork::Monitor => Some(main()),
        sys::Fork::Unneeded => Some(ExitCode::FAILURE),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn prepare(_main: fn() -> ExitCode) -> Option<ExitCode> {
    None
}

#[cfg(target_os = "linux")]
fn take_waiting() -> Option<sys::Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Runs the monitor; standard descriptors are what `sys::spawn_monitor` made
/// them.
pub fn main() -> ExitCode {
    sys::close_inherited();
    sys::detach_from_terminal();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime
        .map_err(|e| Failure::cannot("start the monitor", e))
        .and_then(|runtime| runtime.block_on(pin!(serve())));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    let (connection, lock) = sys::inherited_by_monitor()
        .map_err(|e| Failure::cannot("use the inherited descriptors", e))?;
    let (reader, writer) = tokio::io::split(connection);
    let (request, reader) = launch::read(reader).await?;
    life::Monitor::new(request, lock)?.run(reader, writer).await
}
