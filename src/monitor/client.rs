// SPDX-License-Identifier: Apache-2.0
//! A command's side of a monitor: starting one, passing stdin, output and
//! signals between it and this process, ordering a running one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::wire::{self, CHUNK, Event, Kind, Order, SIGKILL, STDIN_WINDOW};
use super::{COMMAND, Launch};
use crate::error::{Failure, Result};
use crate::spec::StopTimeout;
use crate::state::{Claim, Record, VmStore};
use crate::sys::{self, Connection};

/// A monitor's socket in its runtime directory.
pub const SOCKET: &str = "monitor.sock";

/// How long a VM may be held by a process that does not listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A VM that this command started and listens to.
pub struct Attached {
    connection: Connection,
    stdin: bool,
    /// Where the monitor complains, if that outlives it.
    log: Option<std::path::PathBuf>,
}

/// Starts the monitor of a claimed VM and hands the claim's lock to it.
pub async fn spawn(launch: Launch, claim: Claim) -> Result<Attached> {
    let log = claim.directory().join("monitor.log");
    let failed = |e: io::Error| Failure::cannot("start the VM's monitor", e);
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    sys::owner_only(&mut options);
    let log_file = options.open(&log).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let (mut connection, theirs) = sys::connection_pair().map_err(failed)?;
    let lock = claim.lock().map_err(failed)?;
    // The child is not waited for: it outlives us, or we see its end as the
    // end of the connection.
    sys::spawn_monitor(&program, &[COMMAND.as_ref()], theirs, lock, log_file).map_err(failed)?;
    launch.write(&mut connection).await.map_err(failed)?;
    let log = (!claim.record.auto_remove).then_some(log);
    Ok(Attached { connection, stdin: launch.stdin, log })
}

impl Attached {
    /// Until the workload has started. Its output goes to the logs alone from
    /// then on, and a signal until then gives the start up.
    pub async fn until_started(self, mut on_event: impl FnMut(&Event)) -> Result<()> {
        let (mut reader, writer) = tokio::io::split(self.connection);
        let (frames, queue) = mpsc::channel(8);
        tokio::spawn(send_frames(writer, queue));
        tokio::spawn(send_signals(frames));
        while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
            match (kind, wire::parse(&payload)) {
                (Kind::Event, Ok(Event::Started | Event::Exited { .. })) => return Ok(()),
                (Kind::Event, Ok(Event::Failed(failure))) => return Err(failure),
                (Kind::Event, Ok(event)) => on_event(&event),
                _ => {}
            }
        }
        Err(monitor_died(self.log))
    }

    /// Until the VM has ended: its exit code. `on_event` hears of phases.
    pub async fn run(self, mut on_event: impl FnMut(&Event)) -> Result<u8> {
        let (reader, writer) = tokio::io::split(self.connection);
        let (frames, queue) = mpsc::channel(8);
        tokio::spawn(send_frames(writer, queue));
        let credit = Arc::new(Semaphore::new(STDIN_WINDOW));
        if self.stdin {
            tokio::spawn(send_stdin(frames.clone(), Arc::clone(&credit)));
        }
        tokio::spawn(send_signals(frames.clone()));
        let (output, closed) = Output::start(frames);
        let ended = receive(reader, &output, &credit, &mut on_event).await;
        drop(output);
        let _ = closed.await;
        match ended {
            Some(Event::Exited { code, .. }) => Ok(code),
            Some(Event::Failed(failure)) => Err(failure),
            _ => Err(monitor_died(self.log)),
        }
    }
}

fn monitor_died(log: Option<std::path::PathBuf>) -> Failure {
    Failure::new("the VM's monitor died, and the VM with it")
        .maybe_hint(log.map(|log| format!("{} may say why", log.display())))
}

/// Passes on what comes, until the event that ends it all.
async fn receive(
    mut reader: ReadHalf<Connection>,
    output: &Output,
    credit: &Semaphore,
    on_event: &mut impl FnMut(&Event),
) -> Option<Event> {
    while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
        match kind {
            Kind::Stdout | Kind::Stderr => output.write(kind, payload).await,
            Kind::Event => match wire::parse(&payload).ok()? {
                Event::StdinCredit(bytes) => credit.add_permits(bytes.min(STDIN_WINDOW)),
                end @ (Event::Exited { .. } | Event::Failed(_)) => {
                    on_event(&end);
                    return Some(end);
                }
                event => on_event(&event),
            },
            _ => return None,
        }
    }
    None
}

