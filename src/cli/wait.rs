// SPDX-License-Identifier: Apache-2.0
//! `mvm wait`

use clap::Args;

use crate::error::{Failure, Result};
use crate::monitor;
use crate::state::{Dirs, Found, Phase, VmStore};

/// Wait until VMs end, and print their exit codes
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
}

pub async fn run(dirs: &Dirs, args: WaitArgs) -> Result<u8> {
    let store = VmStore::new(dirs);
    let mut status = 0;
    for resolved in store.resolve(&args.vms) {
        let waited = match resolved {
            Ok((_, found)) => exit_code(&store, found).await,
            Err(failure) => Err(failure),
        };
        match waited {
            Ok(code) => super::print(&format!("{code}\n"))?,
            Err(failure) => {
                super::report(&failure);
                status = 1;
            }
        }
    }
    Ok(status)
}

async fn exit_code(store: &VmStore, found: Found) -> Result<u8> {
    if found.runs()
        && let Ok(Some(code)) = monitor::end_of(&found.record).await
    {
        return Ok(code);
    }
    // It had ended, or did before the monitor could be asked.
    let found = if found.alive { store.read(&found.record.id)? } else { found };
    match (&found.record.exit, found.phase()) {
        (Some(exit), _) => Ok(exit.code),
        (None, Phase::Dead) => {
            Err(Failure::new(format!("the monitor of VM {} died", found.record.name)))
        }
        // As Docker says of what was never started.
        (None, Phase::Created) => Ok(0),
        (None, phase) => Err(Failure::new(format!("VM {} is {phase}", found.record.name))),
    }
}
