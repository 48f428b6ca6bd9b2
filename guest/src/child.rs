// SPDX-License-Identifier: Apache-2.0
//! From fork to exec. Everything is prepared before; the child makes system
//! calls only, neither allocating nor locking, and reports the step and errno
//! of a failure through a pipe that a successful exec closes.

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use rustix::{fs::Gid, fs::Uid, process};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::cgroup;
use crate::privileges::Privileges;

/// Signals of Linux: 1 to this.
pub const LAST_SIGNAL: i32 = 64;

/// A file that is executed.
pub enum Program {
    Path(CString),
    Open(OwnedFd),
}

/// Everything the child needs.
pub struct Plan {
    pub program: Program,
    pub arguments: CStrings,
    pub environment: CStrings,
    pub cwd: CString,
    pub stdio: [OwnedFd; 3],
    /// They are a terminal, which is to control the process.
    pub terminal: bool,
    /// A file that stays open, under its number.
    pub inherited: Option<OwnedFd>,
    /// Directory of the control group that it is to be in.
    pub cgroup: Option<OwnedFd>,
    pub rlimits: Vec<(u32, libc::rlimit)>,
    pub uid: Uid,
    pub gid: Gid,
    pub groups: Vec<Gid>,
    pub privileges: Privileges,
}

/// A NULL-terminated array of strings, for execve(2).
pub struct CStrings {
    pointers: Vec<*const c_char>,
    /// What the pointers point to: the heap blocks, which moving `Self` does
    /// not move.
    _strings: Vec<CString>,
}

// SAFETY: the pointers are to memory that this value owns and never changes.
unsafe impl Send for CStrings {}
// SAFETY: as above.
unsafe impl Sync for CStrings {}

impl CStrings {
    /// Fails if a string holds a NUL.
    pub fn new<I: IntoIterator<Item = Vec<u8>>>(strings: I) -> io::Result<Self> {
        let strings = strings.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Ok(Self { pointers, _strings: strings })
    }
}

/// What the child was at when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Session,
    Cgroup,
    Rlimit,
    Stdio,
    User,
    Privileges,
    Cwd,
    Exec,
}

const STEPS: [Step; 8] = [
    Step::Session,
    Step::Cgroup,
    Step::Rlimit,
    Step::Stdio,
    Step::User,
    Step::Privileges,
    Step::Cwd,
    Step::Exec,
];

/// A child between fork and exec.
pub struct Starting {
    pub pid: Pid,
    report: pipe::Receiver,
}

impl Starting {
    /// Returns when the exec has succeeded, or with what failed.
    pub async fn executed(mut self) -> Result<(), (Step, Errno)> {
        let mut report = [0; 5];
        match self.report.read_exact(&mut report).await {
            Ok(_) => {
                let [step, errno @ ..] = report;
                let step = STEPS.get(usize::from(step)).copied().unwrap_or(Step::Exec);
                Err((step, Errno::from_raw_os_error(i32::from_ne_bytes(errno))))
            }
            // Closed without a word: the exec did it.
            Err(_) => Ok(()),
        }
    }
}

/// Forks. The caller has the reaper watch the child before anything else.
pub fn fork(plan: Plan) -> io::Result<Starting> {
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC)?;
    let report = pipe::Receiver::from_owned_fd(report)?;
    // SAFETY: the child calls only `run`, which keeps to what is allowed
    // between fork and exec, and never returns.
    let child = plan.cgroup.as_ref().map(|group| unsafe { fork_into(group) });
    let (child, door) = match child {
        Some(Ok(child)) => (child, None),
        // An old kernel has no such call, and a group that is full takes nobody
        // who is not yet a process.
        other => {
            let door = other.is_some().then_some(&plan.cgroup).and_then(Option::as_ref);
            let door = door.map(cgroup::door).transpose()?;
            // SAFETY: as above.
            (unsafe { libc::fork() }, door)
        }
    };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => run(&plan, door.as_ref(), &reporter),
        pid => {
            let pid = Pid::from_raw(pid).ok_or(Errno::CHILD)?;
            Ok(Starting { pid, report })
        }
    }
}

