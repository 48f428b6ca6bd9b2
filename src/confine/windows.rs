// SPDX-License-Identifier: Apache-2.0
//! Windows: nothing. HCS runs the VM in a worker process of its own account.

use std::path::{Path, PathBuf};

use tokio::process::{Child, Command};

use super::{ConfineError, Policy, Report, Subject};

pub fn spawn(
    command: &mut Command,
    policy: &Policy,
    _subject: Subject,
    mut without_mounts: impl FnMut() -> bool,
) -> Result<(Child, Report), ConfineError> {
    if !policy.binds.is_empty() && !without_mounts() {
        return Err(ConfineError::NoMounts);
    }
    let child = command.spawn().map_err(ConfineError::Spawn)?;
    Ok((child, Report::default()))
}

pub fn probe() -> Result<Report, ConfineError> {
    Ok(Report::default())
}

pub fn enter(_policy: &Policy) -> Result<(), ConfineError> {
    Ok(())
}

pub fn library_places(_program: &Path) -> Vec<PathBuf> {
    Vec::new()
}

pub fn loader_of(_program: &Path) -> Vec<PathBuf> {
    Vec::new()
}
