// SPDX-License-Identifier: Apache-2.0
//! The images of an archive by its `manifest.json`, as `docker save` has
//! written it since Docker 1.10. It has no manifests: one is made, of which all
//! is kept as it was in the archive.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::archive::{Archive, Facts, named_digest};
use super::files::{Files, check, damaged, missing};
use crate::image::compression::Compression;
use crate::image::digest::Digest;
use crate::image::error::{Error, Result};
use crate::image::manifest::media;
use crate::image::manifest::{Blob, Document, Manifest, ManifestError};
use crate::image::pull::Limits;
use crate::image::reference::Reference;
use crate::image::registry::RawManifest;

/// Images of one archive.
const MAX_IMAGES: usize = 1000;
/// Names of all of them: the store's index is written for each.
const MAX_NAMES: usize = 2000;
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// One image.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// A manifest for an image that had none.
pub struct Made {
    pub raw: RawManifest,
    pub manifest: Manifest,
    /// Where in the archive the blobs are.
    pub names: HashMap<Digest, String>,
}

/// All images, in their order.
pub fn list(archive: &Archive, limits: &Limits) -> Result<Vec<Listed>> {
    let body = archive.read("manifest.json", limits.manifest_bytes)?;
    let body = body.ok_or_else(|| missing(archive, "manifest.json"))?;
    let listed: Vec<Listed> = serde_json::from_slice(&body)
        .map_err(|error| damaged(archive, format!("manifest.json: {error}")))?;
    if listed.len() > MAX_IMAGES {
        return Err(damaged(archive, format!("it has more than {MAX_IMAGES} images")));
    }
    if listed.iter().map(|image| image.names().len()).sum::<usize>() > MAX_NAMES {
        return Err(damaged(archive, format!("it has more than {MAX_NAMES} names")));
    }
    Ok(listed)
}

impl Listed {
    /// The names it had when it was saved.
    pub fn names(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }

    /// Whether it is what was asked for.
    pub fn answers_to(&self, choice: &str) -> bool {
        let wanted = choice.parse::<Reference>().ok();
        self.names().iter().any(|name| {
            name == choice || wanted.is_some() && wanted == name.parse::<Reference>().ok()
        })
    }

    /// Makes its manifest.
    pub fn manifest(&self, archive: &Archive, limits: &Limits) -> Result<Made> {
        let layers = self.layers.as_deref().unwrap_or_default();
        let wrong = |source| Error::Manifest { reference: archive.source_name().into(), source };
        if layers.len() > limits.layers {
            return Err(wrong(ManifestError::TooManyLayers(layers.len(), limits.layers)));
        }
        let mut names = HashMap::new();
        let mut descriptors = Vec::with_capacity(layers.len());
        for name in layers {
            let facts = find(archive, name)?;
            descriptors.push(json!({
                "mediaType": media_type(facts.compression),
                "digest": facts.blob.digest, "size": facts.blob.size,
            }));
            names.insert(facts.blob.digest, name.clone());
        }
        let config = find(archive, &self.config)?.blob;
        let body = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_IMAGE_MEDIA_TYPE,
            "config": {
                "mediaType": media::IMAGE_CONFIG_MEDIA_TYPE,
                "digest": config.digest, "size": config.size,
            },
            "layers": descriptors,
        });
        names.insert(config.digest, self.config.clone());
        let body = body.to_string().into_bytes();
        let manifest = match Document::parse(&body, None, limits.layers).map_err(wrong)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => return Err(wrong(ManifestError::Ambiguous("it is an index"))),
        };
        let digest = Digest::of(&body);
        Ok(Made {
            raw: RawManifest { body: body.into(), digest, content_type: None },
            manifest,
            names,
        })
    }
}

/// A file that must be there, and be what its name says.
fn find(archive: &Archive, name: &str) -> Result<Facts> {
    let facts = archive.facts(name)?.ok_or_else(|| missing(archive, name))?;
    if let Some(digest) = named_digest(name).or_else(|| config_digest(name)) {
        let blob = Blob { digest, size: facts.blob.size };
        check(archive, name, &blob, facts.blob.size, || facts.blob.digest.clone())?;
    }
    Ok(facts)
}

/// A configuration is called by its digest, `HEX.json`.
fn config_digest(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_suffix(".json")?).parse().ok()
}

fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => media::IMAGE_LAYER_GZIP_MEDIA_TYPE,
        Compression::Zstd => LAYER_ZSTD,
        _ => media::IMAGE_LAYER_MEDIA_TYPE,
    }
}
