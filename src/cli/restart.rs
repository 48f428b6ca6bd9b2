// SPDX-License-Identifier: Apache-2.0
//! `mvm restart`

use clap::Args;

use super::{start, stop, values};
use crate::error::{Failure, Result};
use crate::spec::{StopTimeout, signal};
use crate::state::{Dirs, Found, VmStore};

/// Stop VMs and start them again
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Signal to send first [default: --stop-signal, the image's, or TERM]
    #[arg(short, long, value_parser = signal::parse)]
    signal: Option<u32>,
    /// Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]
    #[arg(
        short = 't', long = "timeout", alias = "time",
        value_parser = values::stop_timeout, allow_hyphen_values = true, value_name = "SECONDS"
    )]
    timeout: Option<StopTimeout>,
}

pub async fn run(dirs: &Dirs, args: RestartArgs) -> Result<u8> {
    stop::each(dirs, &args.vms, async |vms, found| restart(vms, found, &args).await).await
}

async fn restart(vms: &VmStore, found: &Found, args: &RestartArgs) -> Result<()> {
    let record = &found.record;
    if record.auto_remove {
        return Err(Failure::new(format!("VM {} goes with its end", record.name))
            .hint("it was made with --rm: run it again"));
    }
    stop::stop(found, args.signal, args.timeout).await?;
    start::background(&vms.read(&record.id)?).await
}
