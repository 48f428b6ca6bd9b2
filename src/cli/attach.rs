// SPDX-License-Identifier: Apache-2.0
//! `mvm attach`

use clap::Args;

use super::attachment::AttachmentArgs;
use crate::error::{Failure, Result};
use crate::monitor::{self, End, Streams};
use crate::state::{Dirs, Phase, VmStore};
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
    let attached = monitor::attach(&found.record, attachment).await?;
    if attached.types() {
        terminal::check_input()?;
    }
    match attached.run(|_| {}).await? {
        End::Exited(code) | End::Left(code) => Ok(code),
    }
}
