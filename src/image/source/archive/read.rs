// SPDX-License-Identifier: Apache-2.0
//! The pass through an archive: every entry once, in the order of the tar.

use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};

use mvm_files::archive::{Entries, Kind, TarError};

use super::{Archive, ArchiveLimits, Content, Facts, Item, clean, named_digest};
use crate::image::compression::Compression;
use crate::image::digest::{Algorithm, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::progress::Progress;
use crate::image::source::SourceError;
use crate::image::source::files::{damaged, printable};

/// Files up to this size stay in memory, …
const SMALL: u64 = 256 << 10;
/// … until they take so much of it.
const MAX_MEMORY: u64 = 32 << 20;
/// Unfinished files at a time: each is open. Beyond, a file gets the name of
/// its digest at once, and is the collector's if no image wants it.
pub(in crate::image::source) const MAX_OPEN: usize = 100;
/// Bytes of padding that may follow the archive; tar has 10 KiB, dd more.
const MAX_BEHIND: u64 = 64 << 20;

/// The pass through an archive.
pub(super) struct Reading<'a> {
    archive: &'a mut Archive,
    limits: &'a ArchiveLimits,
    progress: &'a dyn Progress,
    /// Of all files so far.
    bytes: u64,
    memory: u64,
    /// Names of unfinished files.
    open: Vec<String>,
}

impl<'a> Reading<'a> {
    /// Nothing is read yet.
    pub(super) fn new(
        archive: &'a mut Archive,
        limits: &'a ArchiveLimits,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { archive, limits, progress, bytes: 0, memory: 0, open: Vec::new() }
    }

    pub(super) fn run(mut self, tar: impl Read) -> Result<()> {
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
                    let what = format!("it has two files {:?}", printable(&name));
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
            self.bytes += taken as u64;
            self.progress.reading(self.bytes);
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
        damaged(self.archive, format!("{:?} {what}", printable(name)))
    }

    fn bad_tar(&self, error: TarError) -> Error {
        let detail = match error {
            TarError::Read(error) => error.to_string(),
            other => other.to_string(),
        };
        damaged(self.archive, detail)
    }
}
