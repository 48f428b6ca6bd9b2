// SPDX-License-Identifier: Apache-2.0
//! `mvm pull`

use clap::Args;

use super::run;
use crate::config::Config;
use crate::error::Result;
use crate::image::{self, PullOptions, PullPolicy, Store};
use crate::state::Dirs;

/// Pull an image from a registry
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Reference of the image
    image: String,
    /// Platform to choose from an image for several: linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Print the reference only
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(dirs: &Dirs, args: PullArgs) -> Result<u8> {
    let reference: image::Reference = args.image.parse()?;
    let options = PullOptions {
        policy: PullPolicy::Always,
        platform: run::platform(args.platform.as_deref())?,
        progress: image::for_stderr(args.quiet),
        registries: Config::load(&Config::path(&dirs.config))?.registries(),
        ..PullOptions::default()
    };
    let store = Store::open(&dirs.data)?;
    store.pull(&reference, &options).await?;
    super::print(&format!("{reference}\n"))?;
    Ok(0)
}
