// SPDX-License-Identifier: Apache-2.0
//! Whether what is stored is still what it was: documents and blobs by size and
//! digest, disk images and their facts by converting the blob once more, which
//! gives the same bytes. Nothing is trusted but the digests in the index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::layer_check::{LayerCheck, LayerFlaw};
use super::{Entry, Exclusive, Index, Store, Usage};
use crate::image::config::ConfigDocument;
use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::{Blob, Document};

/// Layers checked at a time: it is the CPU that limits.
const MAX_THREADS: usize = 4;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// An entry of the index.
    Entry,
    /// An image manifest.
    Manifest,
    /// An image configuration.
    Configuration,
    /// A compressed layer, or another blob.
    Blob,
    /// The disk image of a layer, with its facts.
    DiskImage,
}

/// In which way it is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is not there.
    Missing,
    /// It is not what it was.
    Damaged,
    /// Nobody can tell: this version makes no disk image of that blob.
    Unverified,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flaw {
    /// What is wrong.
    pub part: Part,
    /// The digest of the blob, or the diff ID of the layer.
    pub digest: Digest,
    /// In which way.
    pub state: State,
    /// How that shows, if there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The images that it belongs to.
    pub images: BTreeSet<String>,
    /// Whether it was made anew; else a pull has to fetch it.
    pub repaired: bool,
}

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    /// The images that were looked at, by name.
    pub images: BTreeSet<String>,
    /// Those of them that a registry has given, and may give again.
    #[serde(skip)]
    pub pulled: BTreeSet<String>,
    /// How many blobs were read.
    pub blobs: usize,
    /// How many disk images were compared.
    pub layers: usize,
    /// What is wrong, worst first.
    pub flaws: Vec<Flaw>,
}

/// Blob and diff ID of a layer.
type LayerKey = (Digest, Digest);
/// Layers with the sizes of their blobs, and the images that they belong to.
type Layers = BTreeMap<LayerKey, (u64, BTreeSet<String>)>;

impl Store {
    /// Verifies the images that are named, or all there are if none is. With
    /// `repair`, a disk image that is not what its blob gives is made anew.
    ///
    /// # Errors
    /// The index cannot be read, a name stands for nothing, or a disk image
    /// cannot be written for comparison. Damage is no error but a [`Flaw`].
    pub fn verify(&self, words: &[String], repair: bool) -> Result<Verified> {
        let _lease = self.lease()?;
        let index = self.index()?;
        let mut verified = Verified::default();
        let mut layers = Layers::new();
        for entry in chosen(&index, words)? {
            verified.images.insert(entry.name());
            if entry.repo_digest().is_some() {
                verified.pulled.insert(entry.name());
            }
            match self.verify_documents(entry) {
                Ok(found) => {
                    for ((blob, diff_id), size) in found {
                        let (_, images) =
                            layers.entry((blob, diff_id)).or_insert((size, BTreeSet::new()));
                        images.insert(entry.name());
                    }
                    verified.blobs += 2;
                }
                Err(flaw) => verified.flaws.push(flaw),
            }
        }
        self.verify_layers(layers, repair, &mut verified)?;
        if words.is_empty() {
            self.verify_others(&index, &mut verified)?;
        }
        verified.merge();
        Ok(verified)
    }

    /// Removes what is damaged and was not made anew, so that the next pull
    /// fetches it. What a pull replaced meanwhile is left alone; so is a disk
    /// image that a VM uses, but it is marked to be replaced.
    pub fn remove_damaged(&self, _store: Exclusive, flaws: &[Flaw], usage: &Usage) -> Result<()> {
        for flaw in flaws.iter().filter(|flaw| !flaw.repaired) {
            match flaw.part {
                Part::Entry => {}
                Part::Manifest | Part::Configuration | Part::Blob => {
                    let path = self.blob_path(&flaw.digest);
                    if path.exists() && !self.blob_matches(&flaw.digest)? {
                        std::fs::remove_file(&path).at("remove", &path)?;
                    }
                }
                // Whole and unverified is better than none.
                Part::DiskImage if self.has_layer(&flaw.digest) => {}
                Part::DiskImage => self.forget_layer(&flaw.digest, usage.pins(&flaw.digest))?,
            }
        }
        Ok(())
    }

