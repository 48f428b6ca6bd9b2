// SPDX-License-Identifier: Apache-2.0
//! `mvm attach`

use clap::Args;

use super::attachment::AttachmentArgs;
use crate::error::{Failure, Result};
use crate::monitor::{self, Attachment, End, Streams};
use crate::state::{Dirs, Phase, Record, VmStore};
use crate::terminal;

/// Take stdin, stdout and stderr of a running VM's command
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Name, ID or start of an ID
    #[arg(value_name = "VM")]
    vm: String,
    /// Leave its stdin alone
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    attachment: AttachmentArgs,
}

pub async fn run(dirs: &Dirs, args: AttachArgs) -> Result<u8> {
    let found = VmStore::new(dirs).find(&args.vm)?;
    let name = &found.record.name;
    if matches!(found.phase(), Phase::Created | Phase::Exited | Phase::Dead) {
        return Err(Failure::new(format!("VM {name} does not run: nothing can be attached to"))
            .hint(format!("mvm start {name}")));
    }
    let streams = Streams { stdin: !args.no_stdin, ..Streams::ALL };
    let attachment = args.attachment.with(dirs, streams, true)?;
    let (End::Exited(code) | End::Left(code)) = attach(&found.record, attachment).await?;
    Ok(code)
}

/// Takes streams of a VM that runs, to its end or until this command leaves.
pub async fn attach(record: &Record, attachment: Attachment) -> Result<End> {
    let attached = monitor::attach(record, attachment).await?;
    if attached.types() {
        terminal::check_input()?;
    }
    attached.run(|_| {}).await
}
