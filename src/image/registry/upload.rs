// SPDX-License-Identifier: Apache-2.0
//! The pushing half of the distribution specification ("Pushing blobs",
//! "Pushing manifests"): what the registry has is not sent again.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc;

use super::endpoint::Endpoint;
use super::http::Answer;
use super::login::Source;
use super::retry::{Backoff, Failed, Retries};
use super::{Access, wrong_digest};
use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::reference::Reference;

/// Bytes of a blob read at a time, and how many such pieces wait to be sent.
const PIECE: usize = 128 << 10;
const PIECES: usize = 4;

/// How a blob came to be in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Existed,
    /// It was in this repository of the same registry.
    Mounted(String),
    /// It was sent.
    Sent,
}

/// The repository of one reference, for pushing. Clones share its connections
/// and its login.
#[derive(Clone)]
pub struct Uploads {
    endpoint: Endpoint,
    retries: Retries,
}

impl Uploads {
    /// For pushing to the repository of `reference`, with blobs of `sources`,
    /// other repositories there. Mirrors are passed over. Connects to nothing yet.
    pub fn open(reference: &Reference, sources: &[String], access: &Access) -> Result<Self> {
        let place = access.registries.places(reference)?.pop().ok_or(Error::Interrupted)?;
        let mut scopes = vec![format!("repository:{}:pull,push", place.repository)];
        scopes.extend(sources.iter().map(|source| format!("repository:{source}:pull")));
        let source = Source::Files(access.credentials.clone());
        let endpoint = Endpoint::new(place, source, scopes, Some(reference), access.timeouts)?;
        Ok(Self { endpoint, retries: access.retries })
    }

