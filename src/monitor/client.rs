// SPDX-License-Identifier: Apache-2.0
//! A command's side of a monitor: starting one, attaching to and ordering a
//! running one.

use std::fs::{File, OpenOptions};
use std::io;
use std::time::{Duration, Instant};

use super::attached::{Attached, Attachment};
use super::exec::ExecRequest;
use super::wire::{self, Event, Kind, Order, SIGKILL};
use super::{COMMAND, Launch};
use crate::error::{Failure, Result};
use crate::spec::StopTimeout;
use crate::state::{Claim, Record, VmStore};
use crate::sys::{self, Connection};

/// A monitor's socket in its runtime directory.
pub const SOCKET: &str = "monitor.sock";

/// How long a VM may be held by a process that does not listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where it complains, in the VM's directory.
const LOG: &str = "monitor.log";

/// Starts the monitor of a claimed VM and hands the claim's lock to it.
/// `attachment` is what this command wants of the workload.
pub async fn spawn(
    mut launch: Launch,
    claim: Claim,
    mut attachment: Attachment,
) -> Result<Attached> {
    attachment.streams.stdin &= launch.stdin;
    launch.attached = attachment.streams;
    let log = claim.directory().join(LOG);
    let failed = |e: io::Error| Failure::cannot("start the VM's monitor", e);
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    sys::owner_only(&mut options);
    let log_file = options.open(&log).map_err(failed)?;
    let lock = claim.lock().map_err(failed)?;
    // The child is not waited for: it outlives us, or we see its end as the
    // end of the connection.
    let mut connection = start(&launch.hidden, lock, log_file).map_err(failed)?;
    let written = launch.write(&mut connection).await;
    Launch::wipe_secrets(&mut launch.init);
    written.map_err(failed)?;
    let log = (!claim.record.auto_remove).then_some(log);
    let terminal = launch.process.terminal.is_some();
    Ok(Attached { connection, attachment, terminal, running: false, late: None, log })
}

/// A monitor that is to hold this lock and complain in this log, and not to have
/// the variables `hidden`: the one that waits has all of them.
fn start(hidden: &[String], lock: File, log: File) -> io::Result<Connection> {
    #[cfg(target_os = "linux")]
    if let Some(waiting) = super::take_waiting().filter(|_| hidden.is_empty()) {
        match waiting.become_monitor(&lock, &log) {
            Ok(connection) => return Ok(connection),
            Err(error) => tracing::debug!("the monitor does not wait: {error}"),
        }
    }
    let program = std::env::current_exe()?;
    let (connection, theirs) = sys::connection_pair()?;
    sys::spawn_monitor(&program, &[COMMAND.as_ref()], hidden, theirs, lock, log)?;
    Ok(connection)
}

/// Takes streams of a VM that runs.
pub async fn attach(record: &Record, mut attachment: Attachment) -> Result<Attached> {
    let mut connection = give(record, &Order::Attach(attachment.streams)).await?;
    while let Ok(Some((kind, payload))) = wire::read(&mut connection).await {
        let (terminal, stdin) = match (kind, wire::parse(&payload)) {
            (Kind::Event, Ok(Event::Attached { terminal, stdin })) => (terminal, stdin),
            (Kind::Event, Ok(Event::Exited { .. } | Event::Failed(_))) => break,
            _ => continue,
        };
        attachment.streams.stdin &= stdin;
        // As Docker: what is typed there, ^C with it, is what counts.
        attachment.sig_proxy &= !terminal;
        let log = record.dirs.vm(&record.id).join(LOG);
        let log = (!record.auto_remove).then_some(log);
        return Ok(Attached { connection, attachment, terminal, running: true, late: None, log });
    }
    Err(Failure::new(format!("VM {} has ended", record.name)))
}

/// Starts a process in a VM that runs.
pub async fn exec(
    record: &Record,
    request: ExecRequest,
    attachment: Attachment,
) -> Result<Attached> {
    let terminal = request.terminal.is_some();
    let connection = give(record, &Order::Exec(request)).await?;
    let log = record.dirs.vm(&record.id).join(LOG);
    let log = (!record.auto_remove).then_some(log);
    let late = Some(record.not_running());
    Ok(Attached { connection, attachment, terminal, running: false, late, log })
}

/// Ends a running VM: with a signal, and after `grace` with SIGKILL; as it was
/// made to be stopped where nothing is said. Returns when its monitor has let go
/// of it.
pub async fn order_stop(
    record: &Record,
    signal: Option<u32>,
    grace: Option<StopTimeout>,
) -> Result<()> {
    order(record, &Order::Stop { signal, grace_ms: grace.map(StopTimeout::millis) }).await
}

/// Passes a signal on to the workload of a running VM. Returns after SIGKILL
/// when its monitor has let go of it, else at once.
pub async fn order_signal(record: &Record, signal: u32) -> Result<()> {
    match Order::Signal(signal) {
        kill @ Order::Signal(SIGKILL) => order(record, &kill).await,
        other => give(record, &other).await.map(drop),
    }
}

/// Waits for the end of a running VM: its exit code, or none if its monitor
/// died. An error means that there was no monitor to ask.
pub async fn end_of(record: &Record) -> Result<Option<u8>> {
    let mut connection = reach(record).await?;
    Ok(end(&mut connection).await)
}

/// What the monitor says of the VM's end when it has let go of it. Other
/// commands may still have to be told more: the monitor waits for them alone.
async fn end(connection: &mut Connection) -> Option<u8> {
    while let Ok(Some((kind, payload))) = wire::read(connection).await {
        match (kind, wire::parse(&payload)) {
            (Kind::Event, Ok(Event::Exited { code, .. })) => return Some(code),
            (Kind::Event, Ok(Event::Failed(failure))) => return Some(failure.status),
            _ => {}
        }
    }
    None
}

/// Gives an order and waits for the end of the VM.
async fn order(record: &Record, order: &Order) -> Result<()> {
    let mut connection = give(record, order).await?;
    end(&mut connection).await;
    Ok(())
}

pub(super) async fn give(record: &Record, order: &Order) -> Result<Connection> {
    let mut connection = reach(record).await?;
    let written = wire::write_json(&mut connection, Kind::Order, order).await;
    written.map_err(|e| unreached(record, &e))?;
    Ok(connection)
}

/// Connects to a monitor. One that holds the VM and does not listen is about
/// to, or is letting go: it is waited for.
pub(super) async fn reach(record: &Record) -> Result<Connection> {
    let path = record.dirs.vm_runtime(&record.id).join(SOCKET);
    let begun = Instant::now();
    loop {
        let error = match sys::connect(&path).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let is_alive = VmStore::new(&record.dirs).is_alive(&record.id);
        if !is_alive {
            return Err(record.not_running());
        }
        if begun.elapsed() > PATIENCE {
            return Err(unreached(record, &error));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn unreached(record: &Record, error: &io::Error) -> Failure {
    Failure::cannot(format!("reach the monitor of {}", record.name), error)
}
