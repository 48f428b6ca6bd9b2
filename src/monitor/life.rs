// SPDX-License-Identifier: Apache-2.0
//! One VM from power-on to its record: boot, configure, run, drain, end.

use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mvm_proto::{Exit, MAIN_PROCESS, MessageField, Process, StartFailureKind, Started, started};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::clients::Clients;
use super::door::Door;
use super::exec::{Inside, KeyPlace};
use super::session::{Input, Session};
use super::streams::{MAIN, Moving, Streams};
use super::wire::{Cost, Event, Order, SIGKILL, Streams as Wanted};
use super::{Launch, explain, visit};
use crate::agent::{Agent, AgentError, Ending};
use crate::error::{CANNOT_INVOKE, Failure, NOT_FOUND, Result};
use crate::hypervisor::{Disk, DiskFormat, VmConfig, VmEnd, VmHandle};
use crate::logs::{Grown, Writer};
#[cfg(unix)]
use crate::net::passt;
use crate::state::{Claim, ExitRecord, Phase, make_private_dir, now_ms};
use crate::sys;
use crate::terminal::Size;

const SIGINT: u32 = 2;
const SIGTERM: u32 = 15;

/// How long a guest may take to sync and reset once its workload has ended.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long the VMM's end may follow the end of its channel.
const END: Duration = Duration::from_secs(5);
/// How long commands that follow the log may take to open what will vanish.
const LAST_LOOK: Duration = Duration::from_secs(1);

pub struct Monitor {
    launch: Launch,
    claim: Claim,
    clients: Arc<Clients>,
    /// The workload.
    session: Arc<Session>,
    /// Where other processes are started, while the workload runs.
    inside: Arc<OnceLock<Arc<Inside>>>,
    /// What is to become its stdin, until it is there.
    input: Option<mpsc::UnboundedReceiver<Input>>,
    /// What its terminal's size became before there was one.
    size: Option<Size>,
    orders: mpsc::Receiver<Order>,
    ordering: mpsc::Sender<Order>,
    /// How far the log has come, for those who follow it.
    logged: watch::Sender<Grown>,
    /// Someone ordered the end: output that nobody takes is not waited for.
    stopping: bool,
    /// The VM was killed and is on its way out.
    ending: Option<JoinHandle<()>>,
    cost: Cost,
    /// What commands are told at the end.
    last: Vec<Event>,
}

/// A VM that is configured, on its way to its workload.
struct Up {
    agent: Agent,
    streams: Streams,
    process: Process,
    /// How the workload's start went, if that was part of it, how long it took,
    /// and its end.
    start: Option<(Started, Duration, Ending)>,
}

impl Monitor {
    pub fn new(launch: Launch, lock: File) -> Result<Self> {
        let claim = Claim::inherit(&launch.dirs, &launch.id, lock)?;
        let (ordering, orders) = mpsc::channel(16);
        let terminal = launch.process.terminal.is_some();
        let (session, input) =
            Session::new(MAIN_PROCESS, terminal, launch.stdin, launch.stdin_once);
        Ok(Self {
            launch,
            claim,
            clients: Arc::default(),
            session,
            inside: Arc::default(),
            input: Some(input),
            size: None,
            orders,
            ordering,
            logged: watch::Sender::default(),
            stopping: false,
            ending: None,
            cost: Cost::default(),
            last: Vec::new(),
        })
    }

