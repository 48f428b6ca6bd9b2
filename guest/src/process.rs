// SPDX-License-Identifier: Apache-2.0
//! Processes of the host's choosing: started with Docker's rules, watched to
//! their end, signalled by ID. How a command becomes a `Plan` is in `plan`.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mvm_proto::{Exit, MAIN_PROCESS, Process, StartFailureKind, Terminal, capabilities};
use rustix::fs::{Mode, OFlags, Uid};
use rustix::process::{Pid, WaitStatus};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::cgroup::{Leaf, Workload};
use crate::child::{self, LAST_SIGNAL};
use crate::error::complain;
use crate::handover;
use crate::lookup::Refusal;
use crate::plan;
use crate::reaper::Reaper;
use crate::stdio::Stdio;
use crate::streams::Streams;
use crate::terminal::{self, Sizer};

/// Known at once, ended ones included.
const MAX_PROCESSES: usize = 1024;

/// Characters of an ID.
const MAX_ID: usize = 64;

/// What came of a request to start.
pub enum Start {
    Started(Pid, Option<Sizer>),
    Refused(Refusal),
}

/// All processes that the host started.
pub struct Processes {
    reaper: Reaper,
    streams: Streams,
    cgroup: Option<Workload>,
    hostname: String,
    /// The workload's request, without its command and streams.
    workload: OnceLock<Process>,
    /// The program of this process, which helpers are.
    itself: OwnedFd,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<String, Entry>,
    /// Counts starts: the age of entries, and names of control groups.
    starts: u64,
}

#[derive(Clone)]
struct Entry {
    start: u64,
    /// `None` until the exec.
    pid: Option<Pid>,
    terminal: Option<Sizer>,
    ended: watch::Receiver<bool>,
    exit: watch::Receiver<Option<Exit>>,
    /// The host sent it SIGKILL.
    killed: Arc<AtomicBool>,
}

impl Processes {
    pub fn new(
        reaper: Reaper,
        streams: Streams,
        cgroup: Option<Workload>,
        hostname: String,
    ) -> io::Result<Self> {
        let itself =
            rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let (workload, table) = (OnceLock::new(), Mutex::default());
        Ok(Self { reaper, streams, cgroup, hostname, workload, itself, table })
    }

