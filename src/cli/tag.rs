// SPDX-License-Identifier: Apache-2.0
//! `mvm tag`

use clap::Args;

use crate::error::{Failure, Result};
use crate::image::{Reference, Store};
use crate::state::Dirs;

/// Give an image another name
#[derive(Debug, Args)]
pub struct TagArgs {
    /// Reference or ID of the image
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The new name; without a tag it gets `latest`
    #[arg(value_name = "TARGET")]
    target: String,
}

pub fn run(dirs: &Dirs, args: &TagArgs) -> Result<u8> {
    let target: Reference = args.target.parse()?;
    if target.digest().is_some() {
        return Err(Failure::new(format!("{} cannot be a name: it has a digest", args.target))
            .hint("name a repository and a tag"));
    }
    Store::open(&dirs.data)?.tag(&args.source, &target)?;
    Ok(0)
}
