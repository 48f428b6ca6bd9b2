// SPDX-License-Identifier: Apache-2.0
//! `mvm rmi`

use clap::Args;

use crate::collect::{self, Images};
use crate::error::Result;
use crate::image::{Removed, Scope, Store};
use crate::state::Dirs;

/// Remove images
///
/// A name is taken from its image, and the image goes with its last name. An ID
/// takes all names.
#[derive(Debug, Args)]
pub struct RmiArgs {
    /// References, IDs, starts of IDs, or digests
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Also one that a VM uses, or that has names in several repositories
    #[arg(short, long)]
    force: bool,
}

pub fn run(dirs: &Dirs, args: &RmiArgs) -> Result<u8> {
    let store = Store::open(&dirs.data)?;
    let mut removed = Removed::default();
    let mut status = 0;
    for image in &args.images {
        let outcome =
            collect::usage(dirs).and_then(|usage| Ok(store.remove(image, args.force, &usage)?));
        match outcome {
            Ok(one) => removed.extend(one),
            Err(failure) => {
                super::report(&failure);
                status = 1;
            }
        }
    }
    finish(dirs, &store, removed)?;
    Ok(status)
}

/// Says what was removed and takes away what it left. Gives the bytes freed.
pub fn finish(dirs: &Dirs, store: &Store, removed: Removed) -> Result<u64> {
    let mut text = String::new();
    for name in &removed.untagged {
        text += &format!("Untagged: {name}\n");
    }
    for id in &removed.images {
        text += &format!("Deleted: {id}\n");
    }
    super::print(&text)?;
    if removed.images.is_empty() && removed.left.is_empty() {
        return Ok(0);
    }
    let freed = collect::run(&Images { dirs, store, scope: Scope::Only(removed.left) })?;
    let lines: String = freed.names.iter().map(|id| format!("Deleted: {id}\n")).collect();
    super::print(&lines)?;
    Ok(freed.bytes)
}
