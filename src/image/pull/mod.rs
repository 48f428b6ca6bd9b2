// SPDX-License-Identifier: Apache-2.0
//! A pull: reference → manifest → configuration → layers → one entry in the
//! index. Nothing is visible in the store before the last step.

mod convert;
mod download;
mod layers;
mod storing;

use std::path::PathBuf;
use std::sync::Arc;

use super::auth::{self, Credentials, docker_config_file};
use super::config::ConfigDocument;
use super::digest::Digest;
use super::error::{Error, IoContext, Result};
use super::layer;
use super::manifest::{Blob, Document, Manifest, ManifestError, Offer};
use super::platform::Platform;
use super::progress::{LayerEvent, Progress, Quiet};
use super::reference::Reference;
use super::registry::{self, Access, RawManifest, Registries, Registry, Retries, Timeouts};
use super::store::{Image, Record, Store, uppermost};
#[cfg(fuzzing)]
pub(super) use convert::decompressed;
pub(super) use convert::{Conversion, LocalBlob};
pub(super) use layers::{LocalBlobs, Origin};

/// How often a pull begins anew when its image was removed at its end.
const REMOVED_MEANWHILE: usize = 5;

/// When to go to the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// If the store has no complete image of that name and platform.
    #[default]
    Missing,
    /// In any case: the tag may have moved. What did not change is kept.
    Always,
    /// Not at all.
    Never,
}

/// What an image may ask for before it is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a manifest or index. Registries stop at 4 MiB as well.
    pub manifest_bytes: u64,
    /// Bytes of a configuration.
    pub config_bytes: u64,
    /// Layers; 127 is Docker's own limit.
    pub layers: usize,
    /// Bytes of one uncompressed layer.
    pub layer_bytes: u64,
    /// For the conversion of one layer.
    pub conversion: layer::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            config_bytes: 8 << 20,
            layers: 127,
            layer_bytes: 64 << 30,
            conversion: layer::Limits::default(),
        }
    }
}

impl Limits {
    /// For what was accepted before.
    pub(super) fn none() -> Self {
        let conversion =
            layer::Limits { max_entries: u64::MAX, max_bytes: u64::MAX, ..Default::default() };
        Self { layer_bytes: u64::MAX, conversion, ..Self::default() }
    }
}

/// How to pull.
#[derive(Clone)]
pub struct PullOptions {
    /// The platform; `None` takes what is in the store, else this machine's.
    pub platform: Option<Platform>,
    /// When to go to the registry.
    pub policy: PullPolicy,
    /// Who is told.
    pub progress: Arc<dyn Progress>,
    /// What is refused.
    pub limits: Limits,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retries: Retries,
    /// What the user wants of each registry.
    pub registries: Registries,
    /// Docker's configuration file, which holds credentials. Without it there
    /// are none, those of other tools (`auth::files`) included.
    pub docker_config: Option<PathBuf>,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            platform: None,
            policy: PullPolicy::default(),
            progress: Arc::new(Quiet),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            registries: Registries::default(),
            docker_config: docker_config_file(),
        }
    }
}

impl PullOptions {
    /// How to talk to registries.
    pub(super) fn access(&self) -> Access {
        let docker = self.docker_config.as_deref();
        Access {
            credentials: docker.map(auth::files).unwrap_or_default(),
            registries: self.registries.clone(),
            timeouts: self.timeouts,
            retries: self.retries,
        }
    }
}

impl Store {
    /// Gets an image, from the store or its registry as `options.policy` says.
    ///
    /// Dropped before its end, or killed, it leaves the store as it was, but for
    /// whole layers, which the next pull will not fetch again.
    pub async fn pull(&self, reference: &Reference, options: &PullOptions) -> Result<Image> {
        // What is found there, or comes, is not collected before it has a name.
        let _lease = self.lease()?;
        match (options.policy, self.find(reference)) {
            (PullPolicy::Never, found) => return suitable(found?, reference, options),
            (PullPolicy::Missing, Ok(image)) => {
                if let Ok(image) = suitable(image, reference, options) {
                    return Ok(image);
                }
            }
            (PullPolicy::Missing, Err(Error::NotLocal(..) | Error::Incomplete { .. })) => {}
            (PullPolicy::Missing, Err(error)) => return Err(error),
            (PullPolicy::Always, _) => {}
        }
        let mut pulled = self.pull_from_registry(reference, options).await;
        // Another process may take the name away as soon as it is given; what
        // came is still there, as long as the lease lasts.
        for _ in 0..REMOVED_MEANWHILE {
            if matches!(pulled, Err(Error::NotLocal(..))) {
                pulled = self.pull_from_registry(reference, options).await;
            }
        }
        if pulled.is_err() {
            options.progress.fail();
        }
        pulled
    }

