// SPDX-License-Identifier: Apache-2.0
//! The image store: blobs as an OCI image layout, and the disk image of every
//! layer by its diff ID. Reading it takes no lock and changes nothing.

mod facts;
mod index;
mod ingest;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs4::FileExt;
use serde::Serialize;

use super::config::{ConfigDocument, ImageConfig};
use super::digest::Digest;
use super::error::{Error, IoContext, Result};
use super::layer;
use super::manifest::{Blob, Document};
use super::platform::Platform;
use super::reference::{Reference, familiar_name};
use crate::sys;
pub(super) use index::Record;
use index::{Entry, Index};
pub(super) use ingest::{Ingest, Unfinished};

/// The file that makes a directory an image layout (OCI image-spec, image-layout.md).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The fewest digits of an image ID that are taken for one.
const MIN_ID_PREFIX: usize = 3;

/// The images of one data directory.
#[derive(Clone, Debug)]
pub struct Store {
    data: PathBuf,
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

impl Store {
    /// The store under `data`; what is missing there is made by the first pull.
    pub fn open(data: &Path) -> Result<Self> {
        let data = std::path::absolute(data).at("use", data)?;
        Ok(Self { data })
    }

    /// Finds an image by its reference, its ID, or the first digits of its ID.
    /// A name outranks an ID, as with Docker.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let index = self.index()?;
        let reference = name.parse::<Reference>();
        if let Ok(reference) = &reference
            && let Some(entry) = index.manifests.iter().find(|entry| entry.answers_to(reference))
        {
            return self.load(entry, name);
        }
        if let Some(prefix) = id_prefix(name) {
            let fits = |entry: &&Entry| entry.id().is_some_and(|id| id.hex().starts_with(prefix));
            let found: Vec<&Entry> = index.manifests.iter().filter(fits).collect();
            let ids: HashSet<Option<Digest>> = found.iter().map(|entry| entry.id()).collect();
            match (ids.len(), found.first()) {
                (1, Some(entry)) => return self.load(entry, name),
                (0, _) | (_, None) => return Err(Error::NotLocal(name.to_owned())),
                (count, _) => return Err(Error::Ambiguous { prefix: prefix.to_owned(), count }),
            }
        }
        Err(Error::NotLocal(reference?.familiar()))
    }

    /// Finds an image by its reference only.
    pub fn find(&self, reference: &Reference) -> Result<Image> {
        let index = self.index()?;
        match index.manifests.iter().find(|entry| entry.answers_to(reference)) {
            Some(entry) => self.load(entry, &reference.familiar()),
            None => Err(Error::NotLocal(reference.familiar())),
        }
    }

    /// Finds an image by the digest of its manifest, whatever its name.
    pub(super) fn find_manifest(&self, digest: &Digest) -> Result<Image> {
        let index = self.index()?;
        match index.manifests.iter().find(|entry| entry.digest == *digest) {
            Some(entry) => self.load(entry, &digest.to_string()),
            None => Err(Error::NotLocal(digest.to_string())),
        }
    }

    /// All images, the latest pulled last. Reads one file.
    pub fn images(&self) -> Result<Vec<ImageSummary>> {
        let summary = |entry: &Entry| {
            Some(ImageSummary {
                reference: entry.reference(),
                repository: entry.repository().map(|name| familiar_name(name).to_owned()),
                id: entry.id()?,
                manifest_digest: entry.digest.clone(),
                repo_digest: entry.repo_digest(),
                platform: entry.platform.clone(),
                created: entry.created().map(str::to_owned),
                size: entry.image_bytes(),
            })
        };
        Ok(self.index()?.manifests.iter().filter_map(summary).collect())
    }