    /// Runs the VM to its end; the connection is that of the command that
    /// made it.
    pub async fn run<R, W>(mut self, reader: R, writer: W) -> Result<()>
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let door = Door {
            clients: Arc::clone(&self.clients),
            session: Arc::clone(&self.session),
            orders: self.ordering.clone(),
            logged: self.logged.clone(),
            inside: Arc::clone(&self.inside),
        };
        door.admit_launcher(reader, writer, self.launch.attached);
        let outcome = match self.open(door) {
            Ok(()) => self.live().await,
            Err(failure) => Err(failure),
        };
        self.conclude(outcome).await
    }

    fn open(&self, door: Door) -> Result<()> {
        let directory = self.launch.dirs.vm_runtime(&self.launch.id);
        make_private_dir(&directory)
            .and_then(|()| door.open(&directory.join(super::client::SOCKET)))
            .map_err(|e| Failure::cannot(format!("listen in {}", directory.display()), e))
    }

    /// From power-on to the VM's end. Whatever happens, the VM is gone after, or
    /// killed: `ending` waits for it.
    async fn live(&mut self) -> Result<Exit> {
        let started = Instant::now();
        let config = self.plugged_in().await?;
        let backend = self.launch.backend.backend();
        let starting = backend.start(config).await;
        let mut vm =
            starting.map_err(|e| Failure::cannot("start the VM", &e).maybe_hint(e.hint()))?;
        let outcome = match self.boot(&mut *vm, started).await {
            Ok(up) => self.workload(&mut *vm, up).await,
            Err(failure) => Err(failure),
        };
        self.last.extend(vm.trouble().map(|trouble| Event::Warning(trouble.into())));
        let ending = tokio::spawn(async move {
            vm.stop(Duration::ZERO).await;
        });
        if self.claim.record.auto_remove {
            // Nobody will want its disk: who waits for the command need not
            // wait until the host has taken the VM's memory apart.
            self.ending = Some(ending);
            tokio::task::yield_now().await;
        } else {
            let _ = ending.await;
        }
        outcome
    }

    /// The VM's configuration with its NICs connected.
    #[cfg(unix)]
    async fn plugged_in(&self) -> Result<VmConfig> {
        let mut config = self.launch.vm.clone();
        if let Some(program) = &self.launch.network_program {
            for nic in &mut config.nics {
                nic.cable = Some(passt::plug_in(program).await?);
            }
        }
        Ok(config)
    }

    #[cfg(windows)]
    async fn plugged_in(&self) -> Result<VmConfig> {
        Ok(self.launch.vm.clone())
    }

    /// From power-on to the workload's start, but for files to be put in its way.
    async fn boot(&mut self, vm: &mut dyn VmHandle, started: Instant) -> Result<Up> {
        let channel = vm.channel().ok_or_else(|| Failure::new("the VM has no channel"))?;
        let window = Duration::from_millis(self.launch.boot_window_ms);
        let accepting = Agent::accept(channel, self.launch.vm.nonce(), window);
        let agent = self.during(vm, accepting, explain_boot).await?;
        self.phase("boot", started.elapsed());
        let configuring = Instant::now();
        self.launch.init.wall_clock_ns =
            i64::try_from(now_ms()).unwrap_or_default().saturating_mul(1_000_000);
        let mut init = std::mem::take(&mut self.launch.init);
        let mut process = self.launch.process.clone();
        process.id = MAIN_PROCESS.into();
        Streams::name(&mut process, MAIN, Wanted { stdin: self.launch.stdin, ..Wanted::ALL });
        // The guest looks up only once for what comes together.
        let opening = Streams::open(&agent, &process);
        let at_once = self.launch.inject.is_none();
        init.workload = MessageField::from_option(at_once.then(|| process.clone()));
        let both = async { tokio::try_join!(opening, agent.configure(&init)) };
        let ending = at_once.then(|| Ending::of(&agent, MAIN_PROCESS));
        let done = self.during(vm, both, explain_boot).await;
        Launch::wipe_secrets(&mut init);
        let (streams, mut configured) = done?;
        tracing::debug!(
            kernel = configured.kernel_release,
            init_ms = configured.init_started_ms,
            configured_ms = configured.configured_ms,
            "the guest is configured"
        );
        self.cost.init_ms = configured.init_started_ms;
        self.cost.configured_ms = configured.configured_ms;
        let started = configured.workload.take().unwrap_or_default();
        let took = configuring.elapsed();
        let start = started.started_ms.saturating_sub(configured.configured_ms);
        let start = Duration::from_millis(start).min(took);
        self.phase("configure", took - start);
        let start = ending.map(|ending| (started, start, ending));
        Ok(Up { agent, streams, process, start })
    }

    async fn workload(&mut self, vm: &mut dyn VmHandle, up: Up) -> Result<Exit> {
        let Up { agent, streams, process, start } = up;
        let agent = &agent;
        if let Some(tar) = self.launch.inject.take() {
            let injecting = async { Ok(visit::inject(agent, &tar).await) };
            self.during(vm, injecting, explain_crash).await??;
        }
        let starting = Instant::now();
        let mut moving = self.move_streams(streams);
        let (started, took, ending) = match start {
            Some(start) => start,
            None => {
                let ending = Ending::of(agent, MAIN_PROCESS);
                let starting = agent.start(&process);
                let started = self.during(vm, starting, explain_crash).await?;
                (started, Duration::ZERO, ending)
            }
        };
        self.cost.exec_ms = started.started_ms;
        check(started)?;
        if self.session.terminal {
            moving.sizes_go_to(agent, &self.session);
        }
        if let Some(size) = self.size.take() {
            moving.resize(size);
        }
        let template = std::mem::take(&mut self.launch.process);
        let keys = KeyPlace {
            directory: self.claim.directory().to_owned(),
            more: std::mem::take(&mut self.launch.ssh_keys),
        };
        // Empty until now: a VM has one workload.
        let _ = self.inside.set(Inside::new(agent.clone(), template, keys));
        self.claim.record.phase = Phase::Running;
        self.claim.record.monitor_pid = Some(std::process::id());
        self.claim.record.started_ms = Some(now_ms());
        self.claim.record.exit = None;
        self.claim.save()?;
        self.phase("exec", took + starting.elapsed());
        self.clients.event(Event::Started).await;
        let running = Instant::now();
        let ended = self.wait(vm, agent, ending, &moving).await;
        if let Some(inside) = self.inside.get() {
            inside.close();
        }
        let exit = ended?;
        self.phase("command", running.elapsed());
        let ending = Instant::now();
        self.drain(vm, moving).await;
        self.shut_down(vm, agent).await;
        self.phase("end", ending.elapsed());
        Ok(exit)
    }

    fn move_streams(&mut self, streams: Streams) -> Moving {
        let directory = self.claim.directory().to_owned();
        let writer = |limits| Writer::new(directory, limits, self.logged.clone());
        let log = self.launch.log.map(writer);
        streams.start(self.input.take(), log, &self.session, &self.clients)
    }

    /// The workload runs: orders are carried out until it ends.
    async fn wait(
        &mut self,
        vm: &mut dyn VmHandle,
        agent: &Agent,
        ending: Ending,
        moving: &Moving,
    ) -> Result<Exit> {
        let mut ending = pin!(ending.exit());
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let overdue = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                exit = &mut ending => return match exit {
                    Ok(exit) => Ok(exit),
                    Err(error) => Err(lost(vm, error, explain_crash).await),
                },
                end = vm.wait() => return Err(explain_crash(&end, &vm.console().tail())),
                Some(order) = self.orders.recv() => {
                    let order = self.in_full(order);
                    self.stopping |= matches!(order, Order::Stop { .. });
                    if let Some(due) = due(&order) {
                        let due = tokio::time::Instant::now() + due;
                        deadline = Some(deadline.map_or(due, |earlier| earlier.min(due)));
                    }
                    carry_out(order, agent, moving);
                }
                // The guest does not even do what it is killed for.
                () = overdue => {
                    tracing::warn!("the guest does not obey: the VM is ended");
                    vm.stop(END).await;
                    return Ok(killed());
                }
            }
        }
    }

    /// What an order to stop leaves open is what the VM was made with.
    fn in_full(&self, order: Order) -> Order {
        let stop = self.launch.stop;
        match order {
            Order::Stop { signal, grace_ms } => Order::Stop {
                signal: signal.or(Some(stop.signal)),
                grace_ms: grace_ms.or(Some(stop.grace_ms)),
            },
            order => order,
        }
    }

    /// Waits for the last of the output. A command that reads slowly may take
    /// its time; an order to end cuts it short.
    async fn drain(&mut self, vm: &mut dyn VmHandle, moving: Moving) {
        let mut moving = pin!(moving.drained());
        if self.stopping {
            let _ = timeout(END, moving).await;
            return;
        }
        loop {
            tokio::select! {
                _ = &mut moving => return,
                _ = vm.wait() => {
                    let _ = timeout(END, &mut moving).await;
                    return;
                }
                Some(order) = self.orders.recv() => if gives_up(&order).is_some() {
                    return;
                },
            }
        }
    }

    /// A disk that nobody will read again needs no clean end; a volume that
    /// was written to does.
    async fn shut_down(&mut self, vm: &mut dyn VmHandle, agent: &Agent) {
        let writable_share = self.launch.vm.shares.iter().any(|share| !share.read_only);
        if self.claim.record.auto_remove && !writable_share {
            return;
        }
        tokio::select! {
            () = agent.shutdown(Duration::ZERO) => {
                let _ = timeout(SHUTDOWN, vm.wait()).await;
            }
            _ = vm.wait() => {}
        }
    }

    /// Does `work` unless the VM ends or someone gives up meanwhile.
    async fn during<T>(
        &mut self,
        vm: &mut dyn VmHandle,
        work: impl Future<Output = std::result::Result<T, AgentError>>,
        explain: fn(&VmEnd, &str) -> Failure,
    ) -> Result<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return match done {
                    Ok(done) => Ok(done),
                    Err(error) => Err(lost(vm, error, explain).await),
                },
                end = vm.wait() => return Err(explain(&end, &vm.console().tail())),
                Some(order) = self.orders.recv() => match (gives_up(&order), order) {
                    (Some(signal), _) => {
                        let status = u8::try_from(128 + signal).unwrap_or(u8::MAX);
                        return Err(Failure::new("given up before the command ran").status(status));
                    }
                    (None, Order::Resize(size)) => self.size = Some(size),
                    _ => {}
                },
            }
        }
    }

    fn phase(&mut self, name: &str, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.cost.phases.push((name.into(), micros));
    }

    /// Writes how it ended, or removes the VM; lets go of it; tells everyone.
    async fn conclude(mut self, outcome: Result<Exit>) -> Result<()> {
        let record = &mut self.claim.record;
        record.phase = Phase::Exited;
        record.exit = Some(match &outcome {
            Ok(exit) => ExitRecord {
                code: code(exit),
                signal: (exit.signal != 0).then_some(exit.signal),
                oom_killed: exit.oom_killed,
                finished_ms: now_ms(),
                error: None,
            },
            Err(failure) => ExitRecord {
                code: failure.status,
                signal: None,
                oom_killed: false,
                finished_ms: now_ms(),
                error: Some(failure.message.clone()),
            },
        });
        let _ = std::fs::remove_dir_all(self.launch.dirs.vm_runtime(&self.launch.id));
        self.logged.send_modify(|logged| logged.ended = true);
        if self.claim.record.auto_remove {
            let _ = timeout(LAST_LOOK, self.logged.closed()).await;
        }
        let Self { claim, clients, launch, ending, mut cost, mut last, .. } = self;
        // The lock goes with the claim: who hears of the end can act on it.
        let written = if claim.record.auto_remove {
            claim.remove()
        } else {
            save_last(claim, &launch.vm.disks)
        };
        let event = match outcome {
            Ok(exit) => Event::Exited { code: code(&exit), oom_killed: exit.oom_killed },
            Err(failure) => Event::Failed(failure),
        };
        if launch.tell_cost {
            cost.monitor_cpu_micros = sys::cpu_micros();
            last.push(Event::Cost(cost));
        }
        last.push(event);
        clients.finish(&last).await;
        if let Some(ending) = ending {
            let _ = ending.await;
        }
        written
    }
}

