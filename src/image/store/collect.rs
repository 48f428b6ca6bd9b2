// SPDX-License-Identifier: Apache-2.0
//! What no image and no VM needs, found and removed. With the store to oneself
//! everything is read and decided before the first file goes; the index names
//! none of them, so that a collector killed half-way leaves garbage, not damage.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::reach::Reach;
use super::{Exclusive, Store, Usage};
use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};

/// What a collection is about.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// Everything, what failed pulls left for the next attempt included.
    #[default]
    All,
    /// What an image that was removed leaves behind.
    Only(Reach),
}

/// What is to go. Made and used under one [`Exclusive`].
#[derive(Clone, Debug, Default)]
pub struct Plan {
    blobs: Vec<(Digest, Files)>,
    layers: Vec<(Digest, Files)>,
    leftovers: Files,
}

/// Files and their bytes.
#[derive(Clone, Debug, Default)]
struct Files {
    paths: Vec<PathBuf>,
    bytes: u64,
}

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blobs, by digest.
    pub blobs: Vec<Digest>,
    /// Disk images, by diff ID.
    pub layers: Vec<Digest>,
    /// Bytes of all that went.
    pub bytes: u64,
}

impl Plan {
    /// Bytes that would be freed.
    pub fn bytes(&self) -> u64 {
        let blobs = self.blobs.iter().chain(&self.layers).map(|(_, files)| files.bytes);
        blobs.sum::<u64>() + self.leftovers.bytes
    }

    /// How many blobs, layers and unfinished files would go.
    pub fn count(&self) -> usize {
        self.blobs.len() + self.layers.len() + self.leftovers.paths.len()
    }
}

impl Store {
    /// Decides what goes: what is in `scope`, and needed by neither an image nor
    /// what `usage` names.
    ///
    /// # Errors
    /// An image of which a document is damaged, since nobody knows what else
    /// belongs to it; then nothing may go.
    pub fn plan(&self, store: &Exclusive, scope: &Scope, usage: &Usage) -> Result<Plan> {
        match store.is_of_nothing() {
            true => Ok(Plan::default()),
            false => self.unneeded(scope, usage),
        }
    }

    /// [`plan`](Self::plan), for looking only.
    pub(super) fn unneeded(&self, scope: &Scope, usage: &Usage) -> Result<Plan> {
        let mut needed = Reach::default();
        for entry in &self.index()?.manifests {
            let reach = self.reach(entry);
            if let Some(missing) = reach.unknown {
                let image = entry.name();
                return Err(Error::Incomplete { image, missing: format!("document {missing}") });
            }
            needed.extend(reach);
        }
        let mut plan = Plan::default();
        for (digest, files) in self.stored_blobs()? {
            let wanted = match scope {
                Scope::All => true,
                Scope::Only(reach) => reach.blobs.contains(&digest),
            };
            if wanted && !needed.blobs.contains(&digest) {
                plan.blobs.push((digest, files));
            }
        }
        for (current, diff_id, files) in self.stored_layers()? {
            let wanted = match scope {
                Scope::All => true,
                Scope::Only(reach) => reach.layers.contains(&diff_id),
            };
            let kept = current && needed.layers.contains(&diff_id);
            if wanted && !kept && !usage.pins(&diff_id) {
                plan.layers.push((diff_id, files));
            }
        }
        if matches!(scope, Scope::All) {
            for ingest in [self.blob_ingest(), self.layer_ingest()] {
                for path in ingest.dead()?.unwrap_or_default() {
                    plan.leftovers.add(path);
                }
            }
        }
        Ok(plan)
    }

    /// Removes what was decided on.
    ///
    /// # Errors
    /// The first file that could not be removed; those after it were not tried.
    pub fn sweep(&self, _store: Exclusive, plan: Plan) -> Result<Freed> {
        let mut freed = Freed::default();
        for (digest, files) in plan.blobs {
            freed.bytes += files.remove()?;
            freed.blobs.push(digest);
        }
        for (diff_id, files) in plan.layers {
            freed.bytes += files.remove()?;
            freed.layers.push(diff_id);
        }
        freed.bytes += plan.leftovers.remove()?;
        Ok(freed)
    }

    /// The digests of all blobs.
    pub(super) fn blob_digests(&self) -> Result<Vec<Digest>> {
        Ok(self.stored_blobs()?.into_keys().collect())
    }

    /// Every blob that has its final name.
    fn stored_blobs(&self) -> Result<BTreeMap<Digest, Files>> {
        let mut blobs: BTreeMap<Digest, Files> = BTreeMap::new();
        let directory = self.layout().join("blobs");
        for algorithm in ["sha256", "sha512"] {
            for path in listed(&directory.join(algorithm))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if let Ok(digest) = format!("{algorithm}:{name}").parse::<Digest>() {
                    blobs.entry(digest).or_default().add(path);
                }
            }
        }
        Ok(blobs)
    }

    /// Every disk image with its facts, by diff ID, and whether it is of the
    /// format of this version. The disk image goes first.
    fn stored_layers(&self) -> Result<Vec<(bool, Digest, Files)>> {
        let mut layers = Vec::new();
        for format in listed(&self.data.join("layers"))? {
            if format.file_name().is_some_and(|name| name == "ingest") || !format.is_dir() {
                continue;
            }
            let current = format == self.layers();
            let mut of_format: BTreeMap<Digest, Files> = BTreeMap::new();
            let mut paths = listed(&format)?;
            paths.sort_by_key(|path| path.extension().is_some_and(|e| e != "img"));
            for path in paths {
                if let Some(diff_id) = diff_id_of(&path) {
                    of_format.entry(diff_id).or_default().add(path);
                }
            }
            layers.extend(of_format.into_iter().map(|(id, files)| (current, id, files)));
        }
        Ok(layers)
    }
}

impl Files {
    fn add(&mut self, path: PathBuf) {
        self.bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
        self.paths.push(path);
    }

    fn remove(self) -> Result<u64> {
        for path in &self.paths {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).at("remove", path);
                }
                _ => {}
            }
        }
        Ok(self.bytes)
    }
}

/// The layer that a file belongs to, by its name: `HEX.img` or `HEX.json`.
pub(super) fn diff_id_of(path: &Path) -> Option<Digest> {
    let known = path.extension().is_some_and(|e| e == "img" || e == "json");
    let stem = path.file_stem()?.to_str().filter(|_| known)?;
    let algorithms = ["sha256", "sha512"].into_iter();
    algorithms.filter_map(|algorithm| format!("{algorithm}:{stem}").parse().ok()).next()
}

/// The entries of a directory, which need not be there.
fn listed(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at("read", directory),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<std::io::Result<_>>().at("read", directory)
}

/// Diff IDs of disk images that something outside the store has open.
pub(super) fn pinned<'a>(paths: impl Iterator<Item = &'a Path>) -> HashSet<Digest> {
    paths.filter_map(diff_id_of).collect()
}
