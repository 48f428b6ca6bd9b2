// SPDX-License-Identifier: Apache-2.0
//! A tar with images in it, read once from its start to its end, as it comes
//! from a pipe: small files stay in memory, large ones are hashed into the
//! store's ingest, and what they are good for is decided afterwards.

pub(super) mod read;

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::files::{Files, check, damaged, missing, printable, too_large};
use crate::image::compression::{Compression, decompressed};
use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::progress::Progress;
use crate::image::store::{Store, Unfinished};
use read::Reading;

/// Links followed to one file.
const MAX_HOPS: usize = 16;
const BUFFER: usize = 128 << 10;

/// What an archive may ask for before it is refused.
#[derive(Clone, Debug)]
pub struct ArchiveLimits {
    /// Entries of all kinds. An image of 127 layers has about 400.
    pub entries: u64,
    /// Bytes of all names.
    pub name_bytes: u64,
    /// Bytes of all files, decompressed.
    pub bytes: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 100_000, name_bytes: 16 << 20, bytes: 256 << 30 }
    }
}

/// The files of an archive.
pub struct Archive {
    source_name: String,
    store: Store,
    files: HashMap<String, Item>,
    /// Links, to names that are in the archive or not.
    links: HashMap<String, String>,
}

/// What is known of a file.
#[derive(Clone, Debug)]
pub struct Facts {
    pub blob: Blob,
    pub compression: Compression,
}

struct Item {
    facts: Facts,
    content: Mutex<Content>,
}

enum Content {
    Memory(Vec<u8>),
    Ingest(Unfinished),
    /// In the store, under its digest.
    Stored,
}

impl Archive {
    /// Reads all of `stream`.
    pub fn read(
        stream: impl Read,
        source_name: String,
        store: &Store,
        limits: &ArchiveLimits,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut archive = Self {
            source_name,
            store: store.clone(),
            files: HashMap::new(),
            links: HashMap::new(),
        };
        let stream = BufReader::with_capacity(BUFFER, stream);
        let tar = match decompressed(stream) {
            Ok(Ok(tar)) => tar,
            Ok(Err(compression)) => {
                let (is, tool) = match compression {
                    Compression::Bzip2 => ("is compressed with bzip2", "bzip2 -dc"),
                    _ => ("is compressed with xz", "xz -dc"),
                };
                let instead = Some(format!("decompress it: {tool} FILE | mvm load"));
                let source_name = archive.source_name;
                return Err(SourceError::Kind { source_name, is, instead }.into());
            }
            Err(error) => return Err(damaged(&archive, error.to_string())),
        };
        let read = Reading::new(&mut archive, limits, progress).run(tar);
        progress.read();
        read?;
        Ok(archive)
    }

    /// Size, digest and compression of a file; `None` if there is none.
    pub fn facts(&self, name: &str) -> Result<Option<Facts>> {
        Ok(self.item(name)?.map(|item| item.facts.clone()))
    }

    fn item(&self, name: &str) -> Result<Option<&Item>> {
        let mut name = clean(name).ok_or_else(|| self.bad_name(name))?;
        for _ in 0..MAX_HOPS {
            if let Some(item) = self.files.get(&name) {
                return Ok(Some(item));
            }
            match self.links.get(&name) {
                Some(target) => name.clone_from(target),
                None => return Ok(None),
            }
        }
        Err(damaged(self, "its links lead in circles"))
    }

    fn bad_name(&self, name: &str) -> Error {
        damaged(self, format!("the name {:?} leads out of it", printable(name)))
    }
}

impl Files for Archive {
    fn source_name(&self) -> &str {
        &self.source_name
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(item) = self.item(name)? else { return Ok(None) };
        if item.facts.blob.size > limit {
            return Err(too_large(self, name, limit));
        }
        match &*item.content.lock().unwrap_or_else(PoisonError::into_inner) {
            Content::Memory(body) => Ok(Some(body.clone())),
            Content::Ingest(unfinished) => {
                let (mut file, mut body) = (unfinished.file(), Vec::new());
                file.seek(SeekFrom::Start(0)).at("read", unfinished.path())?;
                file.take(limit).read_to_end(&mut body).at("read", unfinished.path())?;
                Ok(Some(body))
            }
            Content::Stored => self.store.read_blob(&item.facts.blob),
        }
    }

    fn put(&self, name: &str, blob: &Blob, store: &Store, _: &CancellationToken) -> Result<()> {
        let item = self.item(name)?.ok_or_else(|| missing(self, name))?;
        check(self, name, blob, item.facts.blob.size, || item.facts.blob.digest.clone())?;
        let mut content = item.content.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *content, Content::Stored) {
            Content::Memory(body) => {
                store.put_blob(&blob.digest, &body)?;
                *content = Content::Memory(body);
                Ok(())
            }
            Content::Ingest(unfinished) => unfinished.persist(&store.blob_path(&blob.digest)),
            Content::Stored if store.has_blob(blob) => Ok(()),
            Content::Stored => Err(SourceError::Lost { what: printable(name) }.into()),
        }
    }
}

/// A name without `.` and doubled slashes; `None` if it is absolute or has `..`.
fn clean(name: &str) -> Option<String> {
    let parts = || name.split('/').filter(|part| !matches!(*part, "" | "."));
    let inside = !name.starts_with('/') && !name.contains('\0') && parts().all(|p| p != "..");
    inside.then(|| parts().collect::<Vec<_>>().join("/"))
}

/// The digest that a blob of a layout has in its name.
pub fn named_digest(name: &str) -> Option<Digest> {
    let (algorithm, hex) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}
