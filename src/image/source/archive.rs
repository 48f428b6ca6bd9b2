// SPDX-License-Identifier: Apache-2.0
//! A tar with images in it, read once from its start to its end, as it comes
//! from a pipe: small files stay in memory, large ones are hashed into the
//! store's ingest, and what they are good for is decided afterwards.

use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::files::{Files, check, damaged, missing};
use crate::image::compression::{Compression, decompressed};
use crate::image::digest::{Algorithm, Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::layer::{Entries, Kind, LayerError};
use crate::image::manifest::Blob;
use crate::image::store::{Store, Unfinished};

/// Files up to this size stay in memory, …
const SMALL: u64 = 256 << 10;
/// … until they take so much of it.
const MAX_MEMORY: u64 = 32 << 20;
/// Unfinished files at a time: each is open. Beyond, a file gets the name of
/// its digest at once, and is the collector's if no image wants it.
const MAX_OPEN: usize = 200;
/// Bytes of padding that may follow the archive; tar has 10 KiB, dd more.
const MAX_BEHIND: u64 = 64 << 20;
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
        Reading { archive: &mut archive, limits, memory: 0, open: Vec::new() }.run(tar)?;
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
        damaged(self, format!("the name {:?} leads out of it", shown(name)))
    }
}

impl Files for Archive {
    fn source_name(&self) -> &str {
        &self.source_name
    }

    fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(item) = self.item(name)? else { return Ok(None) };
        if item.facts.blob.size > limit {
            let what = format!("{name} in {}", self.source_name);
            return Err(Error::TooLarge { what, limit });
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
            Content::Stored => Err(missing(self, name)),
        }
    }
}

/// The pass through an archive.
struct Reading<'a> {
    archive: &'a mut Archive,
    limits: &'a ArchiveLimits,
    memory: u64,
    /// Names of unfinished files.
    open: Vec<String>,
}

impl Reading<'_> {
    fn run(mut self, tar: impl Read) -> Result<()> {
        let mut entries = Entries::new(tar);
        let (mut count, mut name_bytes, mut bytes) = (0, 0, 0u64);
        while let Some(entry) = entries.next().map_err(|error| self.bad_tar(error))? {
            count += 1;
            name_bytes += (entry.path.len() + entry.link.len()) as u64;
            bytes = bytes.saturating_add(entry.size);
            self.limit(count, self.limits.entries, "entries")?;
            self.limit(name_bytes, self.limits.name_bytes, "bytes of names")?;
            self.limit(bytes, self.limits.bytes, "bytes")?;
            let name = self.name(&entry.path)?;
            match entry.kind {
                Kind::Directory => continue,
                _ if name.is_empty() || self.is_known(&name) => {
                    let what = format!("it has two files {:?}", shown(&name));
                    return Err(damaged(self.archive, what));
                }
                Kind::File if entry.sparse.is_some() => {
                    return Err(self.bad(&name, "is sparse"));
                }
                Kind::File => self.file(name, entry.size, &mut entries)?,
                Kind::HardLink => {
                    let target = self.name(&entry.link)?;
                    self.archive.links.insert(name, target);
                }
                Kind::Symlink => {
                    let target = self.symlink(&name, &entry.link)?;
                    self.archive.links.insert(name, target);
                }
                _ => return Err(self.bad(&name, "is a device or a pipe")),
            }
        }
        // Also for the checksum behind a compressed stream.
        entries.drain(MAX_BEHIND).map_err(|error| self.bad_tar(error))?;
        if count == 0 {
            return Err(damaged(self.archive, "it is empty"));
        }
        Ok(())
    }

    fn file(&mut self, name: String, size: u64, entries: &mut Entries<impl Read>) -> Result<()> {
        let named = named_digest(&name);
        // What the store has under this name need not be written again.
        if let Some(digest) = named.clone().filter(|_| size > SMALL) {
            let blob = Blob { digest, size };
            if self.archive.store.has_blob(&blob) {
                let facts = Facts { blob, compression: Compression::None };
                self.insert(name, facts, Content::Stored);
                return Ok(());
            }
        }
        let in_memory = size <= SMALL && self.memory + size <= MAX_MEMORY;
        let unfinished = match in_memory {
            true => None,
            false => Some(self.archive.store.blob_ingest().create()?),
        };
        let algorithm = named.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let (mut hasher, mut body, mut start) = (Hasher::new(algorithm), Vec::new(), Vec::new());
        loop {
            let data = entries.data().map_err(|error| self.bad_tar(error))?;
            if data.is_empty() {
                break;
            }
            hasher.update(data);
            let wanting = 6usize.saturating_sub(start.len()).min(data.len());
            start.extend_from_slice(&data[..wanting]);
            match &unfinished {
                Some(unfinished) => {
                    unfinished.file().write_all(data).at("write", unfinished.path())?;
                }
                None => body.extend_from_slice(data),
            }
            let taken = data.len();
            entries.consume(taken);
        }
        let blob = Blob { digest: hasher.finish(), size };
        let facts = Facts { blob, compression: Compression::of(&start) };
        let content = match unfinished {
            Some(unfinished) => {
                self.open.push(name.clone());
                Content::Ingest(unfinished)
            }
            None => {
                self.memory += size;
                Content::Memory(body)
            }
        };
        self.insert(name, facts, content);
        self.close_one()
    }

    fn insert(&mut self, name: String, facts: Facts, content: Content) {
        self.archive.files.insert(name, Item { facts, content: Mutex::new(content) });
    }

    /// Keeps the number of open files within bounds.
    fn close_one(&mut self) -> Result<()> {
        if self.open.len() <= MAX_OPEN {
            return Ok(());
        }
        let name = self.open.remove(0);
        let Some(item) = self.archive.files.get_mut(&name) else { return Ok(()) };
        let path = self.archive.store.blob_path(&item.facts.blob.digest);
        let content = item.content.get_mut().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(content, Content::Stored) {
            Content::Ingest(unfinished) => unfinished.persist(&path),
            _ => Ok(()),
        }
    }

    fn is_known(&self, name: &str) -> bool {
        self.archive.files.contains_key(name) || self.archive.links.contains_key(name)
    }

    fn name(&self, bytes: &[u8]) -> Result<String> {
        let text = String::from_utf8_lossy(bytes);
        match std::str::from_utf8(bytes).ok().and_then(clean) {
            Some(name) => Ok(name),
            None => Err(self.archive.bad_name(&text)),
        }
    }

    /// What a symbolic link stands for: other files of the archive only.
    fn symlink(&self, name: &str, target: &[u8]) -> Result<String> {
        let bad = || self.bad(name, "is a link that leads out of it");
        let target = std::str::from_utf8(target).map_err(|_| bad())?;
        if target.starts_with('/') {
            return Err(bad());
        }
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(bad)?;
                }
                part => parts.push(part),
            }
        }
        Ok(parts.join("/"))
    }

    fn limit(&self, got: u64, max: u64, what: &'static str) -> Result<()> {
        let source_name = self.archive.source_name.clone();
        match got > max {
            true => Err(SourceError::Limit { source_name, what, max }.into()),
            false => Ok(()),
        }
    }

    fn bad(&self, name: &str, what: &str) -> Error {
        damaged(self.archive, format!("{:?} {what}", shown(name)))
    }

    fn bad_tar(&self, error: LayerError) -> Error {
        let detail = match error {
            LayerError::Read(error) => error.to_string(),
            other => other.to_string(),
        };
        damaged(self.archive, detail)
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

/// A name out of an archive, cut short.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}
