// SPDX-License-Identifier: Apache-2.0
//! What an entry of the index needs to stay whole: the blobs and layers that it
//! leads to. Entries of other tools are followed as far as their JSON goes.

use std::collections::HashSet;
use std::fs;
use std::io::Read;

use serde_json::Value;

use super::{Entry, Store};
use crate::image::digest::Digest;

/// Longest manifest or configuration that is read (a pull's limits are less).
const MAX_DOCUMENT: u64 = 16 << 20;
/// Indexes may lead to indexes, but not for ever.
const MAX_DEPTH: usize = 8;

/// Blobs by digest and layers by diff ID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub blobs: HashSet<Digest>,
    pub layers: HashSet<Digest>,
    /// A document that is needed to know the rest and cannot be read.
    pub unknown: Option<Digest>,
}

impl Reach {
    /// Whether it leads to nothing.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty() && self.layers.is_empty()
    }

    /// Adds what another needs.
    pub fn extend(&mut self, other: Self) {
        self.blobs.extend(other.blobs);
        self.layers.extend(other.layers);
        self.unknown = self.unknown.take().or(other.unknown);
    }
}

impl Store {
    /// Everything that belongs to an entry. Documents are verified, so that a
    /// damaged one is not mistaken for one that leads to little.
    pub(super) fn reach(&self, entry: &Entry) -> Reach {
        let mut reach = Reach::default();
        self.follow(&entry.digest, MAX_DEPTH, true, &mut reach);
        reach
    }

    /// Follows a manifest or an index. Of what an index offers, only some need
    /// be here (`required`: what cannot be missing).
    fn follow(&self, digest: &Digest, depth: usize, required: bool, reach: &mut Reach) {
        if !reach.blobs.insert(digest.clone()) {
            return;
        }
        let Some(document) = self.document(digest) else {
            if required || self.blob_path(digest).exists() {
                reach.unknown.get_or_insert_with(|| digest.clone());
            }
            return;
        };
        let digest_of = |descriptor: &Value| descriptor["digest"].as_str()?.parse::<Digest>().ok();
        let list = |name: &str| document[name].as_array().into_iter().flatten();
        for key in ["layers", "blobs"] {
            reach.blobs.extend(list(key).filter_map(digest_of));
        }
        if let Some(subject) = digest_of(&document["subject"]) {
            reach.blobs.insert(subject);
        }
        for child in list("manifests").filter_map(digest_of) {
            match depth.checked_sub(1) {
                Some(depth) => self.follow(&child, depth, false, reach),
                None => drop(reach.unknown.get_or_insert(child)),
            }
        }
        if let Some(config) = digest_of(&document["config"]) {
            self.follow_config(config, reach);
        }
    }

    fn follow_config(&self, digest: Digest, reach: &mut Reach) {
        match self.document(&digest) {
            Some(config) => {
                let diff_ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
                let parsed = diff_ids.filter_map(|id| id.as_str()?.parse::<Digest>().ok());
                reach.layers.extend(parsed);
            }
            None => drop(reach.unknown.get_or_insert_with(|| digest.clone())),
        }
        reach.blobs.insert(digest);
    }

    /// A small blob, if it is there and what its name says. One that is no JSON
    /// is of another tool, and leads nowhere.
    pub(super) fn document(&self, digest: &Digest) -> Option<Value> {
        let mut body = Vec::new();
        let file = fs::File::open(self.blob_path(digest)).ok()?;
        file.take(MAX_DOCUMENT).read_to_end(&mut body).ok()?;
        if !digest.matches(&body) {
            return None;
        }
        Some(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}
