// SPDX-License-Identifier: Apache-2.0
//! The index of VMs: a cache of what lists show of each, with the stamp of the
//! record that says so. It counts for nothing but time: an entry whose stamp is
//! not that of the record there now is not used, and an index that is damaged,
//! of another version or of other VMs is none. Any list may replace it, none
//! waits for it.
//!
//! The file is `MAGIC`, the CRC-32 of what follows (little-endian), and
//! `Contents` as postcard writes it, entries sorted by their IDs.

use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize, Serializer};

use super::{Durability, Phase, Summary, make_private_dir, replace_file_with};
use crate::sys::{self, Stamp};

/// Its name in the directory of what can be made again.
pub(super) const NAME: &str = "vms.index";

/// The last byte is the version: another one for each change of what is stored.
const MAGIC: &[u8; 8] = b"mvm vms\x01";
const CHECKSUM: usize = 4;
/// That of 30,000 VMs. What is larger is neither read nor written.
const MAX_BYTES: u64 = 16 << 20;
/// VMs that an index is worth to be written for.
const WORTH: usize = 32;
/// What a writer that was killed left is as old as this.
const ABANDONED: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Contents<'a> {
    /// The version of mvm.
    program: &'a str,
    /// The directory of the VMs.
    #[serde(borrow, serialize_with = "as_bytes")]
    vms: Cow<'a, [u8]>,
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

/// What is kept of a VM.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// Of the record that the rest is from.
    pub stamp: Stamp,
    pub phase: Phase,
    pub auto_remove: bool,
    /// A `Summary`, for who wants more than that.
    #[serde(borrow, serialize_with = "as_bytes")]
    summary: Cow<'a, [u8]>,
}

#[derive(Default)]
pub(super) struct Index<'a> {
    entries: Vec<Entry<'a>>,
    /// The beginnings of their IDs, close together: to look for one among the
    /// IDs takes longer than to compare it.
    keys: Vec<u64>,
}

/// What an index has of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// What its record says: the entry that stands here.
    Right(usize),
    /// What another record said.
    Stale,
    Nothing,
}

impl<'a> Entry<'a> {
    /// What a record says that has this stamp.
    pub fn of(summary: &Summary, stamp: Stamp) -> Option<Entry<'static>> {
        Some(Entry {
            id: summary.id.clone().into(),
            stamp,
            phase: summary.phase,
            auto_remove: summary.auto_remove,
            summary: postcard::to_allocvec(summary).ok()?.into(),
        })
    }

    /// Of an entry that was read; with text of its own, or where the index has it.
    pub fn summary<T: Deserialize<'a> + Ord>(&self) -> Option<Summary<T>> {
        match self.summary {
            Cow::Borrowed(bytes) => postcard::from_bytes(bytes).ok(),
            Cow::Owned(_) => None,
        }
    }
}

impl<'a> Index<'a> {
    /// The index in `bytes`, if it is one of the VMs in this directory.
    pub fn parse(bytes: &'a [u8], vms: &Path) -> Self {
        let parse = || {
            let (checksum, contents) =
                bytes.strip_prefix(MAGIC)?.split_first_chunk::<CHECKSUM>()?;
            if crc32fast::hash(contents) != u32::from_le_bytes(*checksum) {
                return None;
            }
            let contents: Contents = postcard::from_bytes(contents).ok()?;
            let ours = contents.program == env!("CARGO_PKG_VERSION")
                && *contents.vms == *sys::os_bytes(vms.as_os_str());
            ours.then_some(contents.entries)
        };
        let entries = parse().unwrap_or_default();
        let keys = entries.iter().map(|entry| key(&entry.id)).collect();
        Self { entries, keys }
    }

    /// What it has of a VM whose record has this stamp now.
    pub fn look_up(&self, id: &str, stamp: impl FnOnce() -> Option<Stamp>) -> Known {
        let key = key(id);
        let from = self.keys.partition_point(|other| *other < key);
        let mut same = (from..self.keys.len()).take_while(|at| self.keys[*at] == key);
        let Some(at) = same.find(|at| self.entries[*at].id == id) else { return Known::Nothing };
        match stamp() == Some(self.entries[at].stamp) {
            true => Known::Right(at),
            false => Known::Stale,
        }
    }

    pub fn entry(&self, known: Known) -> Option<&Entry<'a>> {
        match known {
            Known::Right(at) => self.entries.get(at),
            Known::Stale | Known::Nothing => None,
        }
    }

    /// Replaces the index at `path`, if that saves the next list something, by
    /// what of it is right and what is new. Where it cannot be written, lists
    /// take longer.
    pub fn renew(&self, path: &Path, vms: &Path, known: &[Known], new: Vec<Entry<'static>>) {
        let there = known.iter().filter(|known| **known != Known::Nothing).count();
        let gone = self.entries.len().saturating_sub(there);
        if new.len() < WORTH && gone < WORTH {
            return;
        }
        let right = known.iter().filter_map(|known| self.entry(*known).cloned());
        let mut entries: Vec<Entry> = right.chain(new).collect();
        entries.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        if let Some(bytes) = encode(vms, entries) {
            let _ = write(path, &bytes);
        }
    }
}

/// The bytes of the index at `path`; none if there is none.
pub(super) fn load(path: &Path) -> Vec<u8> {
    let read = || {
        let file = sys::open_without_waiting(path).ok()?;
        let length = file.metadata().ok().filter(|m| m.is_file() && m.len() <= MAX_BYTES)?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        file.take(length).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    read().unwrap_or_default()
}

fn encode(vms: &Path, entries: Vec<Entry>) -> Option<Vec<u8>> {
    let vms = sys::os_bytes(vms.as_os_str()).into();
    let contents = Contents { program: env!("CARGO_PKG_VERSION"), vms, entries };
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0; CHECKSUM]);
    let mut bytes = postcard::to_extend(&contents, bytes).ok()?;
    let (head, contents) = bytes.split_at_mut(MAGIC.len() + CHECKSUM);
    let checksum = crc32fast::hash(contents).to_le_bytes();
    head[MAGIC.len()..].copy_from_slice(&checksum);
    (bytes.len() as u64 <= MAX_BYTES).then_some(bytes)
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        make_private_dir(directory)?;
        sweep(directory);
    }
    replace_file_with(path, bytes, Durability::Fleeting)
}

/// Takes away what writers that were killed left.
fn sweep(directory: &Path) {
    let old = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let ours = name.to_str().and_then(|name| name.strip_prefix(NAME));
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        ours.is_some_and(|rest| rest.ends_with(".new")) && age.is_some_and(|age| age > ABANDONED)
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(old) {
        let _ = fs::remove_file(entry.path());
    }
}

/// Sorted as the IDs are.
fn key(id: &str) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[cfg(test)]
mod tests;
