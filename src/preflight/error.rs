// SPDX-License-Identifier: Apache-2.0
//! The reasons for which a VM cannot, or had better not, be started on this
//! host; each knows its own fix.

use std::path::PathBuf;

use super::Verdict;
use super::qemu::QemuError;
use crate::kernel::KernelError;

/// Something a run needs and this host does not give.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error("{what} {} {problem}", path.display())]
    Directory {
        /// `data directory`, `cache directory` or `runtime directory`.
        what: &'static str,
        path: PathBuf,
        problem: DirectoryProblem,
    },
    #[error("only {free_mib} MiB are free for the data directory {}", path.display())]
    DiskFull { path: PathBuf, free_mib: u64 },
    #[error("a VM with {asked_mib} MiB of RAM does not fit in a host with {total_mib} MiB")]
    Memory { asked_mib: u64, total_mib: u64 },
    #[error("{asked} vCPUs are more than the {max} that the hypervisor offers")]
    Vcpus { asked: u32, max: u32 },
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// Neither way is open, and the better one may be the easier to open.
    #[error("{}, and there is no QEMU to emulate with: {qemu}", hypervisor.reason())]
    NoHypervisor { hypervisor: Verdict, qemu: QemuError },
}

/// What is wrong with one of mvm's directories.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryProblem {
    #[error("is not a directory")]
    NotADirectory,
    #[error("is on a read-only file system")]
    ReadOnly,
    #[error("is not writable")]
    NotWritable,
    #[error("belongs to another user")]
    NotOurs,
    #[error("is open to other users (mode {mode:04o})")]
    NotPrivate { mode: u32 },
    #[error("cannot be looked at: {why}")]
    Unreadable { why: String },
}

impl PreflightError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            PreflightError::Directory { what, path, problem } => Some(problem.hint(what, path)),
            PreflightError::DiskFull { .. } => {
                Some("free some space, or set MVM_HOME to a directory on another disk".into())
            }
            PreflightError::Memory { .. } => Some("ask for less with --memory".into()),
            PreflightError::Vcpus { max, .. } => Some(format!("ask for at most --cpus {max}")),
            PreflightError::Kernel(error) => error.hint(),
            PreflightError::Qemu(error) => error.hint(),
            PreflightError::NoHypervisor { hypervisor, qemu } => {
                let fixes: Vec<_> = hypervisor.hint().into_iter().chain(qemu.hint()).collect();
                Some(fixes.join("; or "))
            }
        }
    }
}

impl DirectoryProblem {
    fn hint(&self, what: &str, path: &std::path::Path) -> String {
        let path = path.display();
        match self {
            DirectoryProblem::NotPrivate { .. } => format!("run `chmod 700 {path}`"),
            DirectoryProblem::NotOurs if what == "runtime directory" => {
                "set XDG_RUNTIME_DIR, or MVM_HOME, to a directory of your own".into()
            }
            DirectoryProblem::NotADirectory => {
                format!("move {path} out of the way, or set MVM_HOME to another directory")
            }
            _ => "set MVM_HOME to a directory that you can write".into(),
        }
    }
}

/// Something that does not stop a run and that its user should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("only {free_mib} MiB are free for the data directory {}", path.display())]
    LowDisk { path: PathBuf, free_mib: u64 },
    #[error(
        "a VM with {asked_mib} MiB of RAM may make the host swap: {available_mib} MiB are available"
    )]
    LowMemory { asked_mib: u64, available_mib: u64 },
    #[error("{asked} vCPUs share {online} processors")]
    SharedCpus { asked: u32, online: u32 },
}

impl Warning {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Warning::LowDisk { .. } => "free some space before it runs out".into(),
            Warning::LowMemory { .. } => "ask for less with --memory".into(),
            Warning::SharedCpus { online, .. } => format!("ask for at most --cpus {online}"),
        }
    }
}