    async fn pull_from_registry(
        &self,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<Image> {
        self.prepare()?;
        // The first pull of all made the place for it just now.
        let _lease = self.lease()?;
        let registry = Registry::open(reference, &options.access())?;
        if let Some(image) = self.unchanged(&registry, reference, options).await? {
            return Ok(image);
        }
        let chosen = choose(self, &registry, reference, options).await?;
        options.progress.start(reference);
        let (config_body, config) =
            self.configuration(&registry, reference, &chosen.manifest, &options.limits).await?;
        let ready = Ready {
            label: &reference.to_string(),
            references: std::slice::from_ref(reference),
            raw: &chosen.raw,
            manifest: &chosen.manifest,
            platform: chosen.platform,
            repo_digest: Some(&chosen.repo_digest),
            config: &config,
            config_body: &config_body,
        };
        let new = self.complete(ready, &Origin::Registry(Box::new(registry)), options).await?;
        options.progress.finish(reference, &chosen.repo_digest, new);
        self.find(reference)
    }

    /// Gets the layers of an image and records it under all of its names, or
    /// under none. Returns whether the index changed.
    pub(super) async fn complete(
        &self,
        image: Ready<'_>,
        origin: &Origin,
        options: &PullOptions,
    ) -> Result<bool> {
        let config = image.config;
        let platform = match image.platform {
            Some(platform) => platform,
            // Without an index nobody has compared it with what is wanted yet.
            None => {
                let wanted = options.platform.clone().unwrap_or_else(Platform::host);
                if !config.platform.serves(&wanted) {
                    let available = vec![config.platform.clone()];
                    return Err(Error::NoPlatform {
                        reference: image.label.into(),
                        wanted: Box::new(wanted),
                        available,
                    });
                }
                config.platform.clone()
            }
        };
        layers::fetch(self, origin, &image.manifest.layers, &config.diff_ids, options).await?;
        self.put_blob(&image.manifest.config.digest, image.config_body)?;
        self.put_blob(&image.raw.digest, &image.raw.body)?;
        let size = |id: &Digest| std::fs::metadata(self.layer_path(id)).map_or(0, |m| m.len());
        let hidden_layers = self.hidden_layers(&config.diff_ids)?;
        let image_bytes = uppermost(&config.diff_ids[hidden_layers..]).into_iter().map(size).sum();
        let mut new = false;
        let names = image.references.iter().map(Some);
        let unnamed = image.references.is_empty().then_some(None);
        for reference in names.chain(unnamed) {
            new |= self.commit(&Record {
                media_type: image.manifest.media_type,
                digest: &image.raw.digest,
                size: image.raw.body.len() as u64,
                platform: &platform,
                reference,
                repo_digest: image.repo_digest,
                id: &image.manifest.config.digest,
                hidden_layers,
                image_bytes,
                created: config.created.as_deref(),
            })?;
        }
        Ok(new)
    }

    /// The image of the store, if it is whole, what is wanted, and what the
    /// registry has under that name. Asks for no more than a digest.
    async fn unchanged(
        &self,
        registry: &Registry,
        reference: &Reference,
        options: &PullOptions,
    ) -> Result<Option<Image>> {
        let wanted = options.platform.clone().unwrap_or_else(Platform::host);
        let Ok(image) = self.find(reference) else { return Ok(None) };
        let Some(digest) = image.repo_digest.clone() else { return Ok(None) };
        let blobs = self.blobs_of(&image)?;
        if !image.platform.serves(&wanted) || !blobs.iter().all(|blob| self.has_blob(blob)) {
            return Ok(None);
        }
        if registry.current_digest().await != Some(digest.clone()) {
            return Ok(None);
        }
        options.progress.start(reference);
        for blob in &blobs {
            options.progress.layer(&blob.digest, LayerEvent::Exists);
        }
        options.progress.finish(reference, &digest, false);
        Ok(Some(image))
    }

    /// The layers of an image as they are transferred.
    fn blobs_of(&self, image: &Image) -> Result<Vec<Blob>> {
        let path = self.blob_path(&image.manifest_digest);
        let body = std::fs::read(&path).at("read", &path)?;
        match Document::parse(&body, None, usize::MAX) {
            Ok(Document::Manifest(manifest)) => Ok(manifest.layers),
            _ => Ok(Vec::new()),
        }
    }

    /// The configuration, from the store if it is there.
    async fn configuration(
        &self,
        registry: &Registry,
        reference: &Reference,
        manifest: &Manifest,
        limits: &Limits,
    ) -> Result<(Vec<u8>, ConfigDocument)> {
        let blob = &manifest.config;
        if blob.size > limits.config_bytes {
            let what = format!("the configuration of {reference}");
            return Err(Error::TooLarge { what, limit: limits.config_bytes });
        }
        let body = match self.read_blob(blob)? {
            Some(body) => body,
            None => registry.small_blob(blob, "configuration").await?,
        };
        let config = ConfigDocument::parse(&body, manifest.layers.len())
            .map_err(|source| Error::Config { reference: reference.to_string().into(), source })?;
        Ok((body, config))
    }
}

/// Whether a registry takes a user name and a password. Keeps nothing.
pub async fn verify_login(
    registry: &str,
    credentials: Credentials,
    options: &PullOptions,
) -> Result<()> {
    registry::verify_login(registry, credentials, &options.access()).await
}

/// Whether the image is for the platform that was asked for, if one was.
fn suitable(image: Image, reference: &Reference, options: &PullOptions) -> Result<Image> {
    match &options.platform {
        Some(wanted) if !image.platform.serves(wanted) => Err(Error::NoPlatform {
            reference: reference.to_string().into(),
            wanted: Box::new(wanted.clone()),
            available: vec![image.platform],
        }),
        _ => Ok(image),
    }
}

/// An image whose documents are read and verified; the layers are to come.
pub(super) struct Ready<'a> {
    /// What it is called in messages.
    pub label: &'a str,
    /// The names it gets, if any.
    pub references: &'a [Reference],
    pub raw: &'a RawManifest,
    pub manifest: &'a Manifest,
    /// What the index said, if there was one.
    pub platform: Option<Platform>,
    /// The digest by which a registry knows the name.
    pub repo_digest: Option<&'a Digest>,
    pub config: &'a ConfigDocument,
    pub config_body: &'a [u8],
}

