// SPDX-License-Identifier: Apache-2.0
//! `mvm help`: listed as a command, and turned into `--help` before the line is
//! parsed (`names::asking_for_help`).

use std::ffi::{OsStr, OsString};

use clap::Args;
use clap::error::{ContextKind, ContextValue};

use crate::error::Result;

/// Show what there is, or say more of one command
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// Name of a command, and of one in it
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Never comes here with the name of a command.
pub fn run(_args: &HelpArgs) -> Result<u8> {
    super::print(&super::names::program().render_help().to_string())?;
    Ok(0)
}

/// The name that is none of mvm's own commands; in a group clap says it better.
pub fn unknown_name(error: &clap::Error, words: &[OsString]) -> Option<OsString> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let first = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"))?;
    (first == OsStr::new(name)).then(|| first.clone())
}
