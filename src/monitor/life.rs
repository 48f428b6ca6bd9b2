// SPDX-License-Identifier: Apache-2.0
//! One VM from power-on to its record: boot, configure, run, drain, end.

mod conclusion;
mod running;

use std::fs::File;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mvm_proto::{Exit, MAIN_PROCESS, MessageField, Process, Started};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::answers::{check, explain_boot, explain_crash, lost};
use super::clients::Clients;
use super::door::Door;
use super::exec::{Inside, KeyPlace};
use super::session::{Input, Session};
use super::streams::{MAIN, Moving, Streams};
use super::wire::{Cost, Event, Order, Streams as Wanted};
use super::{Launch, visit};
use crate::agent::{Agent, AgentError, Ending};
use crate::error::{Failure, Result};
use crate::hypervisor::{VmConfig, VmEnd, VmHandle};
use crate::logs::{Grown, Writer};
#[cfg(unix)]
use crate::net::passt;
use crate::state::{Claim, Phase, make_private_dir, now_ms};
use crate::terminal::Size;
use running::gives_up;

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
}
