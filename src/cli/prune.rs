// SPDX-License-Identifier: Apache-2.0
//! `mvm image prune` and `mvm system prune`

use std::collections::HashSet;
use std::io;
use std::time::{Duration, SystemTime};

use clap::Args;

use super::busy::Busy;
use super::filter::Filters;
use super::format;
use crate::collect::{self, Images, RunDirs, Vms};
use crate::error::{Failure, Result};
use crate::image::{Removed, Scope, Store};
use crate::state::{Dirs, Found};

/// Remove images without a name, and what ended pulls left
#[derive(Debug, Args)]
pub struct ImagePruneArgs {
    /// All images that no VM uses
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Remove stopped VMs, images without a name, and what ended pulls left
#[derive(Debug, Args)]
pub struct SystemPruneArgs {
    /// All images that no VM uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Refused: mvm has no named volumes
    #[arg(long, hide = true)]
    volumes: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

pub fn image(dirs: &Dirs, args: &ImagePruneArgs) -> Result<u8> {
    let filters = Filters::parse(&args.common.filter)?;
    let all = args.all || filters.dangling() == Some(false);
    let warning = format!("WARNING! This will remove {}.", which(all));
    if !args.common.force && !confirm(&warning)? {
        return total(0);
    }
    let busy = Busy::with("removing images");
    let removed = prune_images(dirs, all, filters)?;
    drop(busy);
    removed.print()?;
    total(removed.bytes)
}

pub fn system(dirs: &Dirs, args: &SystemPruneArgs) -> Result<u8> {
    if args.volumes {
        return Err(Failure::new("mvm has no named volumes")
            .hint("leave --volumes out; directories of the host are never removed"));
    }
    let filters = Filters::parse(&args.common.filter)?;
    let warning = format!(
        "WARNING! This will remove:\n  - all stopped VMs\n  - {}\n  - what pulls left that ended early\n",
        which(args.all)
    );
    if !args.common.force && !confirm(&warning)? {
        return total(0);
    }
    let until = filters
        .until()
        .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    let busy = Busy::with("removing VMs and images");
    let chosen = |vm: &Found| filters.fit(&vm.record.labels);
    let vms = collect::run(&Vms { dirs, until, chosen: &chosen })?;
    collect::run(&RunDirs(dirs))?;
    let images = prune_images(dirs, args.all, filters);
    drop(busy);
    if !vms.names.is_empty() {
        super::print(&format!("Deleted VMs:\n{}\n\n", vms.names.join("\n")))?;
    }
    let images = images?;
    images.print()?;
    total(vms.bytes + images.bytes)
}

fn which(all: bool) -> &'static str {
    match all {
        true => "all images without at least one VM associated to them",
        false => "all dangling images",
    }
}

/// What went, and how many bytes it took.
struct Gone {
    lines: Vec<String>,
    bytes: u64,
}

impl Gone {
    fn print(&self) -> Result<()> {
        match self.lines.is_empty() {
            true => Ok(()),
            false => super::print(&format!("Deleted Images:\n{}\n\n", self.lines.join("\n"))),
        }
    }
}

fn prune_images(dirs: &Dirs, all: bool, filters: Filters) -> Result<Gone> {
    let store = Store::open(&dirs.data)?;
    let listed = filters.ignoring_dangling().apply(&store, store.images()?)?;
    let picked: HashSet<_> =
        listed.into_iter().map(|image| (image.manifest_digest, image.reference)).collect();
    let mut removed = Removed::default();
    if !picked.is_empty() {
        removed = store.remove_unused(all, &collect::usage(dirs)?, |image| {
            picked.contains(&(image.manifest_digest.clone(), image.reference.clone()))
        })?;
    }
    let freed = collect::run(&Images { dirs, store: &store, scope: Scope::All })?;
    let mut lines: Vec<String> =
        removed.untagged.iter().map(|name| format!("untagged: {name}")).collect();
    let deleted = removed.images.iter().map(ToString::to_string).chain(freed.names);
    lines.extend(deleted.map(|id| format!("deleted: {id}")));
    Ok(Gone { lines, bytes: freed.bytes })
}

fn total(bytes: u64) -> Result<u8> {
    super::print(&format!("Total reclaimed space: {}\n", format::size(bytes)))?;
    Ok(0)
}

/// Asks, as Docker does, whoever is at stdin; silence is a no.
fn confirm(warning: &str) -> Result<bool> {
    super::print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|e| Failure::cannot("read the answer", e))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
