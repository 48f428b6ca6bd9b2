// SPDX-License-Identifier: Apache-2.0
//! The client side of the distribution specification. Nothing a registry sends
//! is read without a limit; what it sends is verified here (manifests) or by
//! who receives it (blobs).

mod blob;
mod certs;
mod challenge;
mod conf;
mod endpoint;
mod failure;
mod http;
mod login;
mod ping;
mod proxy;
mod retry;
mod settings;
mod upload;

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use super::digest::Digest;
use super::error::{Error, Result};
use super::manifest::{ACCEPTED, Blob};
use super::reference::Reference;
pub use blob::BlobReader;
pub use conf::user_directory;
use endpoint::Endpoint;
pub use failure::printable;
pub use http::Timeouts;
use login::Source;
pub use ping::verify_login;
pub use retry::Retries;
use retry::{Backoff, Failed};
use settings::Place;
pub use settings::{Registries, Table};
pub use upload::{Pushed, Uploads};

/// How registries are to be talked to.
#[derive(Clone, Debug)]
pub struct Access {
    /// Files with credentials, the first first; see `auth::files`.
    pub credentials: Vec<PathBuf>,
    /// What the user wants of each registry.
    pub registries: Registries,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retries: Retries,
}

/// The repository of one reference. Clones share its connections and logins.
#[derive(Clone)]
pub struct Registry {
    reference: Reference,
    /// Mirrors in their order, then the registry itself.
    places: Vec<Endpoint>,
    timeouts: Timeouts,
    retries: Retries,
}

/// A manifest as it was served, its digest verified or computed.
pub struct RawManifest {
    /// The exact bytes.
    pub body: Bytes,
    /// Their digest.
    pub digest: Digest,
    /// The `Content-Type` of the answer.
    pub content_type: Option<String>,
}

/// Where the download of a blob begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// The first byte that is missing.
    pub offset: u64,
    /// The first place to be asked.
    pub place: usize,
}

impl Registry {
    /// For pulling. Connects to nothing yet.
    pub fn open(reference: &Reference, access: &Access) -> Result<Self> {
        let endpoint = |place: Place| {
            let scopes = vec![format!("repository:{}:pull", place.repository)];
            let source = Source::Files(access.credentials.clone());
            Endpoint::new(place, source, scopes, Some(reference), access.timeouts)
        };
        let places = access.registries.places(reference)?.into_iter().map(endpoint);
        let (places, reference) = (places.collect::<Result<_>>()?, reference.clone());
        Ok(Self { reference, places, timeouts: access.timeouts, retries: access.retries })
    }

    /// Gets the manifest or index that the reference names.
    pub async fn manifest(&self, limit: u64) -> Result<RawManifest> {
        self.get_manifest(&self.named(), self.reference.digest(), limit).await
    }

    /// Gets a manifest that an index lists.
    pub async fn manifest_of(&self, blob: &Blob, limit: u64) -> Result<RawManifest> {
        if blob.size > limit {
            return Err(Error::TooLarge { what: format!("manifest {}", blob.digest), limit });
        }
        let digest = blob.digest.to_string();
        let raw = self.get_manifest(&digest, Some(&blob.digest), limit).await?;
        if raw.body.len() as u64 != blob.size {
            let what = format!("manifest {}", blob.digest.short());
            let (registry, got) = (self.host(), raw.body.len().to_string());
            return Err(Error::WrongSize { registry, what, expected: blob.size, got });
        }
        Ok(raw)
    }

    /// Asks for the digest that the reference stands for now, and for nothing
    /// more. `None` if the registry does not tell.
    pub async fn current_digest(&self) -> Option<Digest> {
        let named = self.named();
        let impatient = Self { retries: Retries { attempts: 1, ..self.retries }, ..self.clone() };
        let asking = impatient.each_place(self.reference.digest().is_some(), async |place| {
            let path = format!("{}/manifests/{named}", place.place().repository);
            let answer = place.send(Method::HEAD, &path, accept()).await?;
            match answer.response.status() {
                StatusCode::OK => {
                    Ok(answer.response.headers().get("docker-content-digest").cloned())
                }
                _ => Err(place.refused(answer).await),
            }
        });
        // What is wrong shows when the manifest is fetched.
        asking.await.ok()??.to_str().ok()?.parse().ok()
    }

    /// Tag or digest, as they are asked for.
    fn named(&self) -> String {
        match self.reference.digest() {
            Some(digest) => digest.to_string(),
            None => self.reference.tag().unwrap_or(super::DEFAULT_TAG).to_owned(),
        }
    }

