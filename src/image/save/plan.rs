// SPDX-License-Identifier: Apache-2.0
//! What is to be in an archive, before a byte of it is written: every document,
//! and every blob by its name, once.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};

use crate::image::manifest::media;
use serde_json::{Value, json};

use super::{SaveFormat, Saved, incomplete};
use crate::image::compression::decompressed;
use crate::image::config::ConfigDocument;
use crate::image::digest::{Digest, Hasher};
use crate::image::error::Result;
use crate::image::manifest::{Blob, Document, Manifest};
use crate::image::pull::Limits;
use crate::image::reference::Reference;
use crate::image::source::blob_name as name;
use crate::image::store::{Image, Store};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const REF_NAME: &str = "org.opencontainers.image.ref.name";
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Files in the order of the archive: what tells of the others comes first.
pub struct Plan {
    pub directories: BTreeSet<String>,
    pub files: Vec<(String, Content)>,
}

pub enum Content {
    Bytes(Vec<u8>),
    /// A blob as it is.
    Blob(Part),
    /// A layer, decompressed: so many bytes.
    Tar(Part, u64),
}

/// A blob of the store on its way into the archive.
pub struct Part {
    pub blob: Blob,
    /// What its bytes, or those of the tar in it, must hash to.
    expected: Digest,
    /// For messages.
    image: String,
}

/// One image of the archive.
struct Item<'a> {
    image: &'a Image,
    names: Vec<&'a Reference>,
    manifest: Manifest,
    manifest_blob: Blob,
    diff_ids: Vec<Digest>,
}