/// Writes the record once more, on a full disk in the place of what the next
/// start makes anew.
fn save_last(claim: Claim, disks: &[Disk]) -> Result<()> {
    claim.save().or_else(|_| {
        for disk in disks.iter().filter(|disk| disk.format == DiskFormat::Vmdk) {
            let _ = std::fs::remove_file(&disk.path);
        }
        claim.save()
    })
}

/// How long after an order to end the workload must have ended.
fn due(order: &Order) -> Option<Duration> {
    match order {
        Order::Stop { grace_ms: Some(u64::MAX) | None, .. } => None,
        Order::Stop { grace_ms: Some(grace_ms), .. } => {
            Duration::from_millis(*grace_ms).checked_add(END)
        }
        Order::Signal(SIGKILL) => Some(END),
        _ => None,
    }
}

/// The end of a workload that went with its VM.
fn killed() -> Exit {
    Exit { code: 128 + SIGKILL, signal: SIGKILL, ..Exit::default() }
}

/// The guest's word on an exit code, capped to what a process can have.
pub fn code(exit: &Exit) -> u8 {
    u8::try_from(exit.code).unwrap_or(u8::MAX)
}

/// The signal with which an order would end the VM.
fn gives_up(order: &Order) -> Option<u32> {
    match order {
        Order::Signal(signal @ (SIGINT | SIGTERM | SIGKILL)) => Some(*signal),
        Order::Stop { .. } => Some(SIGKILL),
        _ => None,
    }
}

