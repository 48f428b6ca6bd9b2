// SPDX-License-Identifier: Apache-2.0
//! `mvm system`: the group of commands about all that mvm keeps.

use clap::{Args, Subcommand};

use super::{prune, system_check, system_df};
use crate::error::Result;
use crate::state::Dirs;

/// Manage what mvm keeps on this machine
#[derive(Debug, Args)]
pub struct SystemArgs {
    #[command(subcommand)]
    command: SystemCommand,
}

#[derive(Debug, Subcommand)]
enum SystemCommand {
    Check(system_check::CheckArgs),
    Df(system_df::DfArgs),
    Prune(prune::SystemPruneArgs),
}

pub fn run(dirs: &Dirs, args: &SystemArgs) -> Result<u8> {
    match &args.command {
        SystemCommand::Check(args) => system_check::run(dirs, args),
        SystemCommand::Df(args) => system_df::run(dirs, args),
        SystemCommand::Prune(args) => prune::system(dirs, args),
    }
}
