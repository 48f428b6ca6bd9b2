// SPDX-License-Identifier: Apache-2.0
//! The files of a source by their names in it, whether they lie in a directory
//! or came in an archive.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::SourceError;
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::manifest::Blob;
use crate::image::pull::LocalBlobs;
use crate::image::store::Store;

/// Named files. The names are relative, of `/`-separated parts.
pub trait Files: Send + Sync {
    /// The source, for messages.
    fn source_name(&self) -> &str;

    /// A small file; `None` if there is none of that name.
    ///
    /// # Errors
    /// Larger than `limit` bytes, no regular file, unreadable.
    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Puts a file into the store as `blob`, if it is that.
    fn put(&self, name: &str, blob: &Blob, store: &Store, stop: &CancellationToken) -> Result<()>;
}

/// Where a layout has a blob (OCI image-spec, image-layout.md, "Blobs").
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Reads a small file that must be `blob`.
pub fn read_blob(files: &dyn Files, name: &str, blob: &Blob, limit: u64) -> Result<Vec<u8>> {
    if blob.size > limit {
        return Err(too_large(files, name, limit));
    }
    let body = files.read(name, limit)?.ok_or_else(|| missing(files, name))?;
    check(files, name, blob, body.len() as u64, || match blob.digest.matches(&body) {
        true => blob.digest.clone(),
        false => Digest::of(&body),
    })?;
    Ok(body)
}

/// Whether what was read is `blob`.
pub fn check(
    files: &dyn Files,
    name: &str,
    blob: &Blob,
    size: u64,
    digest: impl FnOnce() -> Digest,
) -> Result<()> {
    let source_name = files.source_name().to_owned();
    let what = printable(name);
    if size != blob.size {
        let (expected, actual) = (blob.size, size);
        return Err(SourceError::Size { source_name, what, expected, actual }.into());
    }
    let actual = digest();
    if actual != blob.digest {
        let (expected, actual) = (blob.digest.to_string(), actual.to_string());
        return Err(SourceError::Digest { source_name, what, expected, actual }.into());
    }
    Ok(())
}

pub fn missing(files: &dyn Files, name: &str) -> Error {
    let (source_name, what) = (files.source_name().to_owned(), printable(name));
    SourceError::Missing { source_name, what }.into()
}

pub fn damaged(files: &dyn Files, detail: impl Into<String>) -> Error {
    let source_name = files.source_name().to_owned();
    SourceError::Damaged { source_name, detail: detail.into() }.into()
}

pub fn too_large(files: &dyn Files, name: &str, limit: u64) -> Error {
    Error::TooLarge { what: format!("{} in {}", printable(name), files.source_name()), limit }
}

/// A name out of a source, cut short and kept from the terminal's way.
pub fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The blobs of one image and the files that they are.
pub struct Blobs {
    pub files: Arc<dyn Files>,
    /// Those that lie elsewhere than a layout would have them.
    pub names: HashMap<Digest, String>,
}

impl LocalBlobs for Blobs {
    fn put(&self, blob: &Blob, store: &Store, stop: &CancellationToken) -> Result<()> {
        let name = self.names.get(&blob.digest).cloned();
        self.files.put(&name.unwrap_or_else(|| blob_name(&blob.digest)), blob, store, stop)
    }
}
