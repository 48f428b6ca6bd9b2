// SPDX-License-Identifier: Apache-2.0
//! An ordinary user of the host, for tests that root runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
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
        let mut command = Command::new(reach.join("mvm"));
        // The supplementary groups go by themselves.
        command.uid(self.uid).gid(self.gid).env("HOME", reach).current_dir("/");
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

fn provide(from: &Path, to: &Path, mode: u32) {
    fs::copy(from, to).expect("copy a file");
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).expect("set a mode");
}
