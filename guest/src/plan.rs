// SPDX-License-Identifier: Apache-2.0
//! From a request to everything a child needs: user, environment, working
//! directory, program and limits, looked up in the image's own files.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mvm_proto::{NoNewPrivileges, Process, StartFailureKind};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use crate::child::{CStrings, Plan, Program, Step};
use crate::environment;
use crate::error::text;
use crate::lookup::{self, Refusal, gids};
use crate::privileges::Privileges;
use crate::users::{self, Credentials};

/// Docker's limit of open files, soft and hard.
const OPEN_FILES: u64 = 1 << 20;

/// A command as the image understands it.
pub struct Command {
    pub user: Credentials,
    environment: Vec<Vec<u8>>,
    cwd: PathBuf,
    program: PathBuf,
    name: Vec<u8>,
}

/// What the image has to say to a request.
pub fn command(request: &Process, hostname: &str) -> Result<Command, Refusal> {
    let name = request.args.first().ok_or_else(|| io::Error::other("no command"))?.clone();
    let user = users::resolve(&request.user, &request.additional_groups)
        .map_err(|e| Refusal::new(StartFailureKind::BAD_USER, e.to_string()))?;
    let (hostname, terminal) = (hostname.as_bytes(), request.terminal.is_some());
    let environment = environment::complete(&request.env, &user.home, hostname, terminal);
    let cwd = working_directory(&request.cwd)?;
    let path = environment::get(&environment, b"PATH");
    let program = match request.helper {
        true => PathBuf::new(),
        false => lookup::as_user(&user, || lookup::program(&name, path, &cwd))??,
    };
    Ok(Command { user, environment, cwd, program, name })
}

/// Makes a working directory while the root can be written; what is wrong with
/// it is told when a process starts there.
pub fn make_working_directory(path: &[u8]) {
    let _ = working_directory(path);
}

/// Makes it if it is missing, root's, as Docker does.
fn working_directory(path: &[u8]) -> Result<PathBuf, Refusal> {
    let path = Path::new(if path.is_empty() { OsStr::new("/") } else { OsStr::from_bytes(path) });
    let refuse = |why: String| Refusal::new(StartFailureKind::BAD_CWD, why);
    let shown = path.display();
    if !path.is_absolute() {
        return Err(refuse(format!(
            "the working directory '{shown}' is invalid, it needs to be an absolute path"
        )));
    }
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Ok(path.into()),
        Ok(_) => Err(refuse(format!("cannot use working directory {shown}: not a directory"))),
        Err(_) => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map(|()| path.into())
            .map_err(|e| refuse(format!("cannot make working directory {shown}: {}", text(&e)))),
    }
}

/// The plan for the child: the command with the rest of its request. `itself`
/// is the program of this process.
pub fn complete(
    command: &Command,
    request: &Process,
    stdio: [OwnedFd; 3],
    cgroup: Option<OwnedFd>,
    itself: &OwnedFd,
) -> io::Result<Plan> {
    let c_string = |path: &Path| CString::new(path.as_os_str().as_bytes());
    Ok(Plan {
        program: match request.helper {
            true => Program::Open(itself.try_clone()?),
            false => Program::Path(c_string(&command.program)?),
        },
        arguments: CStrings::new(request.args.iter().cloned())?,
        environment: CStrings::new(command.environment.iter().cloned())?,
        cwd: c_string(&command.cwd)?,
        stdio,
        terminal: request.terminal.is_some(),
        inherited: None,
        cgroup,
        rlimits: rlimits(request),
        uid: Uid::from_raw(command.user.uid),
        gid: Gid::from_raw(command.user.gid),
        groups: gids(&command.user.groups),
        privileges: Privileges {
            capabilities: request.capabilities,
            no_new: no_new_privileges(request, &command.user),
        },
    })
}

fn no_new_privileges(request: &Process, user: &Credentials) -> bool {
    match request.no_new_privileges.enum_value_or_default() {
        NoNewPrivileges::UNLESS_ROOT => user.uid != 0,
        NoNewPrivileges::ALWAYS => true,
        NoNewPrivileges::NEVER => false,
    }
}

fn rlimits(request: &Process) -> Vec<(u32, libc::rlimit)> {
    let both = |limit| libc::rlimit { rlim_cur: limit, rlim_max: limit };
    let defaults = [
        (libc::RLIMIT_NOFILE, both(OPEN_FILES)),
        // It counts a user's processes; ours are counted by control group.
        (libc::RLIMIT_NPROC, both(libc::RLIM_INFINITY)),
    ];
    let asked = request
        .rlimits
        .iter()
        .map(|limit| (limit.resource, libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard }));
    defaults.into_iter().chain(asked).collect()
}

/// What to tell about a child that did not come to its program.
pub fn explain(command: &Command, step: Step, errno: Errno) -> Refusal {
    let why = text(&errno.into());
    match step {
        Step::Exec => lookup::explain(&command.name, &command.program, errno),
        Step::Cwd => {
            let message = format!("chdir to cwd (\"{}\"): {why}", command.cwd.display());
            Refusal::new(StartFailureKind::BAD_CWD, message)
        }
        Step::Rlimit => {
            Refusal::new(StartFailureKind::INTERNAL, format!("error setting rlimits: {why}"))
        }
        step => {
            let message = format!("set up the process ({step:?}): {why}");
            Refusal::new(StartFailureKind::INTERNAL, message.to_lowercase())
        }
    }
}
