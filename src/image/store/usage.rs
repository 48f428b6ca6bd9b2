// SPDX-License-Identifier: Apache-2.0
//! How much of the disk the images take, and how much of that would come back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use super::reach::Reach;
use super::{ImageSummary, Scope, Store, Usage, allocated_bytes};
use crate::image::digest::Digest;
use crate::image::error::Result;

/// What the store takes. Bytes are those on the disk, each file counted once.
#[derive(Clone, Debug, Default)]
pub struct DiskUsage {
    /// Each image once, in the order of the index.
    pub images: Vec<ImageUsage>,
    /// All that belongs to images.
    pub bytes: u64,
    /// All but what images in use need.
    pub reclaimable: u64,
    /// Disk images of images that were removed, which VMs still use.
    pub vm_layer_bytes: u64,
    /// How many blobs, layers and unfinished files belong to no image.
    pub leftovers: usize,
    /// Their bytes.
    pub leftover_bytes: u64,
    /// Empty disks of VMs that are copied for each new one.
    pub templates: usize,
    /// Their bytes.
    pub template_bytes: u64,
}

/// What one image takes.
#[derive(Clone, Debug)]
pub struct ImageUsage {
    /// The image, by each of its names.
    pub names: Vec<ImageSummary>,
    /// Bytes of all that belongs to it.
    pub bytes: u64,
    /// Bytes that other images need, too.
    pub shared: u64,
    /// VMs that use it.
    pub users: Vec<String>,
}

impl Store {
    /// Measures. `usage` says what is in use.
    pub fn disk_usage(&self, usage: &Usage) -> Result<DiskUsage> {
        let _lease = self.lease()?;
        let index = self.index()?;
        let mut names: BTreeMap<Digest, Vec<ImageSummary>> = BTreeMap::new();
        let mut order: Vec<(Digest, Reach)> = Vec::new();
        for entry in &index.manifests {
            let Some(image) = ImageSummary::of(entry) else { continue };
            let of_image = names.entry(image.id.clone()).or_default();
            match of_image.is_empty() {
                true => order.push((image.id.clone(), self.reach(entry))),
                // The same image may have been compressed in several ways.
                false if of_image.iter().all(|i| i.manifest_digest != image.manifest_digest) => {
                    let reach = self.reach(entry);
                    let known = order.iter_mut().find(|(id, _)| *id == image.id);
                    known.into_iter().for_each(|(_, all)| all.extend(reach.clone()));
                }
                false => {}
            }
            of_image.push(image);
        }
        let mut sizes = Sizes::default();
        let files: Vec<Vec<PathBuf>> = order.iter().map(|(_, reach)| self.files(reach)).collect();
        files.iter().for_each(|files| sizes.add(files));
        let mut total = DiskUsage { bytes: sizes.total(), ..DiskUsage::default() };
        let mut active = HashSet::new();
        for ((id, _), files) in order.into_iter().zip(&files) {
            let users = usage.users_of(&id).to_vec();
            if !users.is_empty() {
                active.extend(files);
            }
            let (bytes, shared) = sizes.of(files);
            let names = names.remove(&id).unwrap_or_default();
            total.images.push(ImageUsage { names, bytes, shared, users });
        }
        let orphans = usage.layers().map(|id| self.layer_path(id));
        total.vm_layer_bytes =
            orphans.filter(|path| !sizes.0.contains_key(path)).map(|p| allocated_bytes(&p)).sum();
        let in_use: u64 = active.iter().map(|path| sizes.size(path)).sum();
        total.reclaimable = total.bytes.saturating_sub(in_use);
        // With a damaged image nobody can say, and nothing would be removed.
        let plan = self.unneeded(&Scope::All, usage).unwrap_or_default();
        (total.leftovers, total.leftover_bytes) = (plan.count(), plan.bytes());
        let templates = self.data.join("uppers");
        total.templates = std::fs::read_dir(&templates).map_or(0, Iterator::count);
        total.template_bytes = allocated_bytes(&templates);
        Ok(total)
    }

    /// What is wrong with the store itself: sentences.
    pub fn layout_problems(&self) -> Result<Vec<String>> {
        let index = self.index()?;
        let mut problems = Vec::new();
        if self.index_path().exists() {
            let layout = self.layout().join("oci-layout");
            let version = std::fs::read(&layout).ok();
            let version: Option<serde_json::Value> =
                version.and_then(|text| serde_json::from_slice(&text).ok());
            if version.is_none_or(|version| version["imageLayoutVersion"] != "1.0.0") {
                problems.push(format!("{} is missing or damaged", layout.display()));
            }
        }
        let mut seen = HashSet::new();
        for name in index.manifests.iter().filter_map(|entry| entry.reference()) {
            if !seen.insert(name.clone()) {
                problems.push(format!("{} stands for several images", name.familiar()));
            }
        }
        // Of other tools' images, only what must be there is known.
        for entry in index.manifests.iter().filter(|entry| entry.id().is_none()) {
            if let Some(missing) = self.reach(entry).unknown {
                problems.push(format!("{}: document {missing} is missing", entry.name()));
            }
        }
        Ok(problems)
    }

    fn files(&self, reach: &Reach) -> Vec<PathBuf> {
        let blobs = reach.blobs.iter().map(|digest| self.blob_path(digest));
        let layers = reach.layers.iter().flat_map(|id| [self.layer_path(id), self.facts_path(id)]);
        blobs.chain(layers).collect()
    }
}

/// Files with their bytes and how many images need them.
#[derive(Default)]
struct Sizes(HashMap<PathBuf, (u64, usize)>);

impl Sizes {
    fn add(&mut self, files: &[PathBuf]) {
        for path in files {
            let known = self.0.entry(path.clone());
            known.or_insert_with(|| (allocated_bytes(path), 0)).1 += 1;
        }
    }

    fn size(&self, path: &PathBuf) -> u64 {
        self.0.get(path).map_or(0, |(bytes, _)| *bytes)
    }

    fn total(&self) -> u64 {
        self.0.values().map(|(bytes, _)| bytes).sum()
    }

    /// Bytes of these files, and of those that others need, too.
    fn of(&self, files: &[PathBuf]) -> (u64, u64) {
        let sizes = files.iter().filter_map(|path| self.0.get(path));
        sizes.fold((0, 0), |(all, shared), (bytes, images)| {
            (all + bytes, if *images > 1 { shared + bytes } else { shared })
        })
    }
}
