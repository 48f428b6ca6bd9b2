// SPDX-License-Identifier: Apache-2.0
//! The service that the host calls: `Configure` once, then processes.

use std::fs::File;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mvm_proto::{
    Agent, Configured, Empty, Exit, InitConfig, JoinRequest, Joined, MessageField, PartRequest,
    Process, ResizeRequest, ShutdownRequest, SignalRequest, StartFailure, Started, WaitRequest,
};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use ttrpc::r#async::TtrpcContext;
use ttrpc::{Code, Error, get_status};

use crate::cgroup::Workload;
use crate::error::{Failure, Step};
use crate::process::{Processes, Start};
use crate::reaper::Reaper;
use crate::rendezvous::Rendezvous;
use crate::shares::{self, Volume};
use crate::streams::Streams;
use crate::tmpfs::{depth, mount_tmpfs};
use crate::{dev, mounts, names, network, plan, power, root, secrets, sysctl};

/// Bytes of an error's message.
const MAX_MESSAGE: usize = 4096;

pub struct Service {
    started_ms: u64,
    reaper: Reaper,
    streams: Streams,
    /// Taken by the first `Configure`.
    fresh: Mutex<bool>,
    machine: OnceLock<Machine>,
}

/// What `Configure` makes.
struct Machine {
    upper: File,
    processes: Processes,
    rendezvous: Rendezvous,
}

impl Service {
    /// `started_ms`: when init started, by the guest's clock.
    pub fn new(started_ms: u64, reaper: Reaper, streams: Streams) -> Arc<Self> {
        Arc::new(Self {
            started_ms,
            reaper,
            streams,
            fresh: Mutex::new(true),
            machine: OnceLock::new(),
        })
    }

    fn build(&self, config: &mut InitConfig) -> Result<Machine, Failure> {
        set_clock(config.wall_clock_ns)?;
        let disks = std::mem::take(&mut config.root).unwrap_or_default();
        let volumes = shares::open(&config.shares)?;
        let upper = root::enter(&disks)?;
        let devices = dev::mount(config)?;
        mounts::mount_system(config)?;
        dev::mount_program()?;
        let cgroup = Workload::create(config, &devices)?;
        network::configure(config.network.as_ref())?;
        // Some are of the interface.
        sysctl::configure(&config.sysctls)?;
        names::configure(config)?;
        mount_asked(config, &volumes)?;
        secrets::mount(&mut config.secrets)?;
        if disks.read_only {
            plan::make_working_directory(&config.cwd);
            mounts::seal_root()?;
        }
        if !config.writable_system {
            mounts::seal_system()?;
        }
        let (reaper, streams) = (self.reaper.clone(), self.streams.clone());
        let processes = Processes::new(reaper, streams, cgroup, config.hostname.clone())
            .step(|| "open mvm-init")?;
        let rendezvous = Rendezvous::default();
        rendezvous.open().step(|| format!("listen on {}", mvm_proto::streams::SOCKET))?;
        Ok(Machine { upper, processes, rendezvous })
    }

    async fn configure_first(&self, mut config: InitConfig) -> ttrpc::Result<Configured> {
        let workload = config.workload.take();
        let machine = self.build(&mut config).map_err(|e| status(Code::INTERNAL, e))?;
        let mut configured = Configured::new();
        configured.init_started_ms = self.started_ms;
        configured.configured_ms = uptime_ms();
        configured.kernel_release =
            rustix::system::uname().release().to_string_lossy().into_owned();
        // It is empty: `fresh` let one caller through.
        let machine = self.machine.get_or_init(|| machine);
        if let Some(workload) = workload {
            configured.workload = MessageField::some(start(machine, workload).await?);
        }
        Ok(configured)
    }

    fn machine(&self) -> ttrpc::Result<&Machine> {
        self.machine
            .get()
            .ok_or_else(|| status(Code::FAILED_PRECONDITION, "the guest is not configured"))
    }
}

