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
mod tree;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::CapabilitySet;
use seccompiler::BpfProgram;
use tokio::process::{Child, Command};

use super::{ConfineError, Policy, Report, Subject};
pub use files::{library_places, loader_of};
use namespaces::{Extent, Namespaces};
use tree::Tree;

/// How a child says that it is the namespaces that it cannot have: an error
/// number is all that comes back from between fork and exec, and no system
/// call made there gives this one.
const NO_NAMESPACES: i32 = libc::EUNATCH;

/// What one child after the other tries.
const EXTENTS: [Extent; 3] = [Extent::All, Extent::NoTree, Extent::None];

/// What is done to a child between fork and exec.
struct Plan {
    namespaces: Namespaces,
    /// Into [`EXTENTS`].
    attempt: AtomicUsize,
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
    let namespaces = Namespaces::plan(policy, tree(command, policy, subject));
    let rest = match subject {
        Subject::Program => {
            let kept = capabilities_kept(policy, subject, namespaces.is_user());
            Some(Rest::prepare(policy, seccomp::for_program(policy)?, kept, &mut report)?)
        }
        Subject::Runner => None,
    };
    let plan = Arc::new(Plan { namespaces, attempt: AtomicUsize::new(0), rest });
    let in_child = Arc::clone(&plan);
    // SAFETY: the closure makes system calls on what was prepared before the
    // fork; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(move || in_child.carry_out()) };
    loop {
        match command.spawn() {
            Ok(child) => {
                plan.namespaces.tell(plan.extent(), &mut report);
                return Ok((child, report));
            }
            Err(e) if e.raw_os_error() == Some(NO_NAMESPACES) => {
                // The last of them tries none, and so cannot say this.
                tracing::debug!("no namespaces: {:?}", plan.extent());
                plan.attempt.fetch_add(1, Ordering::Relaxed);
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

/// The file system that the VMM is to see.
fn tree(command: &Command, policy: &Policy, subject: Subject) -> Option<Tree> {
    let command = command.as_std();
    let mut code = Vec::new();
    if subject == Subject::Runner {
        // Once it runs it confines itself and has no more need of these.
        let program = std::env::current_exe().ok()?;
        code.extend(library_places(&program));
        code.extend(loader_of(&program));
        code.push(program);
    }
    Tree::plan(policy, &code, command.get_current_dir())
}

impl Plan {
    fn extent(&self) -> Extent {
        EXTENTS[self.attempt.load(Ordering::Relaxed).min(EXTENTS.len() - 1)]
    }

    /// In the child, where nothing may be allocated.
    fn carry_out(&self) -> io::Result<()> {
        let extent = self.extent();
        if extent != Extent::None {
            let entered = self.namespaces.enter(extent);
            entered.map_err(|_| io::Error::from_raw_os_error(NO_NAMESPACES))?;
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
