// SPDX-License-Identifier: Apache-2.0
//! `sftp-server`: serves files on stdin and stdout to the user that it runs as.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::error::complain;
use crate::sftp;

pub fn run(_: Vec<OsString>) -> ExitCode {
    match sftp::serve(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("sftp: {error}"));
            ExitCode::FAILURE
        }
    }
}
