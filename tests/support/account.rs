// SPDX-License-Identifier: Apache-2.0
//! An ordinary user of the host, for tests that root runs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{getegid, geteuid};

use super::kernel;

/// Needs no entry in /etc/passwd.
const ORDINARY: u32 = 1000;

/// Who runs a command. Another user than the one who runs the tests gets a
/// program and a kernel that he can reach.
#[derive(Clone, Debug)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    reach: Option<PathBuf>,
}

impl Account {
    /// Who runs the tests.
    pub fn own() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw(), reach: None }
    }

    /// Somebody who is not root. `directory` becomes his.
    pub fn ordinary(directory: &Path) -> Result<Self, String> {
        let own = Self::own();
        if own.uid != 0 {
            return Ok(own);
        }
        let reach = directory.join("reach");
        fs::create_dir(&reach).expect("make a directory");
        provide(Path::new(env!("CARGO_BIN_EXE_mvm")), &reach.join("mvm"), 0o755);
        provide(kernel()?, &reach.join("kernel"), 0o644);
        let account = Self { uid: ORDINARY, gid: ORDINARY, reach: Some(reach) };
        account.give(directory);
        Ok(account)
    }

    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Makes a file or directory his.
    pub fn give(&self, path: &Path) {
        if self.reach.is_some() {
            chown(path, Some(self.uid), Some(self.gid)).expect("give a file away");
        }
    }

    /// `mvm`, to be run by this user.
    pub(super) fn command(&self) -> Command {
        let Some(reach) = &self.reach else { return Command::new(env!("CARGO_BIN_EXE_mvm")) };
        // With the group that may use KVM, and no other.
        let kvm = fs::metadata("/dev/kvm").ok();
        let groups = match kvm.filter(|kvm| kvm.gid() != 0 && kvm.mode() & 0o060 == 0o060) {
            Some(kvm) => format!("--groups={}", kvm.gid()),
            None => "--clear-groups".into(),
        };
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={}", self.uid), format!("--regid={}", self.gid), groups])
            .arg(reach.join("mvm"))
            .env("HOME", reach)
            .current_dir("/");
        command
    }

    /// The guest kernel, where this user can read it.
    pub(super) fn kernel(&self) -> Option<PathBuf> {
        match &self.reach {
            Some(reach) => Some(reach.join("kernel")),
            None => kernel().ok().map(Path::to_owned),
        }
    }
}

/// Copies by a process of its own: a program that another thread's child has
/// inherited for writing could not be executed.
fn provide(from: &Path, to: &Path, mode: u32) {
    let done = Command::new("cp").arg(from).arg(to).status().expect("run cp");
    assert!(done.success(), "cannot copy {}", from.display());
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).expect("set a mode");
}
