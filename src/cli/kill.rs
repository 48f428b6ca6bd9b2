// SPDX-License-Identifier: Apache-2.0
//! `mvm kill`

use clap::Args;

use super::stop;
use crate::error::Result;
use crate::monitor;
use crate::spec::signal;
use crate::state::{Dirs, Found};

/// Send a signal to the commands of running VMs
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Name or number of the signal
    #[arg(short, long, value_parser = signal::parse, default_value = "KILL")]
    signal: u32,
}

pub async fn run(dirs: &Dirs, args: KillArgs) -> Result<u8> {
    stop::each(dirs, "signalling", &args.vms, async |_, found| kill(found, args.signal).await).await
}

async fn kill(found: &Found, signal: u32) -> Result<()> {
    let record = &found.record;
    if !found.runs() {
        return Err(record.not_running());
    }
    monitor::order_signal(record, signal).await
}
