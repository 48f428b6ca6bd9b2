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
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, setrlimit};
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
    capabilities: CapabilitySet,
    /// What the program does not do for itself.
    rest: Option<Rest>,
}

/// What needs no namespaces and can be done by a process to itself.
struct Rest {
    landlock: Option<OwnedFd>,
    filters: Vec<BpfProgram>,
}

/// Starts a VMM under a policy. Walls that this host does not have are left
/// out, and the report says so; it counts what a runner is going to do itself.
/// Descriptors that are not close-on-exec in the child, by earlier `pre_exec`
/// closures, are passed on. Where the policy's binds cannot be mounted
/// `without_mounts` says whether to go on.
pub fn spawn(
    command: &mut Command,
    policy: &Policy,
    subject: Subject,
    mut without_mounts: impl FnMut() -> bool,
) -> Result<(Child, Report), ConfineError> {
    let tree = tree(command, policy, subject);
    let mut mounts = tree.is_some() || policy.binds.is_empty();
    if !mounts && !without_mounts() {
        return Err(ConfineError::NoMounts);
    }
    let namespaces = Namespaces::plan(policy, tree);
    // In a namespace of one user there is nothing to do with a capability.
    let capabilities = match namespaces.is_user() {
        true => CapabilitySet::empty(),
        false => capabilities::needed(policy, subject),
    };
    let mut report = Report {
        landlock_abi: landlock::abi(),
        seccomp: true,
        capabilities: capabilities::held().intersection(capabilities).bits(),
        ..Report::default()
    };
    let rest = match subject {
        Subject::Program => Some(Rest::prepare(policy, seccomp::for_program(policy)?)?),
        Subject::Runner => None,
    };
    let plan = Arc::new(Plan { namespaces, attempt: AtomicUsize::new(0), capabilities, rest });
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
                if std::mem::take(&mut mounts) && !policy.binds.is_empty() && !without_mounts() {
                    return Err(ConfineError::NoMounts);
                }
                plan.attempt.fetch_add(1, Ordering::Relaxed);
            }
            Err(e) => return Err(ConfineError::Spawn(e)),
        }
    }
}

/// Which walls this host has for this user, found out on a process that does
/// nothing. Not within a runtime.
pub fn probe() -> Result<Report, ConfineError> {
    let program = std::env::current_exe().map_err(ConfineError::Spawn)?;
    let mut policy = Policy { read: library_places(&program), ..Policy::default() };
    policy.execute.extend(loader_of(&program));
    policy.execute.push(program.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(ConfineError::Spawn)?.block_on(async {
        let mut command = Command::new(&program);
        command.arg("--version").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (mut child, report) = spawn(&mut command, &policy, Subject::Program, || false)?;
        match child.wait().await.map_err(ConfineError::Spawn)? {
            status if status.success() => Ok(report),
            status => Err(ConfineError::Spawn(io::Error::other(status.to_string()))),
        }
    })
}

/// Confines this process, which was started as a runner, for good: the calling
/// thread, and those that it starts from now on. There must be no other yet.
pub fn enter(policy: &Policy) -> Result<(), ConfineError> {
    let rest = Rest::prepare(policy, seccomp::for_runner(policy)?)?;
    rest.carry_out().map_err(ConfineError::Apply)
}

/// The file system that the VMM is to see.
fn tree(command: &Command, policy: &Policy, subject: Subject) -> Option<Tree> {
    let command = command.as_std();
    let directory = command.get_current_dir().unwrap_or(Path::new("/"));
    let program = Path::new(command.get_program());
    if subject == Subject::Program {
        return Tree::plan(policy, &[], directory, program);
    }
    // It is named by /proc/self/exe. If that file was replaced since, it is
    // nowhere else, and there can be no tree.
    let file = std::fs::canonicalize(program).ok()?;
    // Once it runs it confines itself and has no more need of these.
    let mut code = [library_places(&file), loader_of(&file)].concat();
    code.push(file.clone());
    if !program.starts_with("/proc") {
        code.push(program.to_owned());
    }
    Tree::plan(policy, &code, directory, &file)
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
        capabilities::keep(self.capabilities)?;
        rustix::thread::set_no_new_privs(true)?;
        // A core would have the guest's memory in it, secrets and all.
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
        self.rest.as_ref().map_or(Ok(()), Rest::carry_out)
    }
}

impl Rest {
    fn prepare(policy: &Policy, filters: Vec<BpfProgram>) -> Result<Self, ConfineError> {
        Ok(Self { landlock: landlock::ruleset(policy)?, filters })
    }

    /// System calls only.
    fn carry_out(&self) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        if let Some(ruleset) = &self.landlock {
            landlock::restrict(ruleset)?;
        }
        self.filters.iter().try_for_each(seccomp::install)
    }
}
