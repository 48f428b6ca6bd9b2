// SPDX-License-Identifier: Apache-2.0
//! `index.json` of the store: which images there are and what they are called.
//! It is an OCI image index; fields of others survive a rewrite.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};
use crate::image::platform::Platform;
use crate::image::reference::{Reference, familiar_name};

/// The name of an image, where every tool looks for it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CREATED: &str = "org.opencontainers.image.created";
/// The image ID, so that a search by it reads no other file.
const ID: &str = "dev.mvm.image.id";
/// Bytes of its disk images.
const SIZE: &str = "dev.mvm.image.size";
/// Where it came from; it stays when the tag moves on.
const REPOSITORY: &str = "dev.mvm.image.repository";
/// How many of the lowest layers an opaque root above hides.
const HIDDEN: &str = "dev.mvm.image.hidden-layers";
/// The digest the registry gave for the name: that of the index, if there is one.
const REPO_DIGEST: &str = "dev.mvm.image.repo-digest";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    #[serde(default)]
    pub manifests: Vec<Entry>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A descriptor of an image manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What is recorded of an image beside its descriptor.
pub struct Record<'a> {
    pub media_type: &'a str,
    pub digest: &'a Digest,
    pub size: u64,
    pub platform: &'a Platform,
    /// `None` for an image that has no name.
    pub reference: Option<&'a Reference>,
    /// `None` for an image that no registry gave.
    pub repo_digest: Option<&'a Digest>,
    pub id: &'a Digest,
    pub image_bytes: u64,
    pub hidden_layers: usize,
    pub created: Option<&'a str>,
}