    /// The layers of an image, by blob and diff ID with the blob's size.
    fn verify_documents(&self, entry: &Entry) -> Result<Vec<(LayerKey, u64)>, Flaw> {
        let flaw = |part, digest: &Digest, state, detail: Option<String>| Flaw {
            part,
            digest: digest.clone(),
            state,
            detail,
            images: BTreeSet::from([entry.name()]),
            repaired: false,
        };
        let read = |part, blob: &Blob| match self.read_blob(blob) {
            Ok(Some(body)) => Ok(body),
            Ok(None) if self.blob_path(&blob.digest).exists() => {
                Err(flaw(part, &blob.digest, State::Damaged, None))
            }
            Ok(None) => Err(flaw(part, &blob.digest, State::Missing, None)),
            // What the disk cannot give any more is damaged, too.
            Err(error) => Err(flaw(part, &blob.digest, State::Damaged, Some(error.to_string()))),
        };
        let wrong = |detail: String| flaw(Part::Entry, &entry.digest, State::Damaged, Some(detail));
        let manifest = Blob { digest: entry.digest.clone(), size: entry.size };
        let body = read(Part::Manifest, &manifest)?;
        let Ok(Document::Manifest(parsed)) = Document::parse(&body, None, usize::MAX) else {
            return Err(wrong("it leads to no image manifest".into()));
        };
        if entry.id().as_ref() != Some(&parsed.config.digest) {
            return Err(wrong("it has the wrong image ID".into()));
        }
        let body = read(Part::Configuration, &parsed.config)?;
        let config = ConfigDocument::parse(&body, parsed.layers.len())
            .map_err(|error| wrong(format!("its configuration {error}")))?;
        let layers = parsed.layers.into_iter().zip(config.diff_ids);
        Ok(layers.map(|(blob, diff_id)| ((blob.digest, diff_id), blob.size)).collect())
    }

    fn verify_layers(&self, layers: Layers, repair: bool, into: &mut Verified) -> Result<()> {
        let work: Vec<_> = layers.into_iter().collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let failed = Mutex::new(None);
        let worker = || {
            while let Some(((digest, diff_id), (size, images))) =
                work.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let blob = Blob { digest: digest.clone(), size: *size };
                let check = LayerCheck { store: self, blob, diff_id, repair };
                match check.run() {
                    Ok(flaws) => {
                        let flaws = flaws.into_iter().map(|flaw| (flaw, images));
                        lock(&found).extend(flaws);
                    }
                    Err(error) => {
                        lock(&failed).get_or_insert(error);
                        return;
                    }
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(MAX_THREADS).min(work.len()) {
                scope.spawn(worker);
            }
        });
        if let Some(error) = lock(&failed).take() {
            return Err(error);
        }
        into.blobs += work.len();
        into.layers += work.len();
        for (LayerFlaw { part, digest, state, detail, repaired }, images) in lock(&found).drain(..)
        {
            let images = images.clone();
            into.flaws.push(Flaw { part, digest, state, detail, images, repaired });
        }
        Ok(())
    }

    /// Blobs that the images do not have: of other tools, or of pulls that ended
    /// early. The next pull would take them for good.
    fn verify_others(&self, index: &Index, into: &mut Verified) -> Result<()> {
        let mut ours = BTreeSet::new();
        for entry in index.manifests.iter().filter(|entry| entry.id().is_some()) {
            ours.extend(self.reach(entry).blobs);
        }
        for digest in self.blob_digests()? {
            if ours.contains(&digest) {
                continue;
            }
            into.blobs += 1;
            if !self.blob_matches(&digest)? {
                into.flaws.push(Flaw {
                    part: Part::Blob,
                    digest,
                    state: State::Damaged,
                    detail: None,
                    images: BTreeSet::new(),
                    repaired: false,
                });
            }
        }
        Ok(())
    }
}

impl Verified {
    /// One flaw for each thing that is wrong, whoever needs it.
    fn merge(&mut self) {
        let mut merged: BTreeMap<(Part, Digest), Flaw> = BTreeMap::new();
        for flaw in self.flaws.drain(..) {
            let images = flaw.images.clone();
            let key = (flaw.part, flaw.digest.clone());
            merged.entry(key).or_insert(flaw).images.extend(images);
        }
        self.flaws = merged.into_values().collect();
    }
}

/// The entries to look at: ours, unless named.
fn chosen<'a>(index: &'a Index, words: &[String]) -> Result<Vec<&'a Entry>> {
    if words.is_empty() {
        return Ok(index.manifests.iter().filter(|entry| entry.id().is_some()).collect());
    }
    let mut entries = Vec::new();
    for word in words {
        let (_, found) = index.search(word)?;
        entries.extend(found.first().and_then(|at| index.manifests.get(*at)));
    }
    match entries.is_empty() {
        true => Err(Error::NotLocal(words.join(" "), None)),
        false => Ok(entries),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
