// SPDX-License-Identifier: Apache-2.0
//! `mvm image`: the group of commands about images, with Docker's aliases.

use clap::{Args, Subcommand};

use super::{
    image_inspect, image_verify, images, load, on_runtime, prune, pull, push, rmi, save, tag,
};
use crate::error::Result;
use crate::state::Dirs;

/// Manage images
#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    #[command(visible_alias = "list")]
    Ls(images::ImagesArgs),
    Pull(pull::PullArgs),
    Push(push::PushArgs),
    #[command(visible_alias = "remove")]
    Rm(rmi::RmiArgs),
    Tag(tag::TagArgs),
    Load(load::LoadArgs),
    Save(save::SaveArgs),
    Inspect(image_inspect::InspectArgs),
    History(image_inspect::HistoryArgs),
    Prune(prune::ImagePruneArgs),
    Verify(image_verify::VerifyArgs),
}

pub fn run(dirs: &Dirs, args: ImageArgs) -> Result<u8> {
    match args.command {
        ImageCommand::Ls(args) => images::run(dirs, args),
        ImageCommand::Pull(args) => on_runtime(|| pull::run(dirs, args)),
        ImageCommand::Push(args) => on_runtime(|| push::run(dirs, args)),
        ImageCommand::Rm(args) => rmi::run(dirs, &args),
        ImageCommand::Tag(args) => tag::run(dirs, &args),
        ImageCommand::Load(args) => on_runtime(|| load::run(dirs, args)),
        ImageCommand::Save(args) => save::run(dirs, &args),
        ImageCommand::Inspect(args) => image_inspect::inspect(dirs, &args),
        ImageCommand::History(args) => image_inspect::history(dirs, &args),
        ImageCommand::Prune(args) => prune::image(dirs, &args),
        ImageCommand::Verify(args) => image_verify::run(dirs, &args),
    }
}