    /// An error is the host's mistake or ours; what the image or the command
    /// gets wrong is `Refused`.
    pub async fn start(&self, mut request: Process) -> io::Result<Start> {
        if !self.cgroup.as_ref().is_some_and(Workload::may_make_devices) {
            request.capabilities &= !capabilities::MKNOD;
        }
        let inherited = self.hand_over(&mut request)?;
        let (ended_sender, ended) = watch::channel(false);
        let (exit_sender, exit) = watch::channel(None);
        let start = self.reserve(&request.id, ended.clone(), exit)?;
        let outcome =
            self.launch(&request, inherited, start, ended, ended_sender, exit_sender).await;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(Start::Started(pid, terminal)) => {
                if let Some(entry) = table.entries.get_mut(&request.id) {
                    entry.pid = Some(*pid);
                    entry.terminal.clone_from(terminal);
                }
            }
            _ => drop(table.entries.remove(&request.id)),
        }
        outcome
    }

    /// How the process ended, once it has and its output is handed over.
    /// `None` for an unknown ID.
    pub async fn wait(&self, id: &str) -> Option<Exit> {
        let Entry { mut exit, killed, .. } = self.entry(id)?;
        let mut exit = exit.wait_for(Option::is_some).await.ok()?.clone()?;
        // The same signal, and one of its children may have been too large.
        exit.oom_killed &= !killed.load(Ordering::Relaxed);
        Some(exit)
    }

    /// Signals the process itself, not what it started, as Docker does. One
    /// that has ended is no error. `None` for an unknown ID.
    pub fn signal(&self, id: &str, signal: u32) -> Option<io::Result<()>> {
        let entry = self.entry(id)?;
        let known = i32::try_from(signal).ok().filter(|n| (1..=LAST_SIGNAL).contains(n));
        let Some(signal) = known else {
            return Some(Err(io::Error::other(format!("there is no signal {signal}"))));
        };
        match entry.pid {
            Some(pid) if !*entry.ended.borrow() => {
                entry.killed.fetch_or(signal == libc::SIGKILL, Ordering::Relaxed);
                Some(crate::power::kill(pid, signal))
            }
            _ => Some(Ok(())),
        }
    }

    /// Sets the size of a process's terminal. `None` for an unknown ID.
    pub fn resize(&self, id: &str, size: &Terminal) -> Option<io::Result<()>> {
        let terminal = self.entry(id)?.terminal;
        Some(terminal.map_or(Ok(()), |terminal| terminal.set(size)))
    }

    /// Returns when every process known now has ended and its output is
    /// handed over.
    pub async fn all_exited(&self) {
        let exits: Vec<_> = {
            let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            table.entries.values().map(|entry| entry.exit.clone()).collect()
        };
        for mut exit in exits {
            // A start that failed has no exit.
            let _ = exit.wait_for(Option::is_some).await;
        }
    }

    fn entry(&self, id: &str) -> Option<Entry> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).entries.get(id).cloned()
    }

    /// Takes the ID, which no live process may have.
    fn reserve(
        &self,
        id: &str,
        ended: watch::Receiver<bool>,
        exit: watch::Receiver<Option<Exit>>,
    ) -> io::Result<u64> {
        if id.is_empty() || id.chars().count() > MAX_ID {
            return Err(io::Error::other(format!("an ID has 1 to {MAX_ID} characters")));
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |entry: &Entry| entry.exit.borrow().is_some();
        if table.entries.get(id).is_some_and(|entry| !over(entry)) {
            return Err(io::Error::other(format!("process {id} is running")));
        }
        if table.entries.len() >= MAX_PROCESSES {
            let finished = table.entries.iter().filter(|(_, entry)| over(entry));
            let oldest = finished.min_by_key(|(_, entry)| entry.start).map(|(id, _)| id.clone());
            let oldest = oldest.ok_or_else(|| {
                io::Error::other(format!("{MAX_PROCESSES} processes are running"))
            })?;
            table.entries.remove(&oldest);
        }
        table.starts += 1;
        let start = table.starts;
        let entry = Entry { start, pid: None, terminal: None, ended, exit, killed: Arc::default() };
        table.entries.insert(id.into(), entry);
        Ok(start)
    }

    /// What a helper is told beside its arguments.
    fn hand_over(&self, request: &mut Process) -> io::Result<Option<OwnedFd>> {
        if request.id == MAIN_PROCESS {
            let workload = Process { args: Vec::new(), ..request.clone() };
            // There is one.
            let _ = self.workload.set(workload);
        }
        handover::prepare(request, self.workload.get(), &self.hostname)
    }

    async fn launch(
        &self,
        request: &Process,
        inherited: Option<OwnedFd>,
        start: u64,
        ended: watch::Receiver<bool>,
        ended_sender: watch::Sender<bool>,
        exit_sender: watch::Sender<Option<Exit>>,
    ) -> io::Result<Start> {
        // First, so that the streams of a refused start are ended too.
        let mut stdio = Stdio::claim(request, &self.streams).await?;
        let command = match plan::command(request, &self.hostname) {
            Ok(command) => command,
            Err(refusal) => {
                stdio.end().await;
                return Ok(Start::Refused(refusal));
            }
        };
        let leaf = self.leaf(request, start)?;
        let group = leaf.as_ref().map(Leaf::directory).transpose()?;
        let ends = stdio.make(request, Uid::from_raw(command.user.uid))?;
        if request.terminal.is_some()
            && request.id == MAIN_PROCESS
            && let Err(e) = terminal::make_console(&ends[0])
        {
            // Few programs look for it.
            complain(format_args!("make /dev/console: {e}"));
        }
        let mut plan = plan::complete(&command, request, ends, group, &self.itself)?;
        plan.inherited = inherited;
        let starting = child::fork(plan)?;
        // No await between these two: see `Reaper::watch`.
        let pid = starting.pid;
        let status = self.reaper.watch(pid);
        if let Err((step, errno)) = starting.executed().await {
            let _ = status.await;
            stdio.end().await;
            if let Some(leaf) = leaf {
                leaf.remove();
            }
            return Ok(Start::Refused(plan::explain(&command, step, errno)));
        }
        let terminal = stdio.sizer();
        let outputs = stdio.start(&ended);
        tokio::spawn(supervise(status, outputs, leaf, ended_sender, exit_sender));
        Ok(Start::Started(pid, terminal))
    }

    fn leaf(&self, request: &Process, start: u64) -> io::Result<Option<Leaf>> {
        let Some(workload) = &self.cgroup else {
            return match request.cpu_milli {
                0 => Ok(None),
                _ => Err(io::Error::other("this kernel has no cgroup2 to limit the CPU with")),
            };
        };
        let main = request.id == MAIN_PROCESS;
        let leaf = match (main, request.cpu_milli) {
            (true, _) => workload.leaf(MAIN_PROCESS)?,
            (false, 0) => workload.shared()?,
            (false, _) => workload.leaf(&start.to_string())?,
        };
        match request.cpu_milli {
            0 => {}
            // The workload's limit is that of all that runs beside it, too.
            milli if main => workload.limit_cpu(milli)?,
            milli => leaf.limit_cpu(milli)?,
        }
        Ok(Some(leaf))
    }
}

/// From the exec to the answer of every `wait`.
async fn supervise(
    status: oneshot::Receiver<WaitStatus>,
    outputs: Vec<JoinHandle<()>>,
    leaf: Option<Leaf>,
    ended: watch::Sender<bool>,
    exit: watch::Sender<Option<Exit>>,
) {
    let status = status.await.ok();
    ended.send_replace(true);
    let killed = status.and_then(|status| status.terminating_signal()) == Some(libc::SIGKILL);
    let oom = killed && leaf.as_ref().is_some_and(Leaf::oom_killed);
    for output in outputs {
        let _ = output.await;
    }
    if let Some(leaf) = leaf {
        leaf.remove();
    }
    exit.send_replace(Some(exit_of(status, oom)));
}

/// `oom`: it was killed, and the kernel has killed something for want of memory.
fn exit_of(status: Option<WaitStatus>, oom: bool) -> Exit {
    let mut exit = Exit::new();
    let number = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok());
    let signal = status.and_then(|status| number(status.terminating_signal()));
    exit.signal = signal.unwrap_or(0);
    // No status: the reaper is gone, and with it the VM.
    let code = status.and_then(|status| number(status.exit_status())).unwrap_or(255);
    exit.code = signal.map_or(code, |signal| 128 + signal);
    exit.oom_killed = oom;
    exit
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(StartFailureKind::INTERNAL, error.to_string())
    }
}
