// SPDX-License-Identifier: Apache-2.0
//! `mvm save`

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::busy::Busy;
use super::platform;
use crate::error::{Failure, Result};
use crate::image::{SaveFormat, Saved, Store};
use crate::state::{Dirs, random_id};
use crate::sys;

/// Bytes handed to the kernel at a time.
const BUFFER: usize = 256 << 10;

/// Save images to an archive
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// References or IDs
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Write to this file, in place of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Kind of archive; without this, one that readers of both kinds take
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Platform that the images must be for: linux/amd64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    DockerArchive,
    OciArchive,
}

pub fn run(dirs: &Dirs, args: &SaveArgs) -> Result<u8> {
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::new("cowardly refusing to save to a terminal")
            .hint("use -o FILE, or redirect stdout"));
    }
    let store = Store::open(&dirs.data)?;
    let images = images(&store, args)?;
    let format = match args.format {
        None => SaveFormat::Both,
        Some(FormatArg::OciArchive) => SaveFormat::Oci,
        Some(FormatArg::DockerArchive) => SaveFormat::Docker,
    };
    let _busy = Busy::with(format!("saving {}", args.images.join(" ")));
    let save = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(BUFFER, out);
        store.save(&images, format, &mut out)
    };
    match &args.output {
        Some(path) => to_file(path, |file| Ok(save(file)?))?,
        None => save(&mut io::stdout().lock())?,
    }
    Ok(0)
}

fn images(store: &Store, args: &SaveArgs) -> Result<Vec<Saved>> {
    let wanted = platform::of_flag(args.platform.as_deref())?;
    let mut images = Vec::with_capacity(args.images.len());
    for name in &args.images {
        let saved = store.to_save(name)?;
        if let Some(wanted) = wanted.as_ref().filter(|wanted| !saved.image.platform.serves(wanted))
        {
            let there = &saved.image.platform;
            return Err(Failure::new(format!(
                "image {name} is here for {there}, not for {wanted}"
            ))
            .hint(format!("mvm pull --platform {wanted} {name}")));
        }
        images.push(saved);
    }
    Ok(images)
}

/// The file appears whole, or stays as it was. What is no file, such as a pipe
/// or a device, is written to.
fn to_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let failed = |e: io::Error| Failure::cannot(format!("write {}", path.display()), e);
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return write(&mut file);
    }
    let Some(name) = path.file_name() else {
        return Err(Failure::new(format!("{} names no file", path.display())));
    };
    let part = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), &random_id()?[..12]));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    sys::owner_only(&mut options);
    let mut file = options.open(&part).map_err(failed)?;
    let done = write(&mut file).and_then(|()| file.sync_all().map_err(failed));
    drop(file);
    let done = done.and_then(|()| fs::rename(&part, path).map_err(failed));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}
