// SPDX-License-Identifier: Apache-2.0
//! Images of the store as one archive. The same images give the same bytes,
//! and a layer that several have is in it once.

mod plan;
mod write;

use std::io::{Read, Write};

use super::error::{Error, IoContext, Result};
use super::pull::Limits;
use super::reference::Reference;
use super::store::{Image, Store};
use plan::{Content, Plan};
use write::Archive;

/// What an archive looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveFormat {
    /// An OCI layout with Docker's `manifest.json` beside its index, as of
    /// `docker save` since Docker 25: all readers of either take it.
    #[default]
    Both,
    /// An OCI layout and nothing else.
    Oci,
    /// Docker's `manifest.json` with uncompressed layers, for old readers.
    Docker,
}

/// An image to be saved, by the name it is to have; one that was asked for by
/// its ID has none.
#[derive(Clone, Debug)]
pub struct Saved {
    /// As it is in the store.
    pub image: Image,
    /// The tag that goes with it.
    pub name: Option<Reference>,
}

impl Store {
    /// What `name` (a reference, an ID or its start) stands for in an archive.
    pub fn to_save(&self, name: &str) -> Result<Saved> {
        let image = self.resolve(name)?;
        let tagged = name.parse::<Reference>().ok().filter(|name| name.digest().is_none());
        let name = tagged.filter(|name| self.find(name).is_ok_and(|found| found.id == image.id));
        Ok(Saved { image, name })
    }

    /// Writes an archive of these images. What is written after an error is no
    /// archive.
    ///
    /// # Errors
    /// A blob of an image is missing or damaged; `out` failed.
    pub fn save(&self, images: &[Saved], format: SaveFormat, out: impl Write) -> Result<()> {
        let limits = Limits::default();
        let plan = Plan::new(self, images, format, &limits)?;
        let mut archive = Archive::new(out);
        for directory in &plan.directories {
            archive.directory(directory)?;
        }
        for (name, content) in &plan.files {
            match content {
                Content::Bytes(bytes) => archive.file(name, bytes.len() as u64, &bytes[..])?,
                Content::Blob(part) => {
                    let path = self.blob_path(&part.blob.digest);
                    let file = std::fs::File::open(&path).at("read", &path)?;
                    let mut verified = part.verified(file);
                    let written = archive.file(name, part.blob.size, &mut verified);
                    part.conclude(verified, written)?;
                }
                Content::Tar(part, size) => {
                    let mut verified = part.verified(part.tar(self, &limits)?);
                    let written = archive.file(name, *size, (&mut verified).take(*size));
                    part.conclude(verified, written)?;
                }
            }
        }
        archive.finish()
    }
}

/// A part of an image that is not what it should be.
fn incomplete(image: &str, missing: impl std::fmt::Display) -> Error {
    Error::Incomplete { image: image.to_owned(), missing: missing.to_string() }
}
