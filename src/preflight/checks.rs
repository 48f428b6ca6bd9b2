// SPDX-License-Identifier: Apache-2.0
//! Judges directories, disk, memory and processors against what a VM asks
//! for. It gets facts and returns verdicts; it asks the system nothing.

use std::path::{Path, PathBuf};

use super::error::{DirectoryProblem, PreflightError, Warning};

/// Below this, an image cannot even be unpacked: refuse.
const DISK_FLOOR_MIB: u64 = 512;

/// Below this, the next larger image may fill the disk: warn.
const DISK_WARN_MIB: u64 = 5 * 1024;

/// What the platform saw at a directory's path. When the directory does not
/// exist yet, `writable` is about its nearest existing ancestor.
#[derive(Clone, Debug)]
pub(super) struct DirectoryFacts {
    pub exists: bool,
    pub is_directory: bool,
    pub writable: Result<(), DirectoryProblem>,
    /// Owned by the user mvm runs as.
    pub ours: bool,
    /// Permission bits that others have on it; 0 if private or not applicable.
    pub mode: u32,
}

/// Whether mvm can keep its files in a directory, or can make it. With
/// `private`, what exists there must be this user's and closed to others:
/// whoever can write among sockets can pose as a VM.
pub(super) fn directory(
    what: &'static str,
    path: &Path,
    facts: &DirectoryFacts,
    private: bool,
) -> Result<(), PreflightError> {
    let refuse = |problem| Err(PreflightError::Directory { what, path: path.to_owned(), problem });
    if facts.exists && !facts.is_directory {
        return refuse(DirectoryProblem::NotADirectory);
    }
    if facts.exists && private {
        if !facts.ours {
            return refuse(DirectoryProblem::NotOurs);
        }
        if facts.mode & 0o077 != 0 {
            return refuse(DirectoryProblem::NotPrivate { mode: facts.mode });
        }
    }
    match &facts.writable {
        Ok(()) => Ok(()),
        Err(problem) => refuse(problem.clone()),
    }
}

/// Whether the data directory's file system has room; `free` in bytes.
pub(super) fn disk(path: &Path, free: u64) -> Result<Option<Warning>, PreflightError> {
    let free_mib = free >> 20;
    let path: PathBuf = path.to_owned();
    if free_mib < DISK_FLOOR_MIB {
        return Err(PreflightError::DiskFull { path, free_mib });
    }
    Ok((free_mib < DISK_WARN_MIB).then_some(Warning::LowDisk { path, free_mib }))
}

/// Physical memory in MiB. `available` is what can be had without swapping,
/// where the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub total_mib: u64,
    pub available_mib: Option<u64>,
}

/// Whether the VM's RAM fits in the host's.
pub(super) fn memory(asked_mib: u64, host: Memory) -> Result<Option<Warning>, PreflightError> {
    if asked_mib > host.total_mib {
        return Err(PreflightError::Memory { asked_mib, total_mib: host.total_mib });
    }
    Ok(host
        .available_mib
        .filter(|available| asked_mib > *available)
        .map(|available_mib| Warning::LowMemory { asked_mib, available_mib }))
}

/// Whether the hypervisor offers that many vCPUs, and the host has them.
pub(super) fn vcpus(asked: u32, online: u32, max: u32) -> Result<Option<Warning>, PreflightError> {
    if asked > max {
        return Err(PreflightError::Vcpus { asked, max });
    }
    Ok((asked > online).then_some(Warning::SharedCpus { asked, online }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> DirectoryFacts {
        DirectoryFacts {
            exists: true,
            is_directory: true,
            writable: Ok(()),
            ours: true,
            mode: 0o700,
        }
    }

    fn problem(facts: &DirectoryFacts, private: bool) -> DirectoryProblem {
        let path = Path::new("/home/u/.local/share/mvm");
        match directory("data directory", path, facts, private) {
            Err(PreflightError::Directory { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn directories() {
        let path = Path::new("/d");
        directory("data directory", path, &good(), true).unwrap();
        let absent =
            DirectoryFacts { exists: false, is_directory: false, ours: false, mode: 0, ..good() };
        directory("runtime directory", path, &absent, true).unwrap();

        let file = DirectoryFacts { is_directory: false, ..good() };
        assert_eq!(problem(&file, false), DirectoryProblem::NotADirectory);

        let open = DirectoryFacts { mode: 0o755, ..good() };
        directory("data directory", path, &open, false).unwrap();
        assert_eq!(problem(&open, true), DirectoryProblem::NotPrivate { mode: 0o755 });

        let foreign = DirectoryFacts { ours: false, ..good() };
        assert_eq!(problem(&foreign, true), DirectoryProblem::NotOurs);
    }

    #[test]
    fn read_only_home_says_so_with_its_fix() {
        let facts = DirectoryFacts {
            exists: false,
            is_directory: false,
            writable: Err(DirectoryProblem::ReadOnly),
            ..good()
        };
        let path = Path::new("/home/u/.local/share/mvm");
        let error = directory("data directory", path, &facts, false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "data directory /home/u/.local/share/mvm is on a read-only file system"
        );
        assert_eq!(error.hint().unwrap(), "set MVM_HOME to a directory that you can write");
    }

    #[test]
    fn disk_has_a_floor_and_a_warning() {
        let path = Path::new("/d");
        assert!(disk(path, 100 << 20).is_err());
        assert!(matches!(disk(path, 2 << 30), Ok(Some(Warning::LowDisk { free_mib: 2048, .. }))));
        assert!(matches!(disk(path, 50 << 30), Ok(None)));
    }

    #[test]
    fn memory_fails_above_total_and_warns_above_available() {
        let host = Memory { total_mib: 4096, available_mib: Some(1024) };
        assert!(memory(4097, host).is_err());
        assert!(memory(1025, host).unwrap().is_some());
        assert!(memory(1024, host).unwrap().is_none());
        let untold = Memory { available_mib: None, ..host };
        assert!(memory(4096, untold).unwrap().is_none());
    }

    #[test]
    fn vcpus_fail_above_the_backend_and_warn_above_the_host() {
        assert!(vcpus(9, 2, 8).is_err());
        assert!(vcpus(3, 2, 8).unwrap().is_some());
        assert!(vcpus(2, 2, 8).unwrap().is_none());
    }
}