fn carry_out(order: Order, agent: &Agent, moving: &Moving) {
    let agent = agent.clone();
    match order {
        Order::Signal(signal) => {
            tokio::spawn(async move {
                if let Err(error) = agent.signal(MAIN_PROCESS, signal).await {
                    tracing::warn!("cannot send signal {signal}: {error}");
                }
            });
        }
        Order::Stop { signal, grace_ms } => {
            tokio::spawn(async move {
                let _ = agent.signal(MAIN_PROCESS, signal.unwrap_or(SIGTERM)).await;
                match grace_ms {
                    None | Some(u64::MAX) => return,
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                }
                let _ = agent.signal(MAIN_PROCESS, SIGKILL).await;
            });
        }
        Order::CloseOutput(stream) => moving.close(stream),
        Order::Resize(size) => moving.resize(size),
        // Their connection's own business.
        Order::Attach(_)
        | Order::AwaitLog { .. }
        | Order::Exec(_)
        | Order::Stream(_)
        | Order::Leave => {}
    }
}

/// A request failed: because the guest said so, or because the VM is going
/// down, which explains more than a closed channel.
pub(super) async fn lost(
    vm: &mut dyn VmHandle,
    error: AgentError,
    explain: fn(&VmEnd, &str) -> Failure,
) -> Failure {
    match error {
        AgentError::Refused(message) => Failure::new(message),
        AgentError::Silent(_) => explain::boot(&error.to_string(), &vm.console().tail()),
        other => match timeout(END, vm.wait()).await {
            Ok(end) => explain(&end, &vm.console().tail()),
            Err(_) => explain::boot(&other.to_string(), &vm.console().tail()),
        },
    }
}

