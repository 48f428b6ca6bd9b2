// SPDX-License-Identifier: Apache-2.0
//! An OCI image layout in a directory (OCI image-spec, image-layout.md). Others
//! may change it while it is read: every byte is checked in the store's copy.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::files::{Files, check, damaged, missing, too_large};
use crate::image::digest::{Algorithm, Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::store::Store;
use crate::sys;

/// Bytes copied at a time.
const BUFFER: usize = 256 << 10;

/// A directory.
pub struct Layout {
    directory: PathBuf,
    source_name: String,
}

impl Layout {
    pub fn open(directory: PathBuf, source_name: String) -> Result<Self> {
        let not = |is, instead: Option<&str>| {
            let (source_name, instead) = (source_name.clone(), instead.map(str::to_owned));
            Err(SourceError::Kind { source_name, is, instead }.into())
        };
        match std::fs::metadata(&directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return not("is no directory", Some("oci-archive:FILE reads a layout in a tar"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourceError::NoFile { path: directory }.into());
            }
            Err(error) => return Err(error).at("read", &directory),
        }
        if !directory.join("index.json").exists() {
            let hint = "oci:DIR is an OCI image layout; dir:ROOTFS takes a root directory";
            return not("is no image layout: it has no index.json", Some(hint));
        }
        Ok(Self { directory, source_name })
    }

    /// Opens a regular file, and waits for nobody who might write to a pipe.
    fn file(&self, name: &str) -> Result<Option<File>> {
        let path = self.directory.join(name);
        let file = match sys::open_without_waiting(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("read", &path),
        };
        match file.metadata().at("read", &path)?.is_file() {
            true => Ok(Some(file)),
            false => Err(damaged(self, format!("{name} is no regular file"))),
        }
    }
}

impl Files for Layout {
    fn source_name(&self) -> &str {
        &self.source_name
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut body = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut body);
        read.at("read", &self.directory.join(name))?;
        if body.len() as u64 > limit {
            return Err(too_large(self, name, limit));
        }
        Ok(Some(body))
    }

    fn put(&self, name: &str, blob: &Blob, store: &Store, stop: &CancellationToken) -> Result<()> {
        let file = self.file(name)?.ok_or_else(|| missing(self, name))?;
        let path = self.directory.join(name);
        let length = file.metadata().at("read", &path)?.len();
        // The digest is seen to below.
        check(self, name, blob, length, || blob.digest.clone())?;
        let unfinished = store.blob_ingest().create()?;
        let algorithm = blob.digest.algorithm();
        let copied = if sys::clone_file(&file, unfinished.file()) {
            hash(unfinished.file(), &io::sink(), blob.size, algorithm, stop)
        } else {
            hash(&file, unfinished.file(), blob.size, algorithm, stop)
        };
        let (size, digest) = copied.at("copy", &path)?.ok_or(Error::Interrupted)?;
        check(self, name, blob, size, || digest)?;
        unfinished.persist(&store.blob_path(&blob.digest))
    }
}

/// Copies and hashes, one byte beyond `size` at most; `None` if it was stopped.
fn hash(
    from: impl Read,
    mut to: impl Write,
    size: u64,
    algorithm: Algorithm,
    stop: &CancellationToken,
) -> io::Result<Option<(u64, Digest)>> {
    let mut from = from.take(size.saturating_add(1));
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    while !stop.is_cancelled() {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(Some((copied, hasher.finish()))),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                to.write_all(&buffer[..read])?;
                copied += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
