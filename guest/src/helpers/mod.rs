// SPDX-License-Identifier: Apache-2.0
//! What this program does as a child of itself, inside the workload's root and
//! its limits: helpers, started by the host with `Process.helper`, need nothing
//! of the image, and may block, crash and be killed like any process. As
//! /dev/mvm it is there for programs of the image, too.

mod files;
mod kernel;
mod sftp_server;
mod ssh_server;
mod stats;
mod stream;
mod top;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use mvm_proto::streams::PROGRAM;

use crate::error::{complain, text};

/// Gets what follows its name, and is to say on stderr what went wrong.
type Helper = fn(Vec<OsString>) -> ExitCode;

/// For the host.
const HELPERS: [(&str, Helper); 6] = [
    (mvm_files::helper::OUT, files::out),
    (mvm_files::helper::IN, files::into),
    ("sftp-server", sftp_server::run),
    ("ssh-server", ssh_server::run),
    ("stats", stats::run),
    ("top", top::run),
];

/// Runs what this process was started as: a helper, or /dev/mvm. `None`:
/// neither.
pub fn run() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name).file_name() == Path::new(PROGRAM).file_name() {
        return Some(stream::program(arguments.collect()));
    }
    let (_, helper) = HELPERS.iter().find(|(known, _)| OsStr::new(known) == name)?;
    Some(helper(arguments.collect()))
}

/// Whether a program of this name is a helper of the host's.
fn is_helper(name: &[u8]) -> bool {
    HELPERS.iter().any(|(known, _)| known.as_bytes() == name)
}

/// The end of a helper, which says why it failed.
fn outcome(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The host reads no more.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", text(&e));
            ExitCode::FAILURE
        }
    }
}

/// What a program says that is started as nothing that it is.
pub fn refuse() -> ExitCode {
    complain("this program is the first process of an mvm guest");
    ExitCode::FAILURE
}