impl Entry {
    fn new(record: &Record<'_>) -> Self {
        let mut annotations = BTreeMap::from([
            (ID.to_owned(), record.id.to_string()),
            (SIZE.to_owned(), record.image_bytes.to_string()),
        ]);
        if let Some(reference) = record.reference {
            annotations.insert(REPOSITORY.to_owned(), reference.name());
            // An image that was asked for by digest has no tag, as with Docker.
            if reference.digest().is_none() {
                annotations.insert(REF_NAME.to_owned(), reference.to_string());
            }
        }
        if let Some(digest) = record.repo_digest {
            annotations.insert(REPO_DIGEST.to_owned(), digest.to_string());
        }
        if record.hidden_layers > 0 {
            annotations.insert(HIDDEN.to_owned(), record.hidden_layers.to_string());
        }
        if let Some(created) = record.created {
            annotations.insert(CREATED.to_owned(), created.to_owned());
        }
        Self {
            media_type: record.media_type.to_owned(),
            digest: record.digest.clone(),
            size: record.size,
            platform: Some(record.platform.clone()),
            annotations,
            rest: Map::new(),
        }
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    /// What the manifest was served as.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The name with its tag; `None` if the tag moved on or never was.
    pub fn reference(&self) -> Option<Reference> {
        self.annotation(REF_NAME)?.parse().ok()
    }

    /// The image ID. Entries without one are not ours.
    pub fn id(&self) -> Option<Digest> {
        self.annotation(ID)?.parse().ok()
    }

    /// Such as `docker.io/library/alpine`.
    pub fn repository(&self) -> Option<&str> {
        self.annotation(REPOSITORY)
    }

    /// The digest that `docker pull` prints.
    pub fn repo_digest(&self) -> Option<Digest> {
        self.annotation(REPO_DIGEST)?.parse().ok()
    }

    /// `repository@digest` as Docker shows it.
    pub fn pinned_name(&self) -> Option<String> {
        Some(format!("{}@{}", familiar_name(self.repository()?), self.repo_digest()?))
    }

    /// What to call it in a message: its name, or its digest.
    pub fn name(&self) -> String {
        match self.reference() {
            Some(reference) => reference.familiar(),
            None => self.pinned_name().unwrap_or_else(|| self.digest.to_string()),
        }
    }

    /// Bytes of the disk images.
    pub fn image_bytes(&self) -> u64 {
        self.annotation(SIZE).and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    /// How many of the lowest layers are not to be mounted.
    pub fn hidden_layers(&self) -> usize {
        self.annotation(HIDDEN).and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// When the image was built.
    pub fn created(&self) -> Option<&str> {
        self.annotation(CREATED)
    }

    /// Whether this entry is what `wanted` names. A digest outranks a tag, and
    /// may be that of the manifest or of the index it was chosen from.
    pub fn answers_to(&self, wanted: &Reference) -> bool {
        match wanted.digest() {
            Some(digest) => {
                self.repository() == Some(wanted.name().as_str())
                    && (self.digest == *digest || self.repo_digest().as_ref() == Some(digest))
            }
            None => self.annotation(REF_NAME) == Some(wanted.to_string().as_str()),
        }
    }
}

impl Index {
    fn empty() -> Self {
        let media_type = crate::image::manifest::media::OCI_IMAGE_INDEX_MEDIA_TYPE.into();
        let rest = Map::from_iter([("mediaType".to_owned(), Value::String(media_type))]);
        Self { schema_version: 2, manifests: Vec::new(), rest }
    }

    /// Reads the index; none is an empty one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::empty()),
            Err(error) => return Err(error).at("read", path),
        };
        let wrong = |detail: String| Error::Store { path: path.to_owned(), detail };
        let index: Self = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
        match index.schema_version {
            2 => Ok(index),
            other => Err(wrong(format!("schema version {other} is newer than this mvm"))),
        }
    }

    /// Adds an image, or moves the name to it: what the name stood for before
    /// stays, without a tag. Returns whether anything changed.
    pub fn record(&mut self, record: &Record<'_>) -> bool {
        let mut new = Entry::new(record);
        let before = self.manifests.clone();
        let tagged = new.annotations.contains_key(REF_NAME);
        let (name, repository) = (new.annotation(REF_NAME), new.annotation(REPOSITORY));
        if let Some(at) = self.manifests.iter().position(|entry| {
            if entry.digest == new.digest
                && (repository.is_none() || entry.annotation(REPOSITORY).is_none())
            {
                // An image without a name is listed once, and until it gets one.
                return true;
            }
            entry.digest == new.digest
                && entry.annotation(REPOSITORY) == repository
                && (entry.annotation(REF_NAME) == name
                    // A tag comes to an image that had none, and an image that has
                    // one is not listed a second time for a digest.
                    || entry.annotation(REF_NAME).is_none()
                    || !tagged)
        }) {
            let old = self.manifests.remove(at);
            if let (false, Some(name)) = (tagged, old.annotation(REF_NAME)) {
                new.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            }
            new.rest = old.rest;
            for (key, value) in old.annotations {
                new.annotations.entry(key).or_insert(value);
            }
            self.manifests.insert(at, new.clone());
        } else {
            self.manifests.push(new.clone());
        }
        if tagged {
            self.untag_others(&new);
        }
        self.manifests != before
    }

    /// Gives the name to a copy of `entry`, and takes it from others.
    pub fn tag(&mut self, entry: &Entry, name: &Reference) {
        let mut new = entry.clone();
        new.annotations.insert(REF_NAME.to_owned(), name.to_string());
        if new.repository() != Some(name.name().as_str()) {
            // No registry gave this digest for that name.
            new.annotations.remove(REPO_DIGEST);
            new.annotations.insert(REPOSITORY.to_owned(), name.name());
        }
        self.untag_others(&new);
        let there = |other: &Entry| {
            other.digest == new.digest && other.annotation(REF_NAME) == new.annotation(REF_NAME)
        };
        if !self.manifests.iter().any(there) {
            self.manifests.push(new);
        }
        self.drop_covered();
    }

    /// Drops the entries at these positions.
    pub fn drop_at(&mut self, positions: &[usize]) {
        let mut at = 0;
        self.manifests.retain(|_| {
            at += 1;
            !positions.contains(&(at - 1))
        });
    }

    /// Drops entries without a tag of images that have one in that repository,
    /// or that were never in any.
    fn drop_covered(&mut self) {
        let tagged: HashSet<(Digest, Option<String>)> = self
            .manifests
            .iter()
            .filter(|entry| entry.annotation(REF_NAME).is_some())
            .flat_map(|entry| {
                let repository = entry.repository().map(str::to_owned);
                [(entry.digest.clone(), repository), (entry.digest.clone(), None)]
            })
            .collect();
        self.manifests.retain(|entry| {
            let key = (entry.digest.clone(), entry.repository().map(str::to_owned));
            entry.annotation(REF_NAME).is_some() || entry.id().is_none() || !tagged.contains(&key)
        });
    }

    /// Takes the name of `new` from every other entry. One that is left with
    /// neither tag nor a claim of its own goes.
    fn untag_others(&mut self, new: &Entry) {
        let name = new.annotation(REF_NAME);
        for entry in &mut self.manifests {
            if entry.annotation(REF_NAME) == name && entry.digest != new.digest {
                entry.annotations.remove(REF_NAME);
            }
        }
        let tagged: Vec<Digest> = self
            .manifests
            .iter()
            .filter(|entry| entry.annotation(REF_NAME).is_some())
            .map(|entry| entry.digest.clone())
            .collect();
        let same_repository = |entry: &Entry| entry.repository() == new.repository();
        self.manifests.retain(|entry| {
            entry.annotation(REF_NAME).is_some()
                || !(same_repository(entry) && tagged.contains(&entry.digest))
        });
    }

    /// The document as it is to be written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
