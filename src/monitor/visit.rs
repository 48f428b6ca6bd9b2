// SPDX-License-Identifier: Apache-2.0
//! A VM that does not run, booted for helpers alone: without its workload, a monitor, a log or
//! a word in its record. The process that visits holds the VM's lock, and when it dies the
//! VMM dies with it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mvm_proto::{NoNewPrivileges, Process, capabilities};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, simplex};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answers::{check, explain_boot, lost};
use super::helper::{Helper, HelperEnd, MAX_WORDS, WAITING};

use super::{ExecRequest, Launch};
use crate::agent::{Agent, AgentError};
use crate::copy;
use crate::error::{Failure, Result};
use crate::hypervisor::VmHandle;
use crate::state::{make_private_dir, now_ms};

/// How long the guest may take to write its disk and to end.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// A helper's streams among those of its VM: none of the workload's, nor of processes beside
/// that.
const FIRST_STREAM: u32 = 4;
const NAME: &str = "helper";

/// A VM that is up for helpers. Ended by `end`; dropped, it is killed.
pub struct Visit {
    vm: Box<dyn VmHandle>,
    agent: Agent,
    _sockets: Sockets,
}

/// The directory of a VM's sockets, which goes with them.
struct Sockets(PathBuf);

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Visit {
    /// Boots a VM that the caller holds the lock of.
    pub async fn begin(mut launch: Launch) -> Result<Self> {
        let runtime = launch.dirs.vm_runtime(&launch.id);
        make_private_dir(&runtime)
            .map_err(|e| Failure::cannot(format!("make {}", runtime.display()), e))?;
        let _sockets = Sockets(runtime);
        let starting = launch.backend.backend().start(launch.vm.clone()).await;
        let mut vm =
            starting.map_err(|e| Failure::cannot("start the VM", &e).maybe_hint(e.hint()))?;
        let inside = async {
            let agent = boot(&mut *vm, &mut launch).await?;
            if let Some(tar) = &launch.inject {
                inject(&agent, tar).await?;
            }
            Ok(agent)
        };
        match inside.await {
            Ok(agent) => Ok(Self { vm, agent, _sockets }),
            Err(failure) => {
                vm.stop(Duration::ZERO).await;
                Err(failure)
            }
        }
    }

    /// Starts a helper; one at a time.
    pub async fn helper(&self, request: ExecRequest) -> Result<Helper> {
        start(&self.agent, request).await
    }

    /// Ends the VM, with all that was written on its disk.
    pub async fn end(mut self) {
        tokio::select! {
            () = self.agent.shutdown(Duration::ZERO) => {
                let _ = timeout(SHUTDOWN, self.vm.wait()).await;
            }
            _ = self.vm.wait() => {}
        }
        self.vm.stop(Duration::ZERO).await;
    }
}

async fn boot(vm: &mut dyn VmHandle, launch: &mut Launch) -> Result<Agent> {
    let channel = vm.channel().ok_or_else(|| Failure::new("the VM has no channel"))?;
    let window = Duration::from_millis(launch.boot_window_ms);
    let mut init = std::mem::take(&mut launch.init);
    init.wall_clock_ns = i64::try_from(now_ms()).unwrap_or_default().saturating_mul(1_000_000);
    let booting = async {
        let agent = Agent::accept(channel, launch.vm.nonce(), window).await?;
        agent.configure(&init).await?;
        Ok::<_, AgentError>(agent)
    };
    let booted = tokio::select! {
        biased;
        booted = booting => booted,
        end = vm.wait() => return Err(explain_boot(&end, &vm.console().tail())),
    };
    match booted {
        Ok(agent) => Ok(agent),
        Err(error) => Err(lost(vm, error, explain_boot).await),
    }
}

/// Puts files on the VM's disk before its workload; they are not needed again.
pub async fn inject(agent: &Agent, tar: &Path) -> Result<()> {
    let request = copy::request_injected();
    let helper = start(agent, ExecRequest::helper(request.name, &request.arguments)).await?;
    copy::put_injected(helper, tar).await
}

/// Starts a helper over the channel that this process has.
pub async fn start(agent: &Agent, request: ExecRequest) -> Result<Helper> {
    let failed = |e: AgentError| Failure::new(format!("the VM could not be asked: {e}"));
    let stream = async |offset| agent.stream(FIRST_STREAM + offset).await;
    let streams = tokio::try_join!(stream(0), stream(1), stream(2));
    let (mut to, mut from, complaints) = streams.map_err(failed)?;
    let process = Process {
        id: NAME.into(),
        args: request.args,
        cwd: b"/".to_vec(),
        user: request.user.unwrap_or_default(),
        stdin: FIRST_STREAM,
        stdout: FIRST_STREAM + 1,
        stderr: FIRST_STREAM + 2,
        capabilities: capabilities::ALL,
        no_new_privileges: NoNewPrivileges::NEVER.into(),
        helper: true,
        ..Process::default()
    };
    let (mut input, stdin) = simplex(WAITING);
    let (stdout, mut output) = duplex(WAITING);
    let (ending, ended) = oneshot::channel();
    check(agent.start(&process).await.map_err(failed)?)?;
    let mut moving = JoinSet::new();
    moving.spawn(async move {
        let _ = tokio::io::copy(&mut input, &mut to).await;
        let _ = to.shutdown().await;
    });
    let agent = agent.clone();
    moving.spawn(async move {
        let mut words = Vec::new();
        let mut complaints = complaints.take(MAX_WORDS as u64);
        let output = async {
            let _ = tokio::io::copy(&mut from, &mut output).await;
            drop(output);
        };
        let (ended, _, ()) =
            tokio::join!(agent.wait(NAME), complaints.read_to_end(&mut words), output);
        let ended = ended.map_err(failed).map(|exit| {
            let code = u8::try_from(exit.code).unwrap_or(u8::MAX);
            HelperEnd { code, words: String::from_utf8_lossy(&words).trim_end().to_owned() }
        });
        let _ = ending.send(ended);
    });
    Ok(Helper { stdin, stdout, ended, moving })
}
