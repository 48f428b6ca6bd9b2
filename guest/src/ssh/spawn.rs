// SPDX-License-Identifier: Apache-2.0
//! Starts a process for a session as the agent starts one, with its ends of
//! pipes or of a terminal.

use std::os::fd::OwnedFd;

use mvm_proto::{MessageField, Process, Terminal};
use russh::Pty;
use rustix::fs::{Mode, OFlags, Uid};
use rustix::process::{Pid, WaitStatus};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::modes;
use crate::child::{self, CStrings};
use crate::lookup::Refusal;
use crate::plan;
use crate::reaper::Reaper;
use crate::streams::{input_pipe, output_pipe};
use crate::terminal::{self, Master};

/// A terminal as a client asks for it.
#[derive(Clone)]
pub struct Screen {
    pub term: String,
    pub size: Terminal,
    pub modes: Vec<(Pty, u32)>,
}

pub struct Spawned {
    pub pid: Pid,
    pub status: oneshot::Receiver<WaitStatus>,
    pub ends: Ends,
}

/// Our ends of what the process reads and writes.
pub enum Ends {
    Pipes { input: pipe::Sender, output: pipe::Receiver, errors: pipe::Receiver },
    Terminal(Master),
}

/// `name`: what the program is called, if not by its path.
pub async fn spawn(
    mut request: Process,
    name: Option<Vec<u8>>,
    screen: Option<&Screen>,
    owner: Uid,
    hostname: &str,
    reaper: &Reaper,
) -> Result<Spawned, Refusal> {
    let (ends, stdio) = match screen {
        Some(screen) => {
            let (master, slave) = terminal::open(&screen.size, owner)?;
            modes::set(&slave, &screen.modes).map_err(std::io::Error::from)?;
            let path =
                rustix::termios::ttyname(&slave, Vec::new()).map_err(std::io::Error::from)?;
            request.env.push([b"SSH_TTY=", path.as_bytes()].concat());
            request.env.push([b"TERM=", screen.term.as_bytes()].concat());
            request.terminal = MessageField::some(screen.size.clone());
            (Ends::Terminal(master), [slave.try_clone()?, slave.try_clone()?, slave])
        }
        None => pipes(owner)?,
    };
    let command = plan::command(&request, hostname)?;
    let mut plan = plan::complete(&command, &request, stdio, None, &own_program()?)?;
    if let Some(name) = name {
        let rest = request.args.iter().skip(1).cloned();
        plan.arguments = CStrings::new(std::iter::once(name).chain(rest))?;
    }
    let starting = child::fork(plan)?;
    // No await between these two: see `Reaper::watch`.
    let pid = starting.pid;
    let status = reaper.watch(pid);
    match starting.executed().await {
        Ok(()) => Ok(Spawned { pid, status, ends }),
        Err((step, errno)) => Err(plan::explain(&command, step, errno)),
    }
}

/// The program of this process.
pub fn own_program() -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/self/exe", flags, Mode::empty())?)
}

fn pipes(owner: Uid) -> std::io::Result<(Ends, [OwnedFd; 3])> {
    let (stdin, input) = input_pipe()?;
    let (stdout, output) = output_pipe()?;
    let (stderr, errors) = output_pipe()?;
    for end in [&stdin, &stdout, &stderr] {
        // So that a user may open its /dev/stdout again.
        rustix::fs::fchown(end, Some(owner), None)?;
    }
    Ok((Ends::Pipes { input, output, errors }, [stdin, stdout, stderr]))
}
