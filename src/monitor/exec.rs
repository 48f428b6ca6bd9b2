// SPDX-License-Identifier: Apache-2.0
//! Processes beside the workload, each of one command (`mvm exec`): started
//! with what the workload has around it, ended with the command, unless that
//! leaves it on purpose, or with the VM.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use mvm_proto::{Exit, MessageField, NoNewPrivileges, Process, SshKeys, capabilities};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

use super::answers::{check, code};
use super::clients::{Client, Clients};
use super::session::{Input, Session};
use super::streams::{Moving, Streams};
use super::wire::{Event, Order, Streams as Wanted};
use crate::agent::{Agent, AgentError, Ending};
use crate::error::{Failure, Result};
use crate::spec::bytes;
use crate::ssh::Keys;
use crate::terminal::Size;

/// The helper that serves one SSH connection.
pub const SSH_SERVER: &str = "ssh-server";

/// SSH connections of a VM at once, each of which is a process there of some
/// MiB.
const MAX_SSH: usize = 32;

const SIGHUP: u32 = 1;
/// Streams of these processes are numbered from here, a few for each.
const FIRST_STREAM: u32 = 16;
const STREAMS: u32 = 4;

/// What a command wants to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    #[serde(with = "bytes::list")]
    pub args: Vec<Vec<u8>>,
    /// NAME=value, over the workload's own.
    #[serde(with = "bytes::list")]
    pub env: Vec<Vec<u8>>,
    /// The workload's, where nothing is said.
    pub workdir: Option<String>,
    pub user: Option<String>,
    pub privileged: bool,
    pub streams: Wanted,
    /// It gets a terminal, of this size.
    pub terminal: Option<Size>,
    /// It goes on without its command.
    pub detach: bool,
    /// It is mvm-init, and the first of `args` what that is to help with.
    pub helper: bool,
}

impl ExecRequest {
    fn is_ssh_server(&self) -> bool {
        self.helper && self.args.first().is_some_and(|name| name == SSH_SERVER.as_bytes())
    }
}

/// The inside of a VM whose workload runs.
pub struct Inside {
    pub agent: Agent,
    /// The workload as it was started.
    template: Process,
    last: AtomicU32,
    /// The workload has ended: nothing is started any more.
    over: AtomicBool,
    /// For as many SSH connections as there may be.
    ssh: Arc<Semaphore>,
    key_place: KeyPlace,
    /// Those of the first SSH connection are those of all.
    keys: OnceLock<SshKeys>,
}

/// Where a VM's SSH server has its keys from.
pub struct KeyPlace {
    /// The VM's.
    pub directory: PathBuf,
    /// Public keys that get in, beside the VM's own.
    pub more: Vec<String>,
}

impl Inside {
    pub fn new(agent: Agent, template: Process, key_place: KeyPlace) -> Arc<Self> {
        let ssh = Arc::new(Semaphore::new(MAX_SSH));
        let (last, over) = (AtomicU32::new(0), AtomicBool::new(false));
        let keys = OnceLock::new();
        Arc::new(Self { agent, template, last, over, ssh, key_place, keys })
    }

    /// The workload has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn ssh_keys(&self) -> Result<SshKeys> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys.clone());
        }
        let KeyPlace { directory, more } = &self.key_place;
        let keys = Keys::ensure(directory)?.for_guest(more)?;
        Ok(self.keys.get_or_init(|| keys).clone())
    }

    /// A number for something new, and the first of its streams.
    pub fn next(&self) -> (u32, u32) {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        (number, FIRST_STREAM.wrapping_add(number.wrapping_mul(STREAMS)))
    }
}

/// A process on its way up, as its command's connection sees it.
pub struct Begun {
    pub session: Arc<Session>,
    pub orders: mpsc::Sender<Order>,
}

/// Starts a process for a command, which hears of its start and end as that of
/// a workload.
pub fn begin(
    inside: &Arc<Inside>,
    request: ExecRequest,
    clients: &Arc<Clients>,
    client: &Client,
) -> Begun {
    let (number, first_stream) = inside.next();
    let process = format!("exec-{number}");
    let terminal = request.terminal.is_some();
    let (session, input) = Session::new(&process, terminal, request.streams.stdin, true);
    clients.attach(client, &process, request.streams);
    let (ordering, orders) = mpsc::channel(16);
    let exec = Exec {
        inside: Arc::clone(inside),
        session: Arc::clone(&session),
        clients: Arc::clone(clients),
        client: client.clone(),
        first_stream,
    };
    tokio::spawn(exec.run(request, input, orders));
    Begun { session, orders: ordering }
}

struct Exec {
    inside: Arc<Inside>,
    session: Arc<Session>,
    clients: Arc<Clients>,
    client: Client,
    first_stream: u32,
}

