// SPDX-License-Identifier: Apache-2.0
//! `mvm start`

use clap::Args;

use super::attach::attach;
use super::{attachment, stop};
use crate::error::{Failure, Result};
use crate::monitor::{Attachment, End, Streams};
use crate::pipeline::{self, Started};
use crate::state::{Dirs, Found, VmStore};

/// Start VMs that do not run, with the disks that they have
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Names, IDs or starts of IDs
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Stay, show its output, pass on signals, and exit with its status
    #[arg(short, long)]
    attach: bool,
    /// Pass stdin to the command, if it was made with -i; implies --attach
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

pub async fn run(dirs: &Dirs, args: StartArgs) -> Result<u8> {
    if !args.attach && !args.interactive {
        return stop::each(dirs, "starting", &args.vms, async |_, found| background(found).await)
            .await;
    }
    let [word] = &args.vms[..] else {
        return Err(Failure::new("only one VM can be attached to")
            .hint("leave -a and -i out, or start one at a time"));
    };
    let found = VmStore::new(dirs).find(word)?;
    let detach_keys = attachment::detach_keys(dirs, args.detach_keys.as_deref(), true)?;
    let streams = Streams { stdin: args.interactive, ..Streams::ALL };
    let attachment = Attachment { streams, sig_proxy: true, detach_keys };
    let ended = match pipeline::start(&found, attachment.clone()).await? {
        Some(started) => started.to_the_end().await?,
        // It runs already.
        None => attach(&found.record, attachment).await?,
    };
    let (End::Exited(code) | End::Left(code)) = ended;
    Ok(code)
}

/// Starts one VM; one that runs is started already.
pub async fn background(found: &Found) -> Result<()> {
    match pipeline::start(found, Attachment::none()).await? {
        Some(started) => Started::in_background(started).await.map(drop),
        None => Ok(()),
    }
}
