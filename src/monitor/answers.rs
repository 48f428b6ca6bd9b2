// SPDX-License-Identifier: Apache-2.0
//! What the guest says of a process, and that it says nothing any more, as a
//! command is told it.

use std::time::Duration;

use mvm_proto::{Exit, StartFailureKind, Started, started};
use tokio::time::timeout;

use super::explain;
use crate::agent::AgentError;
use crate::error::{CANNOT_INVOKE, Failure, NOT_FOUND, Result};
use crate::hypervisor::{VmEnd, VmHandle};

/// How long the VMM's end may follow the end of its channel.
const END: Duration = Duration::from_secs(5);

/// A request failed: because the guest said so, or because the VM is going
/// down, which explains more than a closed channel.
pub async fn lost(
    vm: &mut dyn VmHandle,
    error: AgentError,
    explain: fn(&VmEnd, &str) -> Failure,
) -> Failure {
    match error {
        AgentError::Refused(message) => Failure::new(message),
        AgentError::Silent(_) => explain::boot(&error.to_string(), &vm.console().tail()),
        other => match timeout(END, vm.wait()).await {
            Ok(end) => explain(&end, &vm.console().tail()),
            Err(_) => explain::boot(&other.to_string(), &vm.console().tail()),
        },
    }
}

pub fn explain_boot(end: &VmEnd, console: &str) -> Failure {
    match end {
        VmEnd::Crashed(what) => explain::boot(what, console),
        VmEnd::Guest => explain::boot("the guest ended before it reported", console),
        VmEnd::Stopped => explain::boot("it was stopped", console),
    }
}

pub fn explain_crash(end: &VmEnd, console: &str) -> Failure {
    explain::crash(end, console)
}

/// What the guest says of a process that it was to start.
pub fn check(started: Started) -> Result<()> {
    match started.result {
        Some(started::Result::Pid(_)) => Ok(()),
        Some(started::Result::Failure(failure)) => Err(not_started(&failure)),
        _ => Err(Failure::new("the guest did not say whether the command started")),
    }
}

pub fn not_started(failure: &mvm_proto::StartFailure) -> Failure {
    let message: String = failure.message.chars().filter(|c| !c.is_control()).take(1000).collect();
    let status = match failure.kind.enum_value_or_default() {
        StartFailureKind::NOT_FOUND => NOT_FOUND,
        StartFailureKind::NOT_EXECUTABLE | StartFailureKind::BAD_CWD => CANNOT_INVOKE,
        StartFailureKind::INTERNAL | StartFailureKind::BAD_USER => crate::error::MVM_FAILED,
    };
    Failure::new(message).status(status)
}

/// The guest's word on an exit code, capped to what a process can have.
pub fn code(exit: &Exit) -> u8 {
    u8::try_from(exit.code).unwrap_or(u8::MAX)
}
