// SPDX-License-Identifier: Apache-2.0
//! A root directory as an image of one layer. Reading it depends on the system
//! (the files beside this one); here the tar becomes a blob of the store.

#[cfg(unix)]
mod tree;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::image::manifest::media;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::docker::{LAYER_ZSTD, Made};
use super::files::{Files, check, missing};
use crate::image::digest::{Algorithm, Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::{Blob, Document, ManifestError};
use crate::image::platform::Platform;
use crate::image::progress::Progress;
use crate::image::pull::Limits;
use crate::image::registry::RawManifest;
use crate::image::store::{Store, Unfinished};

/// The level of zstd: it costs little more than writing the tar as it is.
const LEVEL: i32 = 1;
/// As every base image has it.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The names of the image's two blobs, which lie nowhere.
const LAYER: &str = "the layer";
const CONFIG: &str = "the configuration";

/// A root directory, packed.
pub struct Rootfs {
    source_name: String,
    layer: Blob,
    content: Mutex<Option<Unfinished>>,
    config: Vec<u8>,
}

/// What goes into the layer.
#[cfg_attr(windows, allow(dead_code))]
struct Packing<'a> {
    source_name: &'a str,
    root: &'a Path,
    limits: &'a Limits,
    progress: &'a dyn Progress,
    /// Left out: the store, which would hold a part of itself.
    store: PathBuf,
}

#[cfg_attr(windows, allow(dead_code))]
impl Packing<'_> {
    fn limit(&self, got: u64, max: u64, what: &'static str) -> Result<()> {
        let source_name = self.source_name.to_owned();
        match got > max {
            true => Err(SourceError::Limit { source_name, what, max }.into()),
            false => Ok(()),
        }
    }

    /// What cannot be in a layer.
    fn unfit(&self, path: &Path, what: &str) -> Error {
        let detail = format!("{} {what}", path.display());
        SourceError::Unfit { source_name: self.source_name.to_owned(), detail }.into()
    }
}

impl Rootfs {
    /// Packs `root` into the ingest of `store`. The same tree gives the same
    /// image ID.
    pub fn pack(
        root: &Path,
        source_name: String,
        store: &Store,
        platform: &Platform,
        limits: &Limits,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let unfinished = store.blob_ingest().create()?;
        let (source, store) = (source_name.as_str(), store.directory().into());
        let packing = Packing { source_name: source, root, limits, progress, store };
        let mut blob = Hashing::new(unfinished.file());
        let mut tar =
            Hashing::new(zstd::Encoder::new(&mut blob, LEVEL).at("write", unfinished.path())?);
        let packed = system::pack(&packing, &mut tar, unfinished.path());
        progress.read();
        packed?;
        let (diff_id, _, encoder) = tar.finish();
        encoder.finish().at("write", unfinished.path())?;
        let (digest, size, _) = blob.finish();
        let config = json!({
            "architecture": platform.architecture, "os": platform.os, "variant": platform.variant,
            "config": {"Env": [PATH]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created_by": "mvm dir:"}],
        });
        Ok(Self {
            source_name,
            layer: Blob { digest, size },
            content: Mutex::new(Some(unfinished)),
            config: without_nulls(config),
        })
    }

    /// Its manifest.
    pub fn manifest(&self) -> Result<Made> {
        let config = Digest::of(&self.config);
        let body = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_IMAGE_MEDIA_TYPE,
            "config": {
                "mediaType": media::IMAGE_CONFIG_MEDIA_TYPE,
                "digest": config, "size": self.config.len(),
            },
            "layers": [{
                "mediaType": LAYER_ZSTD, "digest": self.layer.digest, "size": self.layer.size,
            }],
        });
        let body = body.to_string().into_bytes();
        let wrong =
            |source| Error::Manifest { reference: self.source_name.as_str().into(), source };
        let Document::Manifest(manifest) = Document::parse(&body, None, 1).map_err(wrong)? else {
            return Err(wrong(ManifestError::Ambiguous("it is an index")));
        };
        let names = HashMap::from([
            (config, CONFIG.to_owned()),
            (self.layer.digest.clone(), LAYER.to_owned()),
        ]);
        let digest = Digest::of(&body);
        let raw = RawManifest { body: body.into(), digest, content_type: None };
        Ok(Made { raw, manifest, names })
    }
}

impl Files for Rootfs {
    fn source_name(&self) -> &str {
        &self.source_name
    }

    fn read(&self, name: &str, _: u64) -> Result<Option<Vec<u8>>> {
        Ok((name == CONFIG).then(|| self.config.clone()))
    }

    fn put(&self, name: &str, blob: &Blob, store: &Store, _: &CancellationToken) -> Result<()> {
        check(self, name, blob, self.layer.size, || self.layer.digest.clone())?;
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner).take();
        match content {
            Some(unfinished) => unfinished.persist(&store.blob_path(&blob.digest)),
            None if store.has_blob(blob) => Ok(()),
            None => Err(missing(self, name)),
        }
    }
}

/// A variant that is none has no place in a configuration.
fn without_nulls(mut config: serde_json::Value) -> Vec<u8> {
    if let Some(fields) = config.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    config.to_string().into_bytes()
}

/// Counts and hashes what is written.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new(Algorithm::Sha256), written: 0 }
    }

    fn finish(self) -> (Digest, u64, W) {
        (self.hasher.finish(), self.written, self.inner)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
