// SPDX-License-Identifier: Apache-2.0
//! What this program does as a child of itself, inside the workload's root and
//! its limits: helpers, started by the host with `Process.helper`, need nothing
//! of the image, and may block, crash and be killed like any process.

mod files;
mod sftp_server;
mod ssh_server;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use crate::error::complain;

/// Gets what follows its name, and is to say on stderr what went wrong.
type Helper = fn(Vec<OsString>) -> ExitCode;

const HELPERS: [(&str, Helper); 4] = [
    (mvm_files::helper::OUT, files::out),
    (mvm_files::helper::IN, files::into),
    ("sftp-server", sftp_server::run),
    ("ssh-server", ssh_server::run),
];

/// Runs the helper that this process was started as.
pub fn run() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    match HELPERS.iter().find(|(known, _)| OsStr::new(known) == name) {
        Some((_, helper)) => helper(arguments.collect()),
        None => {
            complain("this program is the first process of an mvm guest");
            ExitCode::FAILURE
        }
    }
}
