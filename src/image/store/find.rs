// SPDX-License-Identifier: Apache-2.0
//! Looking images up: by name, by digest, by (the start of) their ID, and what
//! is found, ready to be run.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::lease::Lease;
use super::{Entry, Index, Store};
use crate::image::config::{ConfigDocument, ImageConfig};
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::manifest::{Blob, Document};
use crate::image::platform::Platform;
use crate::image::reference::{Reference, familiar_name};
use crate::similar;

/// The fewest digits of an image ID that are taken for one.
const MIN_ID_PREFIX: usize = 3;

/// By what a word named an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Name and tag: one entry.
    Tag,
    /// Repository and digest.
    Digest,
    /// The image ID, the start of it, or a digest alone.
    Id,
}
/// An image that can be run.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name and tag it has, if any.
    pub reference: Option<Reference>,
    /// The digest of its manifest.
    pub manifest_digest: Digest,
    /// The digest the registry gave for its name.
    pub repo_digest: Option<Digest>,
    /// The image ID: the digest of its configuration.
    pub id: Digest,
    /// What it was built for.
    pub platform: Platform,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// What to run.
    pub config: ImageConfig,
    /// Its disk images, bottom first, without those of which nothing is seen: a
    /// layer that occurs several times is here once, where it is uppermost, and
    /// none is here that lies below a layer with an opaque root.
    pub layers: Vec<LayerImage>,
    /// Bytes of its disk images.
    pub size: u64,
    /// As long as this value lives, nothing of the image is collected. A VM's
    /// record does that afterwards.
    _lease: Lease,
}

/// A layer as a read-only disk image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerImage {
    /// The digest of the layer's uncompressed tar.
    pub diff_id: Digest,
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Directories whose attributes are those of a layer below, parents first.
    pub implied_dirs: Vec<Vec<u8>>,
}

/// A line of `mvm images`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageSummary {
    /// The name and tag; `None` if the tag moved to another image.
    pub reference: Option<Reference>,
    /// Such as `alpine`, also if there is no tag.
    pub repository: Option<String>,
    /// The image ID.
    pub id: Digest,
    /// The digest of the manifest.
    pub manifest_digest: Digest,
    /// The digest the registry gave for the name.
    pub repo_digest: Option<Digest>,
    /// What it was built for.
    pub platform: Option<Platform>,
    /// When it was built, RFC 3339.
    pub created: Option<String>,
    /// Bytes of its disk images, those it shares included.
    pub size: u64,
}

impl ImageSummary {
    /// Entries of other tools are no images to run.
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        Some(Self {
            reference: entry.reference(),
            repository: entry.repository().map(|name| familiar_name(name).to_owned()),
            id: entry.id()?,
            manifest_digest: entry.digest.clone(),
            repo_digest: entry.repo_digest(),
            platform: entry.platform.clone(),
            created: entry.created().map(str::to_owned),
            size: entry.image_bytes(),
        })
    }
}

