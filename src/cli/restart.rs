// SPDX-License-Identifier: Apache-2.0
//! `mvm restart`

use clap::Args;

use super::start;
use super::stop::{self, StopArgs};
use crate::error::{Failure, Result};
use crate::pipeline;
use crate::state::{Dirs, Found, VmStore};

/// Stop VMs and start them again
#[derive(Debug, Args)]
pub struct RestartArgs {
    #[command(flatten)]
    stop: StopArgs,
}

pub async fn run(dirs: &Dirs, args: RestartArgs) -> Result<u8> {
    let work = async |vms: &VmStore, found: &Found| restart(vms, found, &args.stop).await;
    stop::each(dirs, "restarting", &args.stop.vms, work).await
}

async fn restart(vms: &VmStore, found: &Found, how: &StopArgs) -> Result<()> {
    let record = &found.record;
    if record.auto_remove {
        return Err(Failure::new(format!("VM {} goes with its end", record.name))
            .hint("it was made with --rm: run it again"));
    }
    pipeline::check_start(found)?;
    stop::stop(found, how.signal, how.timeout).await?;
    start::background(&vms.read(&record.id)?).await
}
