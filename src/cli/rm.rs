// SPDX-License-Identifier: Apache-2.0
//! `mvm rm`

use clap::Args;

use super::stop;
use crate::error::Result;
use crate::spec::StopTimeout;
use crate::state::Dirs;

/// Remove VMs and their disks
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    /// Remove its volumes, too: those without a name always go with their VM
    #[arg(short, long)]
    volumes: bool,
}

pub async fn run(dirs: &Dirs, args: RmArgs) -> Result<u8> {
    stop::each(dirs, &args.vms, async |store, found| {
        if args.force {
            stop::stop(found, None, Some(StopTimeout::Seconds(0))).await?;
        }
        store.remove(found)
    })
    .await
}
