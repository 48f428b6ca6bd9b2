// SPDX-License-Identifier: Apache-2.0
//! `mvm images`

use clap::Args;

use super::format::{self, Format};
use crate::error::{Failure, Result};
use crate::image::{self, Store};
use crate::state::Dirs;

/// List images
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// IDs only
    #[arg(short, long)]
    quiet: bool,
    /// Do not shorten IDs
    #[arg(long)]
    no_trunc: bool,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(dirs: &Dirs, args: ImagesArgs) -> Result<u8> {
    let failed = |e: image::Error| Failure::new(e.to_string()).maybe_hint(e.hint());
    let store = Store::open(&dirs.data).map_err(failed)?;
    let images = store.images().map_err(failed)?;
    let _ = (args.no_trunc, &images);
    let text = if args.format == Format::Json {
        String::new()
    } else {
        format::table(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &[])
    };
    super::print(&text)?;
    Ok(0)
}
