// SPDX-License-Identifier: Apache-2.0
//! `mvm image`: the group of commands about images, with Docker's aliases.

use clap::Subcommand;

use super::{images, on_runtime, pull, rmi, tag};
use crate::error::Result;
use crate::state::Dirs;

/// Manage images
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    #[command(visible_alias = "list")]
    Ls(images::ImagesArgs),
    Pull(pull::PullArgs),
    #[command(visible_alias = "remove")]
    Rm(rmi::RmiArgs),
    Tag(tag::TagArgs),
}

pub fn run(dirs: &Dirs, command: ImageCommand) -> Result<u8> {
    match command {
        ImageCommand::Ls(args) => images::run(dirs, args),
        ImageCommand::Pull(args) => on_runtime(pull::run(dirs, args)),
        ImageCommand::Rm(args) => rmi::run(dirs, &args),
        ImageCommand::Tag(args) => tag::run(dirs, &args),
    }
}