impl Plan {
    pub fn new(
        store: &Store,
        images: &[Saved],
        format: SaveFormat,
        limits: &Limits,
    ) -> Result<Self> {
        let mut items: Vec<Item<'_>> = Vec::new();
        for saved in images {
            let digest = &saved.image.manifest_digest;
            let at = match items.iter().position(|item| item.image.manifest_digest == *digest) {
                Some(at) => at,
                None => {
                    items.push(Item::read(store, &saved.image)?);
                    items.len() - 1
                }
            };
            let names = &mut items[at].names;
            names
                .extend(saved.name.iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
        match format {
            SaveFormat::Docker => Self::docker(store, &items, limits),
            format => Self::layout(store, &items, format),
        }
    }

    fn layout(store: &Store, items: &[Item<'_>], format: SaveFormat) -> Result<Self> {
        let mut files = vec![
            ("oci-layout".to_owned(), Content::Bytes(LAYOUT.to_vec())),
            ("index.json".to_owned(), Content::Bytes(index(items))),
        ];
        if format == SaveFormat::Both {
            let entries = items.iter().map(|item| {
                let layers: Vec<String> =
                    item.manifest.layers.iter().map(|layer| name(&layer.digest)).collect();
                item.docker_entry(name(&item.manifest.config.digest), layers)
            });
            let entries: Vec<Value> = entries.collect();
            files.push(("manifest.json".to_owned(), Content::Bytes(to_bytes(&entries))));
        }
        let mut blobs = BTreeMap::new();
        for item in items {
            let manifest = std::iter::once(&item.manifest_blob);
            let all = manifest.chain([&item.manifest.config]).chain(&item.manifest.layers);
            for blob in all {
                let part = item.part(store, blob, blob.digest.clone())?;
                blobs.insert(name(&blob.digest), Content::Blob(part));
            }
        }
        let mut directories = BTreeSet::new();
        for path in blobs.keys() {
            let parents = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            directories.extend(parents);
        }
        files.extend(blobs);
        Ok(Self { directories, files })
    }

    fn docker(store: &Store, items: &[Item<'_>], limits: &Limits) -> Result<Self> {
        let mut blobs = BTreeMap::new();
        let mut entries = Vec::new();
        for item in items {
            let config = format!("{}.json", item.manifest.config.digest.hex());
            let mut layers = Vec::with_capacity(item.diff_ids.len());
            for (blob, diff_id) in item.manifest.layers.iter().zip(&item.diff_ids) {
                let name = format!("{}.tar", diff_id.hex());
                layers.push(name.clone());
                if let Entry::Vacant(new) = blobs.entry(name) {
                    let part = item.part(store, blob, diff_id.clone())?;
                    // The size is written before the content.
                    let mut tar = part.tar(store, limits)?;
                    let size = io::copy(&mut tar, &mut io::sink())
                        .map_err(|_| incomplete(&part.image, format!("layer {}", blob.digest)))?;
                    new.insert(Content::Tar(part, size));
                }
            }
            let blob = &item.manifest.config;
            let part = item.part(store, blob, blob.digest.clone())?;
            blobs.insert(config.clone(), Content::Blob(part));
            entries.push(item.docker_entry(config, layers));
        }
        let mut files = vec![("manifest.json".to_owned(), Content::Bytes(to_bytes(&entries)))];
        files.extend(blobs);
        Ok(Self { directories: BTreeSet::new(), files })
    }
}

impl<'a> Item<'a> {
    fn read(store: &Store, image: &'a Image) -> Result<Self> {
        let shown = shown(image);
        let digest = &image.manifest_digest;
        let lost = |what: &str, digest: &Digest| incomplete(&shown, format!("{what} {digest}"));
        let size = fs::metadata(store.blob_path(digest)).map_or(0, |metadata| metadata.len());
        let manifest_blob = Blob { digest: digest.clone(), size };
        let body = store.read_blob(&manifest_blob)?.ok_or_else(|| lost("manifest", digest))?;
        let Ok(Document::Manifest(manifest)) = Document::parse(&body, None, usize::MAX) else {
            return Err(lost("manifest", digest));
        };
        let id = &manifest.config.digest;
        let body = store.read_blob(&manifest.config)?.ok_or_else(|| lost("configuration", id))?;
        let config = ConfigDocument::parse(&body, manifest.layers.len())
            .map_err(|_| lost("configuration", id))?;
        let diff_ids = config.diff_ids;
        Ok(Self { image, names: Vec::new(), manifest, manifest_blob, diff_ids })
    }

    /// A blob that is there, as far as its size shows.
    fn part(&self, store: &Store, blob: &Blob, expected: Digest) -> Result<Part> {
        let image = shown(self.image);
        match store.has_blob(blob) {
            true => Ok(Part { blob: blob.clone(), expected, image }),
            false => Err(incomplete(&image, format!("blob {}", blob.digest))),
        }
    }

    fn docker_entry(&self, config: String, layers: Vec<String>) -> Value {
        let tags: Vec<String> = self.names.iter().map(|name| name.familiar()).collect();
        let tags = if tags.is_empty() { Value::Null } else { json!(tags) };
        json!({"Config": config, "RepoTags": tags, "Layers": layers})
    }
}

impl Part {
    /// The layer's tar, limited.
    pub fn tar(&self, store: &Store, limits: &Limits) -> Result<impl Read + use<>> {
        let lost = || incomplete(&self.image, format!("layer {}", self.blob.digest));
        let file = File::open(store.blob_path(&self.blob.digest)).map_err(|_| lost())?;
        let stream = BufReader::with_capacity(128 << 10, file);
        let tar = decompressed(stream).ok().and_then(Result::ok).ok_or_else(lost)?;
        Ok(tar.take(limits.layer_bytes))
    }

    pub fn verified<R: Read>(&self, inner: R) -> Verified<R> {
        Verified { inner, hasher: Hasher::new(self.expected.algorithm()), failed: false }
    }

    /// Whether what was written is what it should be. If reading failed, that
    /// is why the archive did.
    pub fn conclude<R: Read>(&self, verified: Verified<R>, written: Result<()>) -> Result<()> {
        let lost = || incomplete(&self.image, format!("blob {}", self.blob.digest));
        if verified.failed {
            return Err(lost());
        }
        written?;
        match verified.hasher.finish() == self.expected {
            true => Ok(()),
            false => Err(lost()),
        }
    }
}

/// Hashes what is read.
pub struct Verified<R> {
    inner: R,
    hasher: Hasher,
    failed: bool,
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer).inspect_err(|_| self.failed = true)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// `index.json`: an entry for each name, or for an image without one.
fn index(items: &[Item<'_>]) -> Vec<u8> {
    let mut manifests = Vec::new();
    for item in items {
        let mut entry = json!({
            "mediaType": item.manifest.media_type,
            "digest": item.manifest_blob.digest,
            "size": item.manifest_blob.size,
            "platform": item.image.platform,
        });
        for name in &item.names {
            let name = name.to_string();
            entry["annotations"] = json!({CONTAINERD_NAME: name, REF_NAME: name});
            manifests.push(entry.clone());
        }
        if item.names.is_empty() {
            manifests.push(entry);
        }
    }
    let media_type = media::OCI_IMAGE_INDEX_MEDIA_TYPE;
    to_bytes(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}))
}

fn to_bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn shown(image: &Image) -> String {
    image.reference.as_ref().map_or_else(|| image.id.to_string(), Reference::familiar)
}