    /// Manifest and configuration are verified again: they are small. Layers
    /// were verified before they got their names.
    fn load(&self, entry: &Entry, asked: &str) -> Result<Image> {
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
        })
    }

    /// Where all of it is.
    pub(super) fn directory(&self) -> &Path {
        &self.data
    }

    fn index(&self) -> Result<Index> {
        Index::read(&self.index_path())
    }

    fn layout(&self) -> PathBuf {
        self.data.join("blobs")
    }

    fn index_path(&self) -> PathBuf {
        self.layout().join("index.json")
    }

    /// Where a blob is, or would be.
    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout().join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Where the disk image of a layer is, or would be.
    pub(super) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(format!("{}.img", diff_id.hex()))
    }

    fn layers(&self) -> PathBuf {
        self.data.join("layers").join(layer::FORMAT)
    }

    /// Unfinished blobs.
    pub(super) fn blob_ingest(&self) -> Ingest {
        Ingest::new(self.layout().join("ingest"))
    }

    /// Unfinished disk images.
    pub(super) fn layer_ingest(&self) -> Ingest {
        Ingest::new(self.data.join("layers").join("ingest"))
    }

    /// Makes what a pull writes to, and clears up after dead ones.
    pub(super) fn prepare(&self) -> Result<()> {
        let blobs = self.layout().join("blobs");
        for directory in [blobs.join("sha256"), blobs.join("sha512"), self.layers()] {
            sys::create_private_dir_all(&directory).at("create", &directory)?;
        }
        self.blob_ingest().prepare()?;
        self.layer_ingest().prepare()?;
        let layout = self.layout().join("oci-layout");
        if !layout.exists() {
            self.put(LAYOUT, &layout)?;
        }
        Ok(())
    }

    /// Whether a blob is there, as far as its size shows.
    pub(super) fn has_blob(&self, blob: &Blob) -> bool {
        fs::metadata(self.blob_path(&blob.digest))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == blob.size)
    }

    /// Whether the disk image of a layer is there, and what goes with it.
    pub(super) fn has_layer(&self, diff_id: &Digest) -> bool {
        let whole = |file: File| layer::looks_whole(&file);
        self.has_facts(diff_id)
            && File::open(self.layer_path(diff_id)).and_then(whole).unwrap_or(false)
    }

    /// Reads a small blob and verifies it; `None` if it is missing or damaged.
    pub(super) fn read_blob(&self, blob: &Blob) -> Result<Option<Vec<u8>>> {
        if !self.has_blob(blob) {
            return Ok(None);
        }
        let path = self.blob_path(&blob.digest);
        let body = match fs::read(&path) {
            Ok(body) => body,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        Ok(Some(body).filter(|body| blob.digest.matches(body)))
    }

    /// Stores a small blob whose digest the caller verified.
    pub(super) fn put_blob(&self, digest: &Digest, body: &[u8]) -> Result<()> {
        let blob = Blob { digest: digest.clone(), size: body.len() as u64 };
        match self.read_blob(&blob)? {
            Some(_) => Ok(()),
            None => self.put(body, &self.blob_path(digest)),
        }
    }

    fn put(&self, body: &[u8], path: &Path) -> Result<()> {
        let unfinished = self.blob_ingest().create()?;
        unfinished.file().write_all(body).at("write", unfinished.path())?;
        unfinished.persist(path)
    }

    /// Records a complete image: everything it consists of is made durable
    /// first, so an index never names what a crash could take away. Returns
    /// whether the index changed.
    pub(super) fn commit(&self, record: &Record<'_>) -> Result<bool> {
        let blobs = self.layout().join("blobs");
        for directory in [blobs.join("sha256"), blobs.join("sha512"), self.layers()] {
            sys::sync_directory(&directory).at("sync", &directory)?;
        }
        let lock_path = self.data.join("images.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        sys::owner_only(&mut options);
        let lock = options.open(&lock_path).at("open", &lock_path)?;
        FileExt::lock(&lock).at("lock", &lock_path)?;
        let mut index = self.index()?;
        let changed = index.record(record);
        if changed || !self.index_path().exists() {
            self.put(&index.to_bytes(), &self.index_path())?;
            sys::sync_directory(&self.layout()).at("sync", &self.layout())?;
        }
        Ok(changed)
    }
}

/// Every diff ID once, where it is uppermost. All that a lower copy shows or
/// hides, the upper one shows or hides too.
pub(super) fn uppermost(diff_ids: &[Digest]) -> Vec<&Digest> {
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

#[cfg(test)]
mod tests;