pub(super) fn explain_boot(end: &VmEnd, console: &str) -> Failure {
    match end {
        VmEnd::Crashed(what) => explain::boot(what, console),
        VmEnd::Guest => explain::boot("the guest ended before it reported", console),
        VmEnd::Stopped => explain::boot("it was stopped", console),
    }
}

fn explain_crash(end: &VmEnd, console: &str) -> Failure {
    explain::crash(end, console)
}

/// What the guest says of a process that it was to start.
pub fn check(started: Started) -> Result<()> {
    match started.result {
        Some(started::Result::Pid(_)) => Ok(()),
        Some(started::Result::Failure(failure)) => Err(not_started(&failure)),
        _ => Err(Failure::new("the guest did not say whether the command started")),
    }
}

pub fn not_started(failure: &mvm_proto::StartFailure) -> Failure {
    let message: String = failure.message.chars().filter(|c| !c.is_control()).take(1000).collect();
    let status = match failure.kind.enum_value_or_default() {
        StartFailureKind::NOT_FOUND => NOT_FOUND,
        StartFailureKind::NOT_EXECUTABLE | StartFailureKind::BAD_CWD => CANNOT_INVOKE,
        StartFailureKind::INTERNAL | StartFailureKind::BAD_USER => crate::error::MVM_FAILED,
    };
    Failure::new(message).status(status)
}
