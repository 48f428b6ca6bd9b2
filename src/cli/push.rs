// SPDX-License-Identifier: Apache-2.0
//! `mvm push`

use clap::Args;

use crate::config::Config;
use crate::error::{Failure, Result};
use crate::image::{self, PullOptions, Reference, Store};
use crate::state::Dirs;

/// Push an image to a registry
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name of the image, with its tag
    image: String,
    /// Push all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Print the reference only
    #[arg(short, long)]
    quiet: bool,
}

pub async fn run(dirs: &Dirs, args: PushArgs) -> Result<u8> {
    let reference: Reference = args.image.parse()?;
    if reference.digest().is_some() {
        return Err(Failure::new("cannot push by digest")
            .hint(format!("name a tag: {}", reference.familiar_name())));
    }
    let store = Store::open(&dirs.data)?;
    let all = if args.all_tags { tags(&store, &reference, &args.image)? } else { vec![reference] };
    let options =
        PullOptions { progress: image::for_stderr(args.quiet), ..Config::of(dirs)?.pull_options() };
    if !args.quiet
        && let Some(first) = all.first()
    {
        eprintln!("The push refers to repository [{}]", first.name());
    }
    for reference in &all {
        let pushed = store.push(reference, &options).await?;
        super::print(&match args.quiet {
            true => format!("{reference}\n"),
            false => {
                format!("{}: digest: {} size: {}\n", pushed.tag, pushed.digest, pushed.size)
            }
        })?;
    }
    Ok(0)
}

/// All that the store has of the repository of `reference`.
fn tags(store: &Store, reference: &Reference, given: &str) -> Result<Vec<Reference>> {
    if given.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(Failure::new("a tag cannot be used with --all-tags"));
    }
    let images = store.images()?.into_iter().filter_map(|image| image.reference);
    let tags: Vec<Reference> = images.filter(|r| r.name() == reference.name()).collect();
    match tags.is_empty() {
        true => Err(Failure::new(format!("no image with the name {}", reference.familiar_name()))
            .hint("mvm images lists them")),
        false => Ok(tags),
    }
}
