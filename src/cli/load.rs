// SPDX-License-Identifier: Apache-2.0
//! `mvm load`

use std::path::PathBuf;

use clap::Args;

use super::platform;
use crate::config::Config;
use crate::error::Result;
use crate::image::{self, LoadOptions, Loaded, LocalSource, Store};
use crate::state::Dirs;

/// Load images from an archive (docker save, or a tar of an OCI layout)
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Read this file, in place of stdin (-)
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Platform to choose from images for several: linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Do not show how it goes on
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(dirs: &Dirs, args: LoadArgs) -> Result<u8> {
    let pull = Config::of(dirs)?.pull_options();
    let mut options = LoadOptions { any_platform: true, pull, ..LoadOptions::default() };
    options.pull.platform = platform::of_flag(args.platform.as_deref())?;
    options.pull.progress = image::for_stderr(args.quiet);
    let store = Store::open(&dirs.data)?;
    let file = args.input.filter(|path| path.as_os_str() != "-");
    let source = LocalSource::archive(file);
    // Those before one that fails are loaded, and said to be.
    let mut printed = Ok(());
    let loaded = store.load_all(&source, &options, |image| {
        if printed.is_ok() {
            printed = super::print(&report(image));
        }
    });
    loaded.await?;
    printed?;
    Ok(0)
}

/// Docker's lines.
fn report(loaded: &Loaded) -> String {
    match loaded.names.is_empty() {
        true => format!("Loaded image ID: {}\n", loaded.image.id),
        false => loaded.names.iter().map(|n| format!("Loaded image: {}\n", n.familiar())).collect(),
    }
}