#[async_trait]
impl Agent for Service {
    async fn configure(&self, _: &TtrpcContext, config: InitConfig) -> ttrpc::Result<Configured> {
        let first = {
            let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *fresh, false)
        };
        if !first {
            return Err(status(Code::FAILED_PRECONDITION, "the guest was configured before"));
        }
        self.configure_first(config).await
    }

    async fn start(&self, _: &TtrpcContext, process: Process) -> ttrpc::Result<Started> {
        start(self.machine()?, process).await
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> ttrpc::Result<Exit> {
        let exit = self.machine()?.processes.wait(&request.id).await;
        exit.ok_or_else(|| unknown(&request.id))
    }

    async fn signal(&self, _: &TtrpcContext, request: SignalRequest) -> ttrpc::Result<Empty> {
        self.machine()?
            .processes
            .signal(&request.id, request.signal)
            .ok_or_else(|| unknown(&request.id))?
            .map_err(|e| status(Code::INVALID_ARGUMENT, e))?;
        Ok(Empty::new())
    }

    async fn resize(&self, _: &TtrpcContext, request: ResizeRequest) -> ttrpc::Result<Empty> {
        self.machine()?
            .processes
            .resize(&request.id, request.terminal.get_or_default())
            .ok_or_else(|| unknown(&request.id))?
            .map_err(|e| status(Code::INTERNAL, e))?;
        Ok(Empty::new())
    }

    async fn join(&self, _: &TtrpcContext, request: JoinRequest) -> ttrpc::Result<Joined> {
        let end = self.machine()?.rendezvous.join(&request, &self.streams).await;
        let mut joined = Joined::new();
        joined.end = end.map_err(|e| status(Code::INVALID_ARGUMENT, e))?.into();
        Ok(joined)
    }

    async fn part(&self, _: &TtrpcContext, request: PartRequest) -> ttrpc::Result<Empty> {
        self.machine()?.rendezvous.part(request.stream);
        Ok(Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, request: ShutdownRequest) -> ttrpc::Result<Empty> {
        let grace = Duration::from_millis(request.grace_ms.into());
        let machine = self.machine.get();
        let (processes, upper) =
            (machine.map(|machine| &machine.processes), machine.map(|machine| &machine.upper));
        power::shut_down(grace, &self.reaper, processes, upper).await
    }
}

async fn start(machine: &Machine, process: Process) -> ttrpc::Result<Started> {
    let started = machine.processes.start(process).await;
    let mut answer = Started::new();
    answer.started_ms = uptime_ms();
    match started.map_err(|e| status(Code::INVALID_ARGUMENT, e))? {
        Start::Started(pid, _) => answer.set_pid(pid.as_raw_nonzero().get().unsigned_abs()),
        Start::Refused(refusal) => {
            let mut failure = StartFailure::new();
            failure.kind = refusal.kind.into();
            failure.message = capped(refusal.message);
            answer.set_failure(failure);
        }
    }
    Ok(answer)
}

/// Shares and file systems in memory, the deeper over the shallower.
fn mount_asked(config: &InitConfig, volumes: &[Volume]) -> Result<(), Failure> {
    type Mounting<'a> = (usize, Box<dyn Fn() -> Result<(), Failure> + 'a>);
    let volumes =
        volumes.iter().map(|volume| -> Mounting { (volume.depth(), Box::new(|| volume.attach())) });
    let tmpfs = config
        .tmpfs
        .iter()
        .map(|tmpfs| -> Mounting { (depth(&tmpfs.target), Box::new(|| mount_tmpfs(tmpfs))) });
    let mut all: Vec<Mounting> = volumes.chain(tmpfs).collect();
    all.sort_by_key(|(depth, _)| *depth);
    all.iter().try_for_each(|(_, mount)| mount())
}

/// Milliseconds since the kernel started.
pub fn uptime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

/// The VM has no clock of its own: 0 leaves it at 1970.
fn set_clock(wall_clock_ns: i64) -> Result<(), Failure> {
    const NANOSECONDS: i64 = 1_000_000_000;
    if wall_clock_ns <= 0 {
        return Ok(());
    }
    let now =
        Timespec { tv_sec: wall_clock_ns / NANOSECONDS, tv_nsec: wall_clock_ns % NANOSECONDS };
    clock_settime(ClockId::Realtime, now).step(|| "set the clock")
}

fn unknown(id: &str) -> Error {
    status(Code::NOT_FOUND, format!("no process {id}"))
}

fn status(code: Code, message: impl ToString) -> Error {
    Error::RpcStatus(get_status(code, capped(message.to_string())))
}

fn capped(mut message: String) -> String {
    let end = (0..=MAX_MESSAGE).rev().find(|end| message.is_char_boundary(*end));
    if message.len() > MAX_MESSAGE {
        message.truncate(end.unwrap_or(0));
    }
    message
}