impl Store {
    /// Finds an image by its reference, its ID, the first digits of its ID, or
    /// the digest of its manifest. A name outranks an ID, as with Docker.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let lease = self.lease()?;
        let index = self.index()?;
        let (_, found) = index.search(name)?;
        match found.first().and_then(|at| index.manifests.get(*at)) {
            Some(entry) => self.load(entry, name, lease),
            None => Err(index.not_local(name)),
        }
    }

    /// Finds an image by its reference only.
    pub fn find(&self, reference: &Reference) -> Result<Image> {
        let lease = self.lease()?;
        let index = self.index()?;
        match index.manifests.iter().find(|entry| entry.answers_to(reference)) {
            Some(entry) => self.load(entry, &reference.familiar(), lease),
            None => Err(index.not_local(&reference.familiar())),
        }
    }

    /// Finds an image by the digest of its manifest, whatever its name.
    pub(in crate::image) fn find_manifest(&self, digest: &Digest) -> Result<Image> {
        let lease = self.lease()?;
        let index = self.index()?;
        match index.manifests.iter().find(|entry| entry.digest == *digest) {
            Some(entry) => self.load(entry, &digest.to_string(), lease),
            None => Err(index.not_local(&digest.to_string())),
        }
    }

    /// All images, the latest pulled last. Reads one file.
    pub fn images(&self) -> Result<Vec<ImageSummary>> {
        Ok(self.index()?.manifests.iter().filter_map(ImageSummary::of).collect())
    }

    /// Manifest and configuration are verified again: they are small. Layers
    /// were verified before they got their names.
    fn load(&self, entry: &Entry, asked: &str, lease: Lease) -> Result<Image> {
        let incomplete = |missing: String| Error::Incomplete { image: asked.to_owned(), missing };
        let manifest = Blob { digest: entry.digest.clone(), size: entry.size };
        let body = self
            .read_blob(&manifest)?
            .ok_or_else(|| incomplete(format!("manifest {}", manifest.digest)))?;
        let manifest = match Document::parse(&body, None, usize::MAX) {
            Ok(Document::Manifest(manifest)) => manifest,
            _ => return Err(incomplete(format!("manifest {}", manifest.digest))),
        };
        let lost_config = || incomplete(format!("configuration {}", manifest.config.digest));
        let body = self.read_blob(&manifest.config)?.ok_or_else(lost_config)?;
        let config =
            ConfigDocument::parse(&body, manifest.layers.len()).map_err(|_| lost_config())?;
        let mut layers = Vec::with_capacity(config.diff_ids.len());
        let seen = config.diff_ids.get(entry.hidden_layers()..).unwrap_or_default();
        for diff_id in uppermost(seen) {
            let path = self.layer_path(diff_id);
            let bytes = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => metadata.len(),
                _ => return Err(incomplete(format!("layer {diff_id}"))),
            };
            let implied_dirs = self
                .implied_dirs(diff_id)?
                .ok_or_else(|| incomplete(format!("facts of layer {diff_id}")))?;
            layers.push(LayerImage { diff_id: diff_id.clone(), path, bytes, implied_dirs });
        }
        Ok(Image {
            reference: entry.reference(),
            manifest_digest: entry.digest.clone(),
            repo_digest: entry.repo_digest(),
            id: manifest.config.digest,
            platform: entry.platform.clone().unwrap_or(config.platform),
            created: config.created,
            config: config.config,
            size: layers.iter().map(|layer| layer.bytes).sum(),
            layers,
            _lease: lease,
        })
    }
}

impl Index {
    /// There is no such image, and maybe one of a name like that.
    pub(super) fn not_local(&self, word: &str) -> Error {
        let mut names = Vec::new();
        for name in self.manifests.iter().filter_map(|entry| Some(entry.reference()?.familiar())) {
            names.extend(name.strip_suffix(":latest").map(str::to_owned));
            names.push(name);
        }
        Error::NotLocal(word.to_owned(), similar::nearest(word, names))
    }

    /// The entries that a word names, and by what it names them: one for a tag,
    /// at least one otherwise.
    pub fn search(&self, word: &str) -> Result<(Named, Vec<usize>)> {
        let reference = word.parse::<Reference>();
        if let Ok(reference) = &reference {
            let found = self.positions(|entry| entry.answers_to(reference));
            match (found.is_empty(), reference.digest()) {
                (false, Some(_)) => return Ok((Named::Digest, found)),
                (false, None) => return Ok((Named::Tag, found)),
                _ => {}
            }
        }
        let Some(prefix) = id_prefix(word) else {
            return Err(self.not_local(&reference?.familiar()));
        };
        let found =
            self.positions(|entry| entry.id().is_some_and(|id| id.hex().starts_with(prefix)));
        let ids: HashSet<_> = found.iter().filter_map(|at| self.manifests.get(*at)?.id()).collect();
        match ids.len() {
            0 => {}
            1 => return Ok((Named::Id, found)),
            count => return Err(Error::Ambiguous { prefix: prefix.to_owned(), count }),
        }
        let whole = |digest: &Digest| digest.to_string() == word || digest.hex() == word;
        let found = self.positions(|entry| {
            entry.id().is_some()
                && (whole(&entry.digest) || entry.repo_digest().is_some_and(|d| whole(&d)))
        });
        match found.is_empty() {
            false => Ok((Named::Id, found)),
            true => Err(self.not_local(word)),
        }
    }

    fn positions(&self, fits: impl Fn(&Entry) -> bool) -> Vec<usize> {
        let entries = self.manifests.iter().enumerate();
        entries.filter(|(_, entry)| fits(entry)).map(|(at, _)| at).collect()
    }
}

/// Every diff ID once, where it is uppermost. All that a lower copy shows or
/// hides, the upper one shows or hides too.
pub(in crate::image) fn uppermost(diff_ids: &[Digest]) -> Vec<&Digest> {
    let mut seen = HashSet::new();
    let mut kept: Vec<&Digest> = diff_ids.iter().rev().filter(|id| seen.insert(*id)).collect();
    kept.reverse();
    kept
}

/// The hexadecimal digits of what may be (the start of) an image ID.
fn id_prefix(name: &str) -> Option<&str> {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    let digits = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (digits && (MIN_ID_PREFIX..=64).contains(&hex.len())).then_some(hex)
}
