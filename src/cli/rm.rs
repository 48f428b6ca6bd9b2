// SPDX-License-Identifier: Apache-2.0
//! `mvm rm`

use clap::Args;

use super::stop;
use crate::error::Result;
use crate::spec::StopTimeout;
use crate::state::{Dirs, Found, VmStore};

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
    let work = async |store: &VmStore, found: &Found| {
        if args.force {
            stop::stop(found, None, Some(StopTimeout::Seconds(0))).await?;
        }
        store.remove(found)
    };
    if !args.force {
        return stop::each(dirs, "removing", &args.vms, work).await;
    }
    // As with Docker: what is not there need not be removed.
    let store = VmStore::new(dirs);
    let absent = |word: &&String| matches!(store.look_up(word), Ok(None));
    let (absent, there): (Vec<&String>, Vec<&String>) = args.vms.iter().partition(absent);
    for failure in absent.into_iter().filter_map(|word| store.find(word).err()) {
        super::report(&failure);
    }
    let there: Vec<String> = there.into_iter().cloned().collect();
    stop::each(dirs, "removing", &there, work).await
}
