// SPDX-License-Identifier: Apache-2.0
//! `mvm system check`

use clap::Args;
use serde::Serialize;

use super::busy::Busy;
use super::format::{self, Format};
use super::image_verify;
use crate::error::Result;
use crate::image::{Store, Verified};
use crate::state::{Dirs, VmStore};

/// Check all that mvm keeps: images, their index, what VMs need
///
/// Status 1 if something is wrong. Leftovers of commands that were killed are
/// not wrong; the next pull or prune takes them.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Checked {
    ok: bool,
    images: Verified,
    /// Sentences about what is wrong beside the images.
    problems: Vec<String>,
    /// Blobs, layers and unfinished files that belong to no image.
    leftovers: usize,
    leftover_bytes: u64,
}

pub fn run(dirs: &Dirs, args: &CheckArgs) -> Result<u8> {
    let busy = Busy::with("checking what is stored");
    let checked = check(dirs);
    drop(busy);
    let checked = checked?;
    super::print(&match args.format {
        Format::Json => format::json_lines(std::slice::from_ref(&checked))?,
        Format::Table => report(&checked),
    })?;
    Ok(u8::from(!checked.ok))
}

fn check(dirs: &Dirs) -> Result<Checked> {
    let store = Store::open(&dirs.data)?;
    let mut problems = Vec::new();
    // An index that cannot be read is the one thing that hides all others.
    let images = store.verify(&[], false).or_else(|error| match error {
        error @ crate::image::Error::Store { .. } => {
            problems.push(error.to_string());
            Ok(Verified::default())
        }
        other => Err(other),
    })?;
    if problems.is_empty() {
        problems.extend(store.layout_problems()?);
    }
    problems.extend(vm_problems(dirs));
    let usage = crate::collect::usage(dirs).unwrap_or_default();
    let disk = store.disk_usage(&usage).unwrap_or_default();
    Ok(Checked {
        ok: problems.is_empty() && images.flaws.is_empty(),
        images,
        problems,
        leftovers: disk.leftovers,
        leftover_bytes: disk.leftover_bytes,
    })
}

/// VMs whose record says nothing, or names a disk image that is gone.
fn vm_problems(dirs: &Dirs) -> Vec<String> {
    let vms = VmStore::new(dirs);
    let pins = vms.list().and_then(|_| vms.pins());
    let mut problems = Vec::new();
    match pins {
        Err(failure) => problems.push(failure.to_string()),
        Ok(pins) => {
            for pin in pins {
                for layer in pin.layers.iter().filter(|layer| !layer.is_file()) {
                    problems.push(format!(
                        "VM {} needs {}, which is gone",
                        pin.vm,
                        layer.display()
                    ));
                }
            }
        }
    }
    problems
}

fn report(checked: &Checked) -> String {
    let mut text = image_verify::report(&checked.images, false);
    for problem in &checked.problems {
        text += &format!("{problem}\n");
    }
    if checked.leftovers > 0 {
        let size = format::size(checked.leftover_bytes);
        text += &format!("leftovers: {} files or layers, {size}\n", checked.leftovers);
    }
    text += match checked.ok {
        true => "all is well\n",
        false => "something is wrong\n",
    };
    text
}
