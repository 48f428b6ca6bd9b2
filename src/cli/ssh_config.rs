// SPDX-License-Identifier: Apache-2.0
//! `mvm ssh-config`

use clap::Args;

use super::ssh::user_of;
use crate::error::{Failure, Result};
use crate::ssh::{self, Keys};
use crate::state::{Dirs, VmStore};

/// Print what OpenSSH needs in its configuration to reach a VM
#[derive(Debug, Args)]
pub struct SshConfigArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Who logs in: root, or the user of the VM's command [default: that]
    #[arg(short, long, value_name = "USER")]
    login: Option<String>,
}

pub fn run(dirs: &Dirs, args: &SshConfigArgs) -> Result<u8> {
    let program = std::env::current_exe().map_err(|e| Failure::cannot("find this program", e))?;
    let mut blocks = Vec::new();
    for found in VmStore::new(dirs).resolve(&args.vms) {
        let (_, found) = found?;
        let keys = Keys::ensure(&dirs.vm(&found.record.id))?;
        let user = args.login.clone().unwrap_or_else(|| user_of(&found));
        blocks.push(ssh::host_block(&found.record, &keys, &user, &program)?);
    }
    super::print(&blocks.join("\n")).map(|()| 0)
}
