// SPDX-License-Identifier: Apache-2.0
//! `mvm run`

use clap::Args;

use super::create::CreateArgs;
use crate::error::{Failure, Result};
use crate::image;
use crate::pipeline;
use crate::state::Dirs;

/// Create a VM from an image and run a command in it
#[derive(Debug, Args)]
#[command(disable_help_flag = true, override_usage = "mvm run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct RunArgs {
    /// Run in the background and print the VM's ID
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    create: CreateArgs,
}

pub async fn run(dirs: &Dirs, args: RunArgs) -> Result<u8> {
    if args.detach && args.create.interactive {
        return Err(Failure::new("-i takes this command's stdin, and with -d it does not stay")
            .hint("leave one of them out"));
    }
    let progress = image::for_stderr(args.create.quiet);
    let started = pipeline::run(dirs, args.create.spec()?, progress).await?;
    match args.detach {
        true => super::print(&format!("{}\n", started.in_background().await?)).map(|()| 0),
        false => started.to_the_end().await,
    }
}
