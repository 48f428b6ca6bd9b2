// SPDX-License-Identifier: Apache-2.0
//! Linux: namespaces, Landlock, seccomp, capabilities, each where the host has
//! it. What is prepared here in the parent allocates; what runs in the child
//! between fork and exec makes system calls only.

mod capabilities;
mod files;
mod landlock;
mod namespaces;
mod seccomp;
mod syscalls;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::thread::CapabilitySet;
use seccompiler::BpfProgram;
use tokio::process::{Child, Command};

use super::{ConfineError, Policy, Report, Subject};
pub use files::{library_places, loader_of};
use namespaces::Namespaces;

/// How a child says that it is the namespaces that it cannot have: an error
/// number is all that comes back from between fork and exec, and no system
/// call made there gives this one.
const NO_NAMESPACES: i32 = libc::EUNATCH;

/// What is done to a child between fork and exec.
struct Plan {
    namespaces: Namespaces,
    with_namespaces: AtomicBool,
    /// What the program does not do for itself.
    rest: Option<Rest>,
}

/// What needs no namespaces and can be done by a process to itself.
struct Rest {
    landlock: Option<OwnedFd>,
    filters: Vec<BpfProgram>,
    capabilities: CapabilitySet,
}

/// Starts a VMM under a policy. Walls that this host does not have are left
/// out, and the report says so. Descriptors that are not close-on-exec in the
/// child, by earlier `pre_exec` closures, are passed on.
pub fn spawn(
    command: &mut Command,
    policy: &Policy,
    subject: Subject,
) -> Result<(Child, Report), ConfineError> {
    let mut report = Report::default();
    let namespaces = Namespaces::plan(policy);
    let rest = match subject {
        Subject::Program => {
            let kept = capabilities_kept(policy, subject, namespaces.is_user());
            Some(Rest::prepare(policy, seccomp::for_program(policy)?, kept, &mut report)?)
        }
        Subject::Runner => None,
    };
    let plan = Arc::new(Plan { namespaces, with_namespaces: true.into(), rest });
    let in_child = Arc::clone(&plan);
    // SAFETY: the closure makes system calls on what was prepared before the
    // fork; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || in_child.carry_out()) };
    loop {
        match command.spawn() {
            Ok(child) => {
                let with = plan.with_namespaces.load(Ordering::Relaxed);
                plan.namespaces.tell(with, &mut report);
                return Ok((child, report));
            }
            Err(e) if e.raw_os_error() == Some(NO_NAMESPACES) => {
                // It cannot come twice: the next child does not try.
                plan.with_namespaces.store(false, Ordering::Relaxed);
            }
            Err(e) => return Err(ConfineError::Spawn(e)),
        }
    }
}

/// Confines this process for good: the calling thread, and those that it starts
/// from now on. There must be no other yet.
pub fn enter(policy: &Policy) -> Result<Report, ConfineError> {
    let mut report = Report::default();
    namespaces::tell_of_this_process(&mut report);
    let kept = capabilities_kept(policy, Subject::Runner, report.user_namespace);
    let rest = Rest::prepare(policy, seccomp::for_runner(policy)?, kept, &mut report)?;
    rest.carry_out().map_err(ConfineError::Apply)?;
    Ok(report)
}

/// Only root has any, and in a namespace of one user there is nothing to do
/// with them.
fn capabilities_kept(policy: &Policy, subject: Subject, in_user_namespace: bool) -> CapabilitySet {
    match in_user_namespace {
        true => CapabilitySet::empty(),
        false => capabilities::needed(policy, subject),
    }
}

impl Plan {
    /// In the child, where nothing may be allocated.
    fn carry_out(&self) -> io::Result<()> {
        if self.with_namespaces.load(Ordering::Relaxed) {
            self.namespaces.enter().map_err(|_| io::Error::from_raw_os_error(NO_NAMESPACES))?;
        }
        match &self.rest {
            Some(rest) => rest.carry_out(),
            None => Ok(rustix::thread::set_no_new_privs(true)?),
        }
    }
}

impl Rest {
    fn prepare(
        policy: &Policy,
        filters: Vec<BpfProgram>,
        capabilities: CapabilitySet,
        report: &mut Report,
    ) -> Result<Self, ConfineError> {
        let landlock = landlock::ruleset(policy)?;
        report.landlock_abi = landlock.as_ref().map_or(0, |_| landlock::abi());
        report.seccomp = !filters.is_empty();
        report.capabilities = capabilities::held().intersection(capabilities).bits();
        Ok(Self { landlock, filters, capabilities })
    }

    /// System calls only.
    fn carry_out(&self) -> io::Result<()> {
        capabilities::keep(self.capabilities)?;
        rustix::thread::set_no_new_privs(true)?;
        if let Some(ruleset) = &self.landlock {
            landlock::restrict(ruleset)?;
        }
        self.filters.iter().try_for_each(seccomp::install)
    }
}