    async fn get_manifest(
        &self,
        what: &str,
        expected: Option<&Digest>,
        limit: u64,
    ) -> Result<RawManifest> {
        self.each_place(expected.is_some(), async |place| {
            let path = format!("{}/manifests/{what}", place.place().repository);
            let answer = place.send(Method::GET, &path, accept()).await?;
            if answer.response.status() != StatusCode::OK {
                return Err(place.refused(answer).await);
            }
            let headers = answer.response.headers().clone();
            if let Some(encoding) = http::is_encoded(&headers) {
                let detail = format!("with the encoding {encoding}, which was not asked for");
                return Err(place.wire().protocol(detail).into());
            }
            let what = format!("the manifest of {}", self.reference);
            let body = place.body(answer.response, limit).await?;
            let body = body.ok_or(Error::TooLarge { what, limit })?;
            let registry = place.wire().registry();
            if blob::is_web_page(&headers) && body.trim_ascii_start().first() == Some(&b'<') {
                return Err(Error::WebPage { registry: registry.to_owned() }.into());
            }
            Ok(verified(registry, body, &headers, expected)?)
        })
        .await
    }

    /// Asks each place until one has an answer; what counts in the end is the
    /// registry's own.
    async fn each_place<T>(
        &self,
        by_digest: bool,
        ask: impl AsyncFn(&Endpoint) -> Result<T, Failed>,
    ) -> Result<T> {
        let (own, mirrors) = self.places.split_last().ok_or(Error::Interrupted)?;
        for mirror in mirrors {
            if mirror.place().mirror.is_some_and(|used| !used.covers(by_digest)) {
                continue;
            }
            match ask(mirror).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => tracing::info!("{}; asking the next", failed.error),
            }
        }
        let mut backoff = Backoff::new(self.retries);
        loop {
            match ask(own).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => backoff.wait(failed).await?,
            }
        }
    }

    /// Starts the download of a blob, called `what` in messages.
    pub fn blob(&self, blob: &Blob, what: &'static str, start: Start) -> BlobReader {
        BlobReader::new(self.clone(), blob, what, start)
    }

    /// A whole small blob, verified. Wrong bytes of a mirror are asked for once
    /// more, elsewhere.
    pub async fn small_blob(&self, blob: &Blob, what: &'static str) -> Result<Vec<u8>> {
        let reading = self.whole_blob(blob, what);
        match tokio::time::timeout(self.timeouts.document(), reading).await {
            Ok(read) => read,
            Err(_) => Err(Error::Timeout(self.host())),
        }
    }

    async fn whole_blob(&self, blob: &Blob, what: &'static str) -> Result<Vec<u8>> {
        let mut start = Start::default();
        loop {
            let mut reader = self.blob(blob, what, start);
            let mut body = Vec::new();
            while let Some(chunk) = reader.next().await? {
                body.extend_from_slice(&chunk);
            }
            if blob.digest.matches(&body) {
                return Ok(body);
            }
            match reader.next_place() {
                Some(place) => start.place = place,
                None => {
                    let actual = Digest::of(&body);
                    return Err(wrong_digest(reader.host(), what, &blob.digest, &actual));
                }
            }
        }
    }

    /// The registry's name for messages.
    pub fn host(&self) -> String {
        self.reference.registry().to_owned()
    }
}

fn accept() -> HeaderMap {
    let accepted = HeaderValue::try_from(ACCEPTED.join(", "));
    accepted.into_iter().map(|value| (header::ACCEPT, value)).collect()
}

/// A manifest whose digest is the one that was asked for, and the one that the
/// registry itself gives.
fn verified(
    registry: &str,
    body: Bytes,
    headers: &HeaderMap,
    expected: Option<&Digest>,
) -> Result<RawManifest> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
    for named in expected.into_iter().chain(&announced) {
        if !named.matches(&body) {
            return Err(wrong_digest(registry, "manifest", named, &Digest::of(&body)));
        }
    }
    let digest = expected.cloned().unwrap_or_else(|| Digest::of(&body));
    Ok(RawManifest { body, digest, content_type: text("content-type").map(str::to_owned) })
}

/// The error for bytes that are not what their digest names.
pub fn wrong_digest(registry: &str, what: &str, expected: &Digest, actual: &Digest) -> Error {
    Error::WrongDigest {
        registry: registry.to_owned(),
        what: what.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }
}
