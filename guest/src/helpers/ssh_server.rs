// SPDX-License-Identifier: Apache-2.0
//! `ssh-server FD`: serves one SSH connection on stdin and stdout. What it has
//! to know is in the file that is open as FD: see `handover`.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use tokio::io::join;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::complain;
use crate::handover;
use crate::reaper::Reaper;
use crate::ssh::{self, Setup};

pub fn run(arguments: Vec<OsString>) -> ExitCode {
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // A client that goes is no failure.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("ssh: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &[OsString]) -> io::Result<()> {
    let [descriptor] = arguments else { return Err(io::Error::other("no descriptor is given")) };
    let setup = Setup::read(handover::taken(descriptor)?.into())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let reaper = Reaper::start()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let reader = pipe::Receiver::from_owned_fd(own(rustix::stdio::stdin())?)?;
        let writer = pipe::Sender::from_owned_fd(own(rustix::stdio::stdout())?)?;
        let running = ssh::Running::default();
        tokio::select! {
            served = ssh::serve(setup, reaper, running.clone(), join(reader, writer)) => {
                return served;
            }
            _ = hangup.recv() => {}
            _ = terminated.recv() => {}
        }
        running.hang_up();
        Ok(())
    })
}

/// A copy that goes with its owner; the children's are made of others.
fn own(descriptor: std::os::fd::BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?)
}
