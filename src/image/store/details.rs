// SPDX-License-Identifier: Apache-2.0
//! All that is known of one image, for people and programs to look at.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Store;
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::manifest::Blob;

/// An image as it is stored.
#[derive(Clone, Debug)]
pub struct Details {
    /// The image ID.
    pub id: Digest,
    /// Its names, as Docker shows them.
    pub tags: Vec<String>,
    /// Its names with the digest that the registry gave for them.
    pub digests: Vec<String>,
    /// The manifest.
    pub manifest: Digest,
    /// The manifest's size in bytes.
    pub manifest_bytes: u64,
    /// The manifest's media type.
    pub media_type: String,
    /// The whole configuration document, as it was built.
    pub config: Value,
    /// Bytes of its disk images, each counted once.
    pub size: u64,
    /// Bottom first.
    pub layers: Vec<LayerDetails>,
}

/// A layer as it is stored.
#[derive(Clone, Debug)]
pub struct LayerDetails {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the compressed blob.
    pub blob: Option<Digest>,
    /// The blob's size in bytes.
    pub blob_bytes: u64,
    /// The disk image.
    pub path: PathBuf,
    /// The disk image's size in bytes; 0 if it is missing.
    pub bytes: u64,
}

impl Store {
    /// Looks an image up, as [`resolve`](Self::resolve) does, and reads what is
    /// stored of it.
    pub fn details(&self, word: &str) -> Result<Details> {
        let _lease = self.lease()?;
        let index = self.index()?;
        let (_, found) = index.search(word)?;
        let entry = found.first().and_then(|at| index.manifests.get(*at));
        let entry = entry.ok_or_else(|| index.not_local(word))?;
        let id = entry.id().ok_or_else(|| index.not_local(word))?;
        let incomplete = |what: &str, digest: &Digest| Error::Incomplete {
            image: word.to_owned(),
            missing: format!("{what} {digest}"),
        };
        let manifest =
            self.document(&entry.digest).ok_or_else(|| incomplete("manifest", &entry.digest))?;
        let config = self.document(&id).ok_or_else(|| incomplete("configuration", &id))?;
        let same: Vec<_> =
            index.manifests.iter().filter(|other| other.id().as_ref() == Some(&id)).collect();
        let mut digests: Vec<String> = Vec::new();
        for name in same.iter().filter_map(|entry| entry.pinned_name()) {
            if !digests.contains(&name) {
                digests.push(name);
            }
        }
        let layers = self.layer_details(&manifest, &config);
        Ok(Details {
            tags: same.iter().filter_map(|entry| Some(entry.reference()?.familiar())).collect(),
            digests,
            manifest: entry.digest.clone(),
            manifest_bytes: entry.size,
            media_type: entry.media_type().to_owned(),
            size: entry.image_bytes(),
            config,
            id,
            layers,
        })
    }

    /// The labels of the image with this manifest; none if it is damaged.
    pub fn labels(&self, manifest: &Digest) -> BTreeMap<String, String> {
        let config = self.document(manifest).and_then(|manifest| {
            let digest = manifest["config"]["digest"].as_str()?.parse().ok()?;
            self.document(&digest)
        });
        let labels = config.as_ref().and_then(|config| config["config"]["Labels"].as_object());
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        labels.into_iter().flatten().filter_map(text).collect()
    }

    fn layer_details(&self, manifest: &Value, config: &Value) -> Vec<LayerDetails> {
        let blobs: Vec<Option<Blob>> =
            manifest["layers"].as_array().into_iter().flatten().map(blob).collect();
        let ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        let ids = ids.filter_map(|id| id.as_str()?.parse::<Digest>().ok());
        ids.enumerate()
            .map(|(at, diff_id)| {
                let blob = blobs.get(at).cloned().flatten();
                let path = self.layer_path(&diff_id);
                LayerDetails {
                    bytes: fs::metadata(&path).map_or(0, |metadata| metadata.len()),
                    blob_bytes: blob.as_ref().map_or(0, |blob| blob.size),
                    blob: blob.map(|blob| blob.digest),
                    diff_id,
                    path,
                }
            })
            .collect()
    }
}

fn blob(descriptor: &Value) -> Option<Blob> {
    let digest = descriptor["digest"].as_str()?.parse().ok()?;
    Some(Blob { digest, size: descriptor["size"].as_u64()? })
}
