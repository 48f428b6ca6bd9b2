// SPDX-License-Identifier: Apache-2.0
//! The image store: blobs as an OCI image layout, and the disk image of every
//! layer by its diff ID. Who reads keeps the collector away, and nobody else.

mod collect;
mod details;
mod facts;
mod find;
mod index;
mod ingest;
mod layer_check;
mod lease;
mod names;
mod partial;
mod reach;
mod size;
mod usage;
mod verify;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs4::FileExt;

use super::digest::Digest;
use super::error::{IoContext, Result};
use super::layer;
use super::manifest::Blob;
use crate::sys;
pub use collect::{Freed, Plan, Scope};
pub use details::{Details, LayerDetails};
use find::Named;
pub(super) use find::uppermost;
pub use find::{Image, ImageSummary, LayerImage};
pub(super) use index::Record;
use index::{Entry, Index};
pub(super) use ingest::{Ingest, Unfinished};
pub use lease::{Exclusive, Lease};
pub use names::{Removed, Usage};
pub(super) use partial::Partial;
pub use size::allocated_bytes;
pub use usage::{DiskUsage, ImageUsage};
pub use verify::{Flaw, Part, State, Verified};

/// The file that makes a directory an image layout (OCI image-spec, image-layout.md).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The images of one data directory.
#[derive(Clone, Debug)]
pub struct Store {
    data: PathBuf,
}

impl Store {
    /// The store under `data`; what is missing there is made by the first pull.
    pub fn open(data: &Path) -> Result<Self> {
        let data = std::path::absolute(data).at("use", data)?;
        Ok(Self { data })
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
        self.edit(|index| Ok(index.record(record)))
    }

    /// Changes the index under its lock, which is held for that only. What is
    /// written is durable when this returns; a change that fails, or changes
    /// nothing, writes nothing.
    fn edit<T>(&self, change: impl FnOnce(&mut Index) -> Result<T>) -> Result<T> {
        let lock_path = self.data.join("images.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        sys::owner_only(&mut options);
        let lock = match options.open(&lock_path) {
            // Without a data directory there is nothing to change.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return change(&mut self.index()?);
            }
            opened => opened.at("open", &lock_path)?,
        };
        FileExt::lock(&lock).at("lock", &lock_path)?;
        let mut index = self.index()?;
        let before = index.clone();
        let done = change(&mut index)?;
        if index != before || !self.index_path().exists() {
            self.put(&index.to_bytes(), &self.index_path())?;
            sys::sync_directory(&self.layout()).at("sync", &self.layout())?;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
