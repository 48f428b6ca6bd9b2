// SPDX-License-Identifier: Apache-2.0
//! A push: the blobs of an image, then its manifest under its tag. What was
//! pulled as one platform of several is pushed as that platform.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};

use super::digest::Digest;
use super::error::{Error, Result};
use super::manifest::{Blob, Document, Manifest};
use super::pull::PullOptions;
use super::reference::{DEFAULT_TAG, Reference};
use super::registry::{Pushed, Uploads};
use super::store::Store;

/// Blobs on their way at once, as many as a pull's.
const CONCURRENT: usize = 3;

/// What happens to a blob of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// So many of its bytes were sent.
    Sending {
        /// Bytes so far.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is in the registry.
    Done(Pushed),
}

/// What was pushed.
#[derive(Clone, Debug)]
pub struct PushOutcome {
    /// The tag that now stands for it.
    pub tag: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

impl Store {
    /// Pushes the image `reference` under that name.
    pub async fn push(&self, reference: &Reference, options: &PullOptions) -> Result<PushOutcome> {
        let pushed = self.push_to_registry(reference, options).await;
        if pushed.is_err() {
            options.progress.fail();
        }
        pushed
    }

    async fn push_to_registry(
        &self,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<PushOutcome> {
        let image = self.find(reference)?;
        let incomplete =
            |missing: String| Error::Incomplete { image: reference.familiar(), missing };
        let (manifest, body) = self
            .manifest(&image.manifest_digest)
            .ok_or_else(|| incomplete(format!("manifest {}", image.manifest_digest)))?;
        let mut blobs = blobs(&manifest);
        let mut seen = HashSet::new();
        blobs.retain(|blob| seen.insert(blob.digest.clone()));
        if let Some(missing) = blobs.iter().find(|blob| !self.has_blob(blob)) {
            return Err(incomplete(format!("blob {}", missing.digest)));
        }
        let sources = self.sources(reference)?;
        let source = |blob: &Blob| sources.get(&blob.digest).map(String::as_str);
        let mut named: Vec<String> = blobs.iter().filter_map(source).map(str::to_owned).collect();
        named.sort();
        named.dedup();
        let told = |digest: &Digest, event| options.progress.push(digest, &event);
        let uploads = Uploads::open(reference, &named, &options.access())?;
        let pushing = blobs.iter().map(|blob| {
            let (uploads, source, told) = (&uploads, source(blob), &told);
            async move {
                let (digest, total) = (&blob.digest, blob.size);
                let sending = |current| told(digest, PushEvent::Sending { current, total });
                let path = self.blob_path(digest);
                let pushed = uploads.blob(blob, &path, source, &sending).await?;
                told(digest, PushEvent::Done(pushed));
                Ok::<(), Error>(())
            }
        });
        futures::stream::iter(pushing).buffer_unordered(CONCURRENT).try_collect::<()>().await?;
        let tag = reference.tag().unwrap_or(DEFAULT_TAG).to_owned();
        uploads.manifest(&tag, manifest.media_type, &body).await?;
        Ok(PushOutcome { tag, digest: image.manifest_digest, size: body.len() as u64 })
    }

    fn manifest(&self, digest: &Digest) -> Option<(Manifest, Vec<u8>)> {
        let body = std::fs::read(self.blob_path(digest)).ok()?;
        match Document::parse(&body, None, usize::MAX) {
            Ok(Document::Manifest(manifest)) if digest.matches(&body) => Some((manifest, body)),
            _ => None,
        }
    }

    /// Which other repository of the same registry has a blob, as far as the
    /// store knows.
    fn sources(&self, reference: &Reference) -> Result<HashMap<Digest, String>> {
        let mut sources = HashMap::new();
        for image in self.images()? {
            let Some(Ok(from)) = image.repository.map(|name| name.parse::<Reference>()) else {
                continue;
            };
            if from.registry() != reference.registry()
                || from.repository() == reference.repository()
            {
                continue;
            }
            if let Some((manifest, _)) = self.manifest(&image.manifest_digest) {
                for blob in blobs(&manifest) {
                    sources.entry(blob.digest).or_insert_with(|| from.repository().to_owned());
                }
            }
        }
        Ok(sources)
    }
}

/// The layers, and last the configuration.
fn blobs(manifest: &Manifest) -> Vec<Blob> {
    manifest.layers.iter().chain([&manifest.config]).cloned().collect()
}
