// SPDX-License-Identifier: Apache-2.0
//! `mvm stop`

use clap::Args;

use super::busy::Busy;
use super::values;
use crate::error::Result;
use crate::monitor;
use crate::spec::{StopTimeout, signal};
use crate::state::{Dirs, Found, VmStore};

/// Stop running VMs
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    pub vms: Vec<String>,
    /// Signal to send first [default: --stop-signal, the image's, or TERM]
    #[arg(short, long, value_parser = signal::parse)]
    pub signal: Option<u32>,
    /// Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]
    #[arg(
        short = 't', long = "timeout", alias = "time",
        value_parser = values::stop_timeout, allow_hyphen_values = true, value_name = "SECONDS"
    )]
    pub timeout: Option<StopTimeout>,
}

pub async fn run(dirs: &Dirs, args: StopArgs) -> Result<u8> {
    let work = async |_: &VmStore, found: &Found| stop(found, args.signal, args.timeout).await;
    each(dirs, "stopping", &args.vms, work).await
}

/// Stops one VM; one that does not run is stopped already.
pub async fn stop(found: &Found, signal: Option<u32>, timeout: Option<StopTimeout>) -> Result<()> {
    if !found.runs() {
        return Ok(());
    }
    match monitor::order_stop(&found.record, signal, timeout).await {
        // It ended between the look and the order.
        Err(_) if !VmStore::new(&found.record.dirs).is_alive(&found.record.id) => Ok(()),
        other => other,
    }
}

/// Does something (`doing`) for each VM named, prints what was named as it is
/// done, and goes on after a failure. 1 if one failed.
pub async fn each(
    dirs: &Dirs,
    doing: &str,
    words: &[String],
    work: impl AsyncFn(&VmStore, &Found) -> Result<()>,
) -> Result<u8> {
    let store = VmStore::new(dirs);
    let mut status = 0;
    for resolved in store.resolve(words) {
        let outcome = match resolved {
            Ok((word, found)) => {
                let busy = Busy::with(format!("{doing} {}", found.record.name));
                let done = work(&store, &found).await;
                drop(busy);
                done.map(|()| word)
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(word) => super::print(&format!("{word}\n"))?,
            Err(failure) => {
                super::report(&failure);
                status = 1;
            }
        }
    }
    Ok(status)
}
