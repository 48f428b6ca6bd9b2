// SPDX-License-Identifier: Apache-2.0
//! `mvm image verify`

use std::collections::BTreeSet;

use clap::Args;

use super::busy::Busy;
use super::format::Format;
use crate::collect;
use crate::error::{Failure, Result};
use crate::image::{Flaw, Part, State, Store, Verified};
use crate::state::Dirs;

/// Check that images are what they were when they came
///
/// Reads everything that is stored of them. Status 1 if something is wrong.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// References or IDs; all images without any
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Make anew what can be made, and remove what cannot, so that `mvm pull` fetches it
    #[arg(long)]
    repair: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub fn run(dirs: &Dirs, args: &VerifyArgs) -> Result<u8> {
    let store = Store::open(&dirs.data)?;
    // As in docker's own: "all" is everything, unless an image is called so.
    let all = args.images == ["all"] && store.resolve("all").is_err();
    let words = if all { &[][..] } else { &args.images };
    let busy = Busy::with("reading images");
    let found = store.verify(words, args.repair);
    drop(busy);
    let found = found?;
    if args.repair {
        repair(dirs, &store, &found)?;
    }
    super::print(&match args.format {
        Format::Table => report(&found, args.repair),
        Format::Json => super::format::json_lines(std::slice::from_ref(&found))?,
    })?;
    Ok(u8::from(found.flaws.iter().any(|flaw| !flaw.repaired)))
}

/// Removes what could not be made anew.
pub fn repair(dirs: &Dirs, store: &Store, found: &Verified) -> Result<()> {
    if found.flaws.iter().all(|flaw| flaw.repaired) {
        return Ok(());
    }
    let Some(exclusive) = store.exclusive()? else {
        return Err(Failure::new("cannot repair: another mvm uses the images")
            .hint("try again when it is done"));
    };
    Ok(store.remove_damaged(exclusive, &found.flaws, &collect::usage(dirs)?)?)
}

/// One line for each image, then for each flaw, then what to do.
pub fn report(found: &Verified, repair: bool) -> String {
    let mut text = String::new();
    for image in &found.images {
        let flawed = found.flaws.iter().filter(|flaw| flaw.images.contains(image)).count();
        text += &match flawed {
            0 => format!("{image}: ok\n"),
            1 => format!("{image}: 1 part is wrong\n"),
            count => format!("{image}: {count} parts are wrong\n"),
        };
    }
    for flaw in &found.flaws {
        let state = match flaw.state {
            State::Missing => "missing",
            State::Damaged => "damaged",
            State::Unverified => "not to be verified",
        };
        let detail = flaw.detail.as_ref().map_or_else(String::new, |detail| format!(" ({detail})"));
        let gone = repair && flaw.state == State::Damaged && flaw.part != Part::Entry;
        let done = match (flaw.repaired, gone) {
            (true, _) => "; it was made anew",
            (false, true) => "; it was removed",
            (false, false) => "",
        };
        text += &format!("{} is {state}{detail}{done}\n", name(flaw));
    }
    for hint in hints(found, repair) {
        text += &format!("hint: {hint}\n");
    }
    text
}

fn name(flaw: &Flaw) -> String {
    match flaw.part {
        Part::Entry => format!("index entry {}", flaw.digest),
        Part::Manifest => format!("manifest {}", flaw.digest),
        Part::Configuration => format!("configuration {}", flaw.digest),
        Part::Blob => format!("blob {}", flaw.digest),
        Part::DiskImage => format!("disk image of layer {}", flaw.digest),
    }
}

/// How to get whole again what is not, one way for each flaw.
fn hints(found: &Verified, repair: bool) -> Vec<String> {
    let open: Vec<&Flaw> = found.flaws.iter().filter(|flaw| !flaw.repaired).collect();
    let mut hints = BTreeSet::new();
    for flaw in &open {
        // Of several names one is enough.
        match (flaw.images.intersection(&found.pulled).next(), flaw.images.first()) {
            (Some(image), _) => drop(hints.insert(format!("mvm pull {image}"))),
            (None, Some(image)) => drop(hints.insert(format!("load {image} again"))),
            (None, None) => {}
        }
    }
    let mut hints = Vec::from_iter(hints);
    if !repair && open.iter().any(|flaw| flaw.state == State::Damaged) {
        let names: BTreeSet<&str> =
            open.iter().flat_map(|flaw| &flaw.images).map(String::as_str).collect();
        let names = Vec::from_iter(names).join(" ");
        hints.insert(0, format!("mvm image verify --repair {names}").trim_end().to_owned());
    }
    hints
}