/// As fork(2), with the child in a control group from the first: to enter one
/// later waits for every CPU of the machine.
///
/// # Safety
/// As of fork(2), without what libc does for it: the child makes system calls
/// only, and executes a program or ends.
unsafe fn fork_into(group: &OwnedFd) -> io::Result<i32> {
    /// `struct clone_args` of linux/sched.h.
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut arguments = Arguments {
        flags: CLONE_INTO_CGROUP,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        cgroup: u64::from(group.as_raw_fd().unsigned_abs()),
        ..Arguments::default()
    };
    let size = size_of::<Arguments>();
    // SAFETY: the structure and its size; with no stack given and no memory
    // shared, the child goes on with a copy of this one, as after fork(2).
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size) };
    match i32::try_from(child) {
        Ok(child @ 0..) => Ok(child),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The child. Its system calls are rustix's, which make no use of libc, or
/// async-signal-safe functions of libc.
fn run(plan: &Plan, door: Option<&OwnedFd>, reporter: &OwnedFd) -> ! {
    let Err((step, errno)) = become_program(plan, door);
    let mut report = [step as u8, 0, 0, 0, 0];
    report[1..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
    let _ = rustix::io::write(reporter, &report);
    // SAFETY: _exit runs no handlers and returns to nobody.
    unsafe { libc::_exit(127) }
}

fn become_program(
    plan: &Plan,
    door: Option<&OwnedFd>,
) -> Result<std::convert::Infallible, (Step, Errno)> {
    reset_signals();
    process::setsid().map_err(|e| (Step::Session, e))?;
    if let Some(door) = door {
        rustix::io::write(door, b"0").map_err(|e| (Step::Cgroup, e))?;
    }
    for (resource, limit) in &plan.rlimits {
        // SAFETY: the pointer is to a whole rlimit that outlives the call.
        if unsafe { libc::setrlimit(*resource as _, limit) } != 0 {
            return Err((Step::Rlimit, last_errno()));
        }
    }
    for (target, source) in (0..).zip(&plan.stdio) {
        // SAFETY: both are numbers; that the target is one of 0 to 2, which
        // no object of this program owns, keeps ownership of descriptors.
        if unsafe { libc::dup2(source.as_raw_fd(), target) } < 0 {
            return Err((Step::Stdio, last_errno()));
        }
    }
    if let Some(file) = &plan.inherited {
        rustix::io::fcntl_setfd(file, FdFlags::empty()).map_err(|e| (Step::Stdio, e))?;
    }
    if plan.terminal {
        process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(|e| (Step::Stdio, e))?;
    }
    // As runc: with root's rights first, then with the user's (a share may
    // refuse root).
    let entered = process::chdir(plan.cwd.as_c_str());
    plan.privileges.bound().map_err(|e| (Step::Privileges, e))?;
    set_thread_groups(&plan.groups).map_err(|e| (Step::User, e))?;
    set_thread_res_gid(plan.gid, plan.gid, plan.gid).map_err(|e| (Step::User, e))?;
    set_thread_res_uid(plan.uid, plan.uid, plan.uid).map_err(|e| (Step::User, e))?;
    plan.privileges.settle(plan.uid.is_root()).map_err(|e| (Step::Privileges, e))?;
    if matches!(entered, Err(Errno::ACCESS | Errno::PERM)) {
        process::chdir(plan.cwd.as_c_str()).map_err(|e| (Step::Cwd, e))?;
    } else {
        entered.map_err(|e| (Step::Cwd, e))?;
    }
    Err((Step::Exec, exec(&plan.program, &plan.arguments, &plan.environment)))
}

fn exec(program: &Program, arguments: &CStrings, environment: &CStrings) -> Errno {
    let (directory, path, flags): (RawFd, &CStr, i32) = match program {
        Program::Path(path) => (libc::AT_FDCWD, path, 0),
        Program::Open(file) => (file.as_raw_fd(), c"", libc::AT_EMPTY_PATH),
    };
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // By number: libc has no function for it everywhere.
    // SAFETY: a C string and two NULL-terminated arrays of C strings, all
    // alive: see CStrings.
    unsafe {
        libc::syscall(libc::SYS_execveat, directory, path.as_ptr(), arguments, environment, flags)
    };
    last_errno()
}

/// Rust ignores SIGPIPE and the runtime handles SIGCHLD: neither may reach
/// the program. exec resets handlers, but not what is ignored or blocked.
fn reset_signals() {
    for signal in 1..=LAST_SIGNAL {
        // SAFETY: signal(2) with SIG_DFL installs no code; those that cannot
        // be changed are refused with EINVAL, which is fine.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: sigemptyset initializes the set that sigprocmask reads.
    unsafe {
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

fn last_errno() -> Errno {
    // Reads errno and allocates nothing.
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}