/// The manifest that a pull is about.
struct Chosen {
    raw: RawManifest,
    manifest: Manifest,
    /// What the index said, if there was one.
    platform: Option<Platform>,
    repo_digest: Digest,
}

async fn choose(
    store: &Store,
    registry: &Registry,
    reference: &Reference,
    options: &PullOptions,
) -> Result<Chosen> {
    let limits = &options.limits;
    let wrong = |source| Error::Manifest { reference: reference.to_string().into(), source };
    let parse = |raw: &RawManifest| {
        Document::parse(&raw.body, raw.content_type.as_deref(), limits.layers).map_err(wrong)
    };
    let raw = registry.manifest(limits.manifest_bytes).await?;
    let repo_digest = raw.digest.clone();
    let offers = match parse(&raw)? {
        Document::Manifest(manifest) => {
            return Ok(Chosen { raw, manifest, platform: None, repo_digest });
        }
        Document::Index(offers) => offers,
    };
    let wanted = options.platform.clone().unwrap_or_else(Platform::host);
    let Some(at) = Platform::choose(&wanted, offers.iter().map(|offer| offer.platform.as_ref()))
    else {
        let available = available(offers);
        return Err(Error::NoPlatform {
            reference: reference.to_string().into(),
            wanted: Box::new(wanted),
            available,
        });
    };
    let offer = &offers[at];
    // A tag that did not move costs no more than the question whether it did.
    let raw = match store.read_blob(&offer.manifest)? {
        Some(body) => {
            let digest = offer.manifest.digest.clone();
            RawManifest { body: body.into(), digest, content_type: None }
        }
        None => registry.manifest_of(&offer.manifest, limits.manifest_bytes).await?,
    };
    match parse(&raw)? {
        Document::Manifest(manifest) => {
            Ok(Chosen { raw, manifest, platform: offer.platform.clone(), repo_digest })
        }
        Document::Index(_) => Err(wrong(ManifestError::Ambiguous("an index leads to another"))),
    }
}

/// The platforms to tell the user; `unknown` ones are attestations.
pub(super) fn available(offers: Vec<Offer>) -> Vec<Platform> {
    let mut platforms = Vec::new();
    for platform in offers.into_iter().filter_map(|offer| offer.platform) {
        if platform.os != "unknown" && !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    // A hostile index lists thousands.
    platforms.truncate(32);
    platforms
}
