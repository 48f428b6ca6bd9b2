// SPDX-License-Identifier: Apache-2.0
//! `mvm pull`

use clap::Args;

use super::platform;
use crate::config::Config;
use crate::error::{Failure, Result};
use crate::image::{self, LoadOptions, LocalSource, PullOptions, PullPolicy, Source, Store};
use crate::state::Dirs;

/// Pull an image from a registry, or take one from a directory or an archive
#[derive(Debug, Args)]
pub struct PullArgs {
    /// Reference of the image; or oci:DIR[:TAG], oci-archive:FILE[:NAME],
    /// docker-archive:FILE[:NAME], dir:ROOTFS, - for an archive on stdin
    image: String,
    /// Platform to choose from an image for several: linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Print the reference only
    #[arg(short, long)]
    quiet: bool,
    /// Docker's; images are pulled one at a time
    #[arg(short, long, hide = true)]
    all_tags: bool,
    /// Docker's; there is no content trust to disable
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    disable_content_trust: Option<bool>,
}

pub async fn run(dirs: &Dirs, args: PullArgs) -> Result<u8> {
    if args.all_tags {
        return Err(Failure::new("all tags of a repository are not pulled at once")
            .hint("pull each by its name: mvm pull NAME:TAG"));
    }
    if args.disable_content_trust == Some(false) {
        return Err(Failure::new("there is no content trust to enable")
            .hint("pin the image by its digest: mvm pull NAME@sha256:…"));
    }
    let options = PullOptions {
        policy: PullPolicy::Always,
        platform: platform::wanted(args.platform.as_deref())?,
        progress: image::for_stderr(args.quiet),
        ..Config::of(dirs)?.pull_options()
    };
    let store = Store::open(&dirs.data)?;
    let name = match Source::parse(&args.image).map_err(image::Error::from)? {
        Source::Name(name) => {
            let reference: image::Reference = name.parse()?;
            store.pull(&reference, &options).await?;
            reference.to_string()
        }
        Source::Local(source) => take(&store, &source, options).await?,
    };
    super::print(&format!("{name}\n"))?;
    Ok(0)
}

/// Gives the name by which the image can be run from now on.
async fn take(store: &Store, source: &LocalSource, options: PullOptions) -> Result<String> {
    let options = LoadOptions { pull: options, ..LoadOptions::default() };
    let loaded = store.load_one(source, &options).await?;
    Ok(loaded.names.first().map_or_else(|| loaded.image.id.to_string(), ToString::to_string))
}
