// SPDX-License-Identifier: Apache-2.0
//! The images of an OCI layout, by its `index.json` (OCI image-spec,
//! image-layout.md, "index.json file"), and the way from there to a manifest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::files::{Files, blob_name, damaged, missing, read_blob};
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::manifest::{Blob, Document, Manifest, ManifestError, Offer};
use crate::image::platform::Platform;
use crate::image::pull::{Limits, available};
use crate::image::reference::Reference;
use crate::image::registry::RawManifest;

/// Entries of an index: each is compared with all others.
const MAX_ENTRIES: usize = 10_000;
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, where `docker save` and containerd put it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// What `index.json` has under one name.
pub struct Listed {
    /// Its annotations: by each of them it can be asked for.
    pub names: Vec<String>,
    /// The full name, if one of them is such.
    pub reference: Option<Reference>,
    offers: Vec<Offer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIndex {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    manifests: Vec<RawEntry>,
}

#[derive(Deserialize)]
struct RawEntry {
    digest: Digest,
    size: u64,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLayout {
    image_layout_version: String,
}

/// All images, in the order of the index.
pub fn list(files: &dyn Files, limits: &Limits) -> Result<Vec<Listed>> {
    let json = |name: &str, error: serde_json::Error| damaged(files, format!("{name}: {error}"));
    if let Some(body) = files.read("oci-layout", limits.manifest_bytes)? {
        let layout: RawLayout = serde_json::from_slice(&body).map_err(|e| json("oci-layout", e))?;
        if !layout.image_layout_version.starts_with("1.") {
            return Err(damaged(files, "oci-layout has a version that is not 1"));
        }
    }
    let body = files.read("index.json", limits.manifest_bytes)?;
    let body = body.ok_or_else(|| missing(files, "index.json"))?;
    let index: RawIndex = serde_json::from_slice(&body).map_err(|e| json("index.json", e))?;
    if !matches!(index.schema_version, 0 | 2) {
        return Err(damaged(files, "index.json has a schema version that is not 2"));
    }
    if index.manifests.len() > MAX_ENTRIES {
        return Err(damaged(files, format!("index.json has more than {MAX_ENTRIES} entries")));
    }
    let mut listed: Vec<Listed> = Vec::new();
    for entry in index.manifests {
        let new = Listed::new(entry);
        match listed.iter_mut().find(|old| old.is_same_image(&new)) {
            Some(old) => old.offers.extend(new.offers),
            None => listed.push(new),
        }
    }
    Ok(listed)
}

impl Listed {
    fn new(entry: RawEntry) -> Self {
        let annotation = |key| entry.annotations.get(key).filter(|name| !name.is_empty()).cloned();
        let (full, short) = (annotation(CONTAINERD_NAME), annotation(REF_NAME));
        // A bare word is a tag; what it is a tag of nobody said.
        let is_full = |name: &&String| name.contains([':', '/']);
        let reference = full.as_ref().or_else(|| short.as_ref().filter(is_full));
        let platform = entry.platform.as_ref().map(Platform::normalized);
        let manifest = Blob { digest: entry.digest, size: entry.size };
        Self {
            reference: reference.and_then(|name| name.parse().ok()),
            names: full.into_iter().chain(short).collect(),
            offers: vec![Offer { manifest, platform }],
        }
    }

    /// Entries of one name are one image. So are some without any, if each is
    /// for another platform.
    fn is_same_image(&self, other: &Self) -> bool {
        let others = |offer: &Offer| {
            offer.platform.is_some()
                && other.offers.iter().all(|o| o.platform.is_some() && o.platform != offer.platform)
        };
        self.names == other.names && (!self.names.is_empty() || self.offers.iter().all(others))
    }

    /// Whether it is what was asked for.
    pub fn answers_to(&self, choice: &str) -> bool {
        self.names.iter().any(|name| name == choice)
            || self.reference.is_some() && self.reference == choice.parse().ok()
    }

    /// The manifest for `wanted`, verified, and the platform that was chosen by.
    pub fn manifest(
        &self,
        files: &dyn Files,
        wanted: &Platform,
        limits: &Limits,
    ) -> Result<(RawManifest, Manifest, Option<Platform>)> {
        let label = files.source_name();
        let wrong = |source| Error::Manifest { reference: label.into(), source };
        let choose = |offers: &[Offer]| {
            Platform::choose(wanted, offers.iter().map(|offer| offer.platform.as_ref()))
                .and_then(|at| offers.get(at).cloned())
                .ok_or_else(|| Error::NoPlatform {
                    reference: label.into(),
                    wanted: Box::new(wanted.clone()),
                    available: available(offers.to_vec()),
                })
        };
        // The one that there is says in its configuration what it is for.
        let first = match &self.offers[..] {
            [only] => Offer { platform: None, ..only.clone() },
            several => choose(several)?,
        };
        let (raw, document) = document(files, &first.manifest, limits)?;
        let offers = match document {
            Document::Manifest(manifest) => return Ok((raw, manifest, first.platform)),
            Document::Index(offers) => offers,
        };
        let second = choose(&offers)?;
        match self::document(files, &second.manifest, limits)? {
            (raw, Document::Manifest(manifest)) => Ok((raw, manifest, second.platform)),
            _ => Err(wrong(ManifestError::Ambiguous("an index leads to another"))),
        }
    }
}

fn document(files: &dyn Files, blob: &Blob, limits: &Limits) -> Result<(RawManifest, Document)> {
    let body = read_blob(files, &blob_name(&blob.digest), blob, limits.manifest_bytes)?;
    let document = Document::parse(&body, None, limits.layers)
        .map_err(|source| Error::Manifest { reference: files.source_name().into(), source })?;
    let raw = RawManifest { body: body.into(), digest: blob.digest.clone(), content_type: None };
    Ok((raw, document))
}