type Frames = mpsc::Sender<(Kind, Vec<u8>)>;

async fn send_frames(
    mut writer: WriteHalf<Connection>,
    mut queue: mpsc::Receiver<(Kind, Vec<u8>)>,
) {
    while let Some((kind, payload)) = queue.recv().await {
        if wire::write(&mut writer, kind, &payload).await.is_err() {
            return;
        }
    }
}

async fn send_order(frames: &Frames, order: &Order) {
    if let Ok(payload) = serde_json::to_vec(order) {
        let _ = frames.send((Kind::Order, payload)).await;
    }
}

/// Stdin until its end, never more than the monitor gave credit for: signals
/// do not wait behind it.
async fn send_stdin(frames: Frames, credit: Arc<Semaphore>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match stdin.read(&mut buffer).await {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!("cannot read stdin: {error}");
                0
            }
        };
        let wanted = u32::try_from(count).unwrap_or(u32::MAX);
        let Ok(permits) = credit.acquire_many(wanted).await else { return };
        permits.forget();
        let end = frames.send((Kind::Stdin, buffer[..count].to_vec())).await.is_err();
        if end || count == 0 {
            return;
        }
    }
}

async fn send_signals(frames: Frames) {
    let mut signals = match sys::signals() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!("signals will not reach the VM: {error}");
            return;
        }
    };
    while let Some(signal) = signals.recv().await {
        send_order(&frames, &Order::Signal(signal)).await;
    }
}

/// Writes the workload's output on a thread of its own: a reader of ours that
/// stalls must not keep signals from being passed.
struct Output(mpsc::Sender<(Kind, Vec<u8>)>);

impl Output {
    /// The receiver hears, by an error, when all is written.
    fn start(frames: Frames) -> (Self, oneshot::Receiver<()>) {
        let (sender, mut queue) = mpsc::channel::<(Kind, Vec<u8>)>(8);
        let (writing, closed) = oneshot::channel();
        std::thread::spawn(move || {
            let _writing = writing;
            let mut open = [true, true];
            while let Some((kind, bytes)) = queue.blocking_recv() {
                let stream = usize::from(kind == Kind::Stderr);
                if open[stream] && write_output(kind, &bytes).is_err() {
                    open[stream] = false;
                    let order = Order::CloseOutput(if stream == 0 { 1 } else { 2 });
                    if let Ok(payload) = serde_json::to_vec(&order) {
                        let _ = frames.blocking_send((Kind::Order, payload));
                    }
                }
            }
        });
        (Self(sender), closed)
    }

    async fn write(&self, kind: Kind, bytes: Vec<u8>) {
        let _ = self.0.send((kind, bytes)).await;
    }
}

fn write_output(kind: Kind, bytes: &[u8]) -> io::Result<()> {
    if kind == Kind::Stderr {
        return io::stderr().lock().write_all(bytes);
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
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
    while let Ok(Some((kind, payload))) = wire::read(&mut connection).await {
        match (kind, wire::parse(&payload)) {
            (Kind::Event, Ok(Event::Exited { code, .. })) => return Ok(Some(code)),
            (Kind::Event, Ok(Event::Failed(failure))) => return Ok(Some(failure.status)),
            _ => {}
        }
    }
    Ok(None)
}

/// Gives an order and waits for the end of the VM.
async fn order(record: &Record, order: &Order) -> Result<()> {
    let mut connection = give(record, order).await?;
    while let Ok(Some(_)) = wire::read(&mut connection).await {}
    Ok(())
}

async fn give(record: &Record, order: &Order) -> Result<Connection> {
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
        if !is_alive || begun.elapsed() > PATIENCE {
            return Err(unreached(record, &error));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn unreached(record: &Record, error: &io::Error) -> Failure {
    Failure::cannot(format!("reach the monitor of {}", record.name), error)
}