impl Exec {
    async fn run(
        self,
        request: ExecRequest,
        input: mpsc::UnboundedReceiver<Input>,
        orders: mpsc::Receiver<Order>,
    ) {
        let stays = request.detach;
        let admitted = self.admit(&request);
        let ended = match admitted {
            Ok(_) => self.start(request, input).await,
            Err(_) => Err(Some(too_many())),
        };
        let ended = match ended {
            Ok((moving, ending)) => {
                self.clients.tell(&self.client, Event::Started).await;
                self.wait(moving, ending, orders, stays).await
            }
            Err(lost) => Err(lost),
        };
        let event = match ended {
            Ok(exit) => Event::Exited { code: code(&exit), oom_killed: exit.oom_killed },
            Err(Some(failure)) => Event::Failed(failure),
            // The end of the VM is on its way to all.
            Err(None) => return,
        };
        self.clients.tell(&self.client, event).await;
    }

    /// Room for a process, which is taken until this goes.
    fn admit(&self, request: &ExecRequest) -> Admitted {
        match request.is_ssh_server() {
            true => Arc::clone(&self.inside.ssh).try_acquire_owned().map(Some),
            false => Ok(None),
        }
    }

    async fn start(
        &self,
        request: ExecRequest,
        input: mpsc::UnboundedReceiver<Input>,
    ) -> Asked<(Moving, Ending)> {
        let agent = &self.inside.agent;
        let keys = match request.is_ssh_server() {
            true => Some(self.inside.ssh_keys()?),
            false => None,
        };
        let mut process = self.process(request);
        process.ssh = MessageField::from_option(keys);
        let streams = Streams::open(agent, &process).await.map_err(lost)?;
        let mut moving = streams.start(Some(input), None, &self.session, &self.clients);
        let ending = Ending::of(agent, &process.id);
        check(agent.start(&process).await.map_err(lost)?)?;
        if self.session.terminal {
            moving.sizes_go_to(agent, &self.session);
        }
        Ok((moving, ending))
    }

    /// The workload's surroundings with another command.
    fn process(&self, request: ExecRequest) -> Process {
        let mut process = self.inside.template.clone();
        process.id = self.session.process.clone();
        process.args = request.args;
        process.helper = request.helper;
        if request.helper {
            // They are the workload's.
            process.rlimits.clear();
        }
        process.env.extend(request.env);
        if let Some(workdir) = request.workdir {
            process.cwd = workdir.into_bytes();
        }
        if let Some(user) = request.user {
            process.user = user;
        }
        if request.privileged {
            process.capabilities = capabilities::ALL;
            process.no_new_privileges = NoNewPrivileges::NEVER.into();
        }
        process.terminal = MessageField::from_option(request.terminal.map(Into::into));
        // The limit of the workload's branch holds for all that runs there.
        process.cpu_milli = 0;
        Streams::name(&mut process, self.first_stream, request.streams);
        process
    }

    /// Carries out its command's orders until it ends; hangs up when that goes.
    async fn wait(
        &self,
        moving: Moving,
        ending: Ending,
        mut orders: mpsc::Receiver<Order>,
        mut stays: bool,
    ) -> Asked<Exit> {
        let mut ending = pin!(ending.exit());
        let mut listening = true;
        let exit = loop {
            tokio::select! {
                exit = &mut ending => break exit.map_err(lost)?,
                order = orders.recv(), if listening => match order {
                    Some(Order::Leave) => stays = true,
                    Some(order) => self.carry_out(order, &moving),
                    None => {
                        listening = false;
                        if !stays {
                            self.carry_out(Order::Signal(SIGHUP), &moving);
                        }
                    }
                },
            }
        };
        moving.drained().await;
        Ok(exit)
    }

    fn carry_out(&self, order: Order, moving: &Moving) {
        match order {
            Order::Signal(signal) => {
                let (agent, process) = (self.inside.agent.clone(), self.session.process.clone());
                tokio::spawn(async move {
                    if let Err(error) = agent.signal(&process, signal).await {
                        tracing::debug!("cannot send signal {signal} to {process}: {error}");
                    }
                });
            }
            Order::Resize(size) => moving.resize(size),
            Order::CloseOutput(stream) => moving.close(stream),
            _ => {}
        }
    }
}

type Admitted = std::result::Result<Option<OwnedSemaphorePermit>, TryAcquireError>;

fn too_many() -> Failure {
    Failure::new(format!("the VM has {MAX_SSH} SSH connections, and takes no more"))
        .hint("end some; ssh's ControlMaster has many sessions in one connection")
}

/// What the guest was asked for. An error without a failure is the end of the
/// VM, which says for itself how it was.
pub type Asked<T> = std::result::Result<T, Option<Failure>>;

pub fn lost(error: AgentError) -> Option<Failure> {
    let failure = Failure::new(format!("the VM could not be asked: {error}"));
    match error {
        AgentError::Closed => None,
        AgentError::Full => {
            Some(failure.status(1).hint("wait until some of its commands have ended"))
        }
        _ => Some(failure),
    }
}