    /// Sees to it that the registry has a blob, of which `file` holds the bytes.
    /// `told` hears how many were sent.
    pub async fn blob(
        &self,
        blob: &Blob,
        file: &Path,
        source: Option<&str>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed> {
        let mut backoff = Backoff::new(self.retries);
        loop {
            match self.try_blob(blob, file, source, told).await {
                Ok(pushed) => return Ok(pushed),
                Err(failed) => backoff.wait(failed).await?,
            }
        }
    }

    async fn try_blob(
        &self,
        blob: &Blob,
        file: &Path,
        source: Option<&str>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<Pushed, Failed> {
        let repository = &self.endpoint.place().repository;
        let path = format!("{repository}/blobs/{}", blob.digest);
        let answer = self.endpoint.send(Method::HEAD, &path, HeaderMap::new()).await?;
        match answer.response.status() {
            StatusCode::OK => return Ok(Pushed::Existed),
            StatusCode::NOT_FOUND => {}
            _ => return Err(self.endpoint.refused(answer).await),
        }
        let mount = source.map(|source| format!("?mount={}&from={source}", blob.digest));
        let path = format!("{repository}/blobs/uploads/{}", mount.unwrap_or_default());
        let nothing =
            HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("0"))]);
        let answer = self.endpoint.send(Method::POST, &path, nothing).await?;
        match (answer.response.status(), source) {
            (StatusCode::CREATED, Some(source)) => return Ok(Pushed::Mounted(source.to_owned())),
            (StatusCode::ACCEPTED, _) => {}
            _ => return Err(self.refused(answer).await),
        }
        let mut url = self.location(&answer.response)?;
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let kind = "application/octet-stream";
        let response =
            self.put(url, kind, blob.size, told, |sent| body(file, blob.size, sent)).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Pushed::Sent),
            _ => Err(self.refused(Answer { response, redirected: false }).await),
        }
    }

    /// Gives a manifest its name: a tag or a digest.
    pub async fn manifest(&self, name: &str, media_type: &str, manifest: &[u8]) -> Result<()> {
        let mut backoff = Backoff::new(self.retries);
        loop {
            match self.try_manifest(name, media_type, manifest).await {
                Ok(()) => return Ok(()),
                Err(failed) => backoff.wait(failed).await?,
            }
        }
    }

    async fn try_manifest(&self, name: &str, kind: &str, manifest: &[u8]) -> Result<(), Failed> {
        let path = format!("{}/manifests/{name}", self.endpoint.place().repository);
        let url = self.endpoint.url(&path).await?;
        let length = manifest.len() as u64;
        let whole = || Ok(Body::from(manifest.to_vec()));
        let response = self.put(url, kind, length, &|_| {}, |_| whole()).await?;
        if response.status() != StatusCode::CREATED {
            return Err(self.refused(Answer { response, redirected: false }).await);
        }
        let told = response.headers().get("docker-content-digest");
        let told = told.and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        match told.filter(|told| !told.matches(manifest)) {
            Some(told) => {
                let registry = self.endpoint.wire().registry();
                Err(wrong_digest(registry, "manifest", &Digest::of(manifest), &told).into())
            }
            None => Ok(()),
        }
    }

    /// Sends a body, once more if the login has expired. Silence on the way is
    /// the end of it.
    async fn put(
        &self,
        url: Url,
        kind: &str,
        length: u64,
        told: &(dyn Fn(u64) + Sync),
        body: impl Fn(Arc<AtomicU64>) -> Result<Body>,
    ) -> Result<Response, Failed> {
        let wire = self.endpoint.wire();
        let mut pass = self.endpoint.pass().await;
        loop {
            let sent = Arc::new(AtomicU64::new(0));
            let own = self.endpoint.is_own(&url);
            let header = pass.header.clone().filter(|_| own);
            let body = body(sent.clone())?;
            let sending = wire.upload(Method::PUT, url.clone(), header, kind, body, length);
            let response = tokio::select! {
                response = sending => response?,
                () = silence(&sent, wire.timeouts().idle, told) => {
                    return Err(Failed::for_now(Error::Timeout(wire.registry().to_owned())));
                }
            };
            // Another host has no right to ask for a login.
            if !own {
                return Ok(response);
            }
            match self.endpoint.new_pass(&response, &pass).await? {
                Some(new) => pass = new,
                None => return Ok(response),
            }
        }
    }

    /// Where an upload goes on (distribution-spec: relative or absolute).
    fn location(&self, response: &Response) -> Result<Url, Failed> {
        let wire = self.endpoint.wire();
        let wrong = || wire.protocol("an upload without a usable Location");
        let text = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let from = response.url();
        let mut url = text.and_then(|text| from.join(text).ok()).ok_or_else(wrong)?;
        // Registries behind a proxy that ends TLS do not know of it.
        if from.scheme() == "https" && url.scheme() == "http" && url.host() == from.host() {
            let _ = url.set_port(from.port());
            let _ = url.set_scheme("https");
        }
        let safe = url.scheme() == "https" || (url.scheme() == "http" && wire.plain);
        if !safe || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong().into());
        }
        Ok(url)
    }

    /// A registry that knows no such repository lets nobody make it.
    async fn refused(&self, answer: Answer) -> Failed {
        let failed = self.endpoint.refused(answer).await;
        match failed.error {
            Error::NotFound(reference) => {
                let (authenticated, reason) = (true, Some("no such repository".into()));
                Failed::finally(Error::Unauthorized { reference, authenticated, reason })
            }
            error => Failed { error, again: failed.again },
        }
    }
}

/// Ends when nothing was sent for `idle`; and for four times that at the end,
/// when the registry has everything and hashes it.
async fn silence(sent: &AtomicU64, idle: std::time::Duration, told: &(dyn Fn(u64) + Sync)) {
    const TICKS: u32 = 20;
    let (mut last, mut silent) = (0, 0);
    while silent < 4 * TICKS {
        tokio::time::sleep(idle / TICKS).await;
        let now = sent.load(Ordering::Relaxed);
        silent = if now == last { silent + 1 } else { 0 };
        last = now;
        told(now);
    }
}

/// The bytes of a file as they are sent, read by a thread.
fn body(file: &Path, length: u64, sent: Arc<AtomicU64>) -> Result<Body> {
    let mut file = File::open(file).at("read", file)?.take(length);
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(PIECES);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece);
            let ended = !matches!(read, Ok(1..));
            let piece = read.map(|read| {
                piece.truncate(read);
                Bytes::from(piece)
            });
            // Whoever no longer listens knows why.
            if matches!(&piece, Ok(piece) if piece.is_empty())
                || sender.blocking_send(piece).is_err()
                || ended
            {
                return;
            }
        }
    });
    let pieces = futures::stream::unfold((receiver, sent), async |(mut receiver, sent)| {
        let piece = receiver.recv().await?;
        if let Ok(piece) = &piece {
            sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Some((piece, (receiver, sent)))
    });
    Ok(Body::wrap_stream(pieces))
}
