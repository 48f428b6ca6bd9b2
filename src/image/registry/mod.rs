// SPDX-License-Identifier: Apache-2.0
//! The client side of the distribution specification, for pulling. `oci-client`
//! authenticates and streams blobs; what it leaves open is closed here and in
//! `pull`: manifests have a size limit, every blob is counted and hashed.

mod failure;

use std::sync::Once;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use oci_client::RegistryOperation;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::DigestError;
use oci_client::secrets::RegistryAuth;
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap, HeaderValue};

use super::auth::Credentials;
use super::digest::Digest;
use super::error::{Error, Result};
use super::manifest::{ACCEPTED, Blob};
use super::reference::Reference;
use failure::{ended, find, http_error, message, oci_error, printable};

/// As many redirects as a browser of the careful kind follows.
const MAX_REDIRECTS: usize = 10;
/// An error's text is read up to here; the rest is not worth the memory.
const MAX_ERROR_BODY: u64 = 64 << 10;
const USER_AGENT: &str = concat!("mvm/", env!("CARGO_PKG_VERSION"));

/// How long to wait for a registry.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the TCP and TLS handshakes.
    pub connect: Duration,
    /// For the next byte of an answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), idle: Duration::from_secs(60) }
    }
}

/// A connection to the repository of one reference. Clones share it.
#[derive(Clone)]
pub struct Registry {
    reference: Reference,
    target: oci_client::Reference,
    client: Client,
    /// Fetches manifests only: `oci-client` would read one of any size into memory.
    http: reqwest::Client,
    authorization: Option<HeaderValue>,
    authenticated: bool,
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

impl Registry {
    /// Connects, and authenticates if the registry asks for it.
    pub async fn connect(
        reference: &Reference,
        credentials: Option<Credentials>,
        timeouts: Timeouts,
    ) -> Result<Self> {
        install_crypto();
        let loopback = reference.is_loopback();
        let target = oci_client::Reference::with_tag(
            reference.registry().to_owned(),
            reference.repository().to_owned(),
            reference.tag().unwrap_or(super::DEFAULT_TAG).to_owned(),
        );
        let host = target.resolve_registry().to_owned();
        let mut config = ClientConfig {
            protocol: ClientProtocol::Https,
            connect_timeout: Some(timeouts.connect),
            read_timeout: Some(timeouts.idle),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.idle)
            .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS));
        if loopback {
            config.protocol = ClientProtocol::HttpsExcept(vec![host]);
            // This machine is never reached through a proxy. `oci-client` has no
            // switch for that: a proxy from which everything is exempt is one.
            config.http_proxy = Some("http://127.0.0.1:9".into());
            config.no_proxy = Some("*,0.0.0.0/0,::/0".into());
            http = http.no_proxy();
        }
        let authenticated = credentials.is_some();
        let auth = match &credentials {
            Some(c) => RegistryAuth::Basic(c.username.clone(), c.password.clone()),
            None => RegistryAuth::Anonymous,
        };
        let mut registry = Self {
            client: Client::try_from(config).map_err(|e| oci_error(reference, authenticated, e))?,
            http: http.build().map_err(|e| http_error(reference, &e))?,
            reference: reference.clone(),
            target,
            authorization: None,
            authenticated,
        };
        registry.authorization = registry.authenticate(&auth, timeouts).await?;
        Ok(registry)
    }

    async fn authenticate(
        &self,
        auth: &RegistryAuth,
        timeouts: Timeouts,
    ) -> Result<Option<HeaderValue>> {
        let request = self.client.auth(&self.target, auth, RegistryOperation::Pull);
        // A registry that trickles its answer must not hold us for ever.
        let token = tokio::time::timeout(timeouts.connect + timeouts.idle, request)
            .await
            .map_err(|_| Error::Timeout(self.host()))?
            .map_err(|error| oci_error(&self.reference, self.authenticated, error))?;
        let value = match (token, auth) {
            (Some(token), _) => format!("Bearer {token}"),
            (None, RegistryAuth::Basic(username, password)) => {
                use base64::Engine as _;
                let pair = format!("{username}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            (None, _) => return Ok(None),
        };
        // `oci-client` would panic on a token that is no header value.
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| self.protocol("the login with a token that cannot be used"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// Gets the manifest or index that the reference names.
    pub async fn manifest(&self, limit: u64) -> Result<RawManifest> {
        match self.reference.digest() {
            Some(digest) => self.get_manifest(&digest.to_string(), Some(digest), limit).await,
            None => {
                let tag = self.reference.tag().unwrap_or(super::DEFAULT_TAG);
                self.get_manifest(tag, None, limit).await
            }
        }
    }

    /// Gets a manifest that an index lists.
    pub async fn manifest_of(&self, blob: &Blob, limit: u64) -> Result<RawManifest> {
        if blob.size > limit {
            return Err(Error::TooLarge { what: format!("manifest {}", blob.digest), limit });
        }
        let digest = blob.digest.to_string();
        let raw = self.get_manifest(&digest, Some(&blob.digest), limit).await?;
        if raw.body.len() as u64 != blob.size {
            return Err(self.wrong_size("manifest", blob, raw.body.len().to_string()));
        }
        Ok(raw)
    }

    async fn get_manifest(
        &self,
        what: &str,
        expected: Option<&Digest>,
        limit: u64,
    ) -> Result<RawManifest> {
        let scheme = if self.reference.is_loopback() { "http" } else { "https" };
        let url = format!(
            "{scheme}://{}/v2/{}/manifests/{what}",
            self.target.resolve_registry(),
            self.reference.repository()
        );
        let mut request = self.http.get(url).header(header::ACCEPT, ACCEPTED.join(", "));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let answer = request.send().await.map_err(|e| http_error(&self.reference, &e))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let large =
            || Error::TooLarge { what: format!("the manifest of {}", self.reference), limit };
        if status != StatusCode::OK {
            let body = self.read(answer, MAX_ERROR_BODY).await?.unwrap_or_default();
            return Err(self.refusal(status, &headers, &body));
        }
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(large());
        }
        let body = self.read(answer, limit).await?.ok_or_else(large)?;
        let announced = headers
            .get("docker-content-digest")
            .and_then(|value| value.to_str().ok()?.parse::<Digest>().ok());
        for named in expected.into_iter().chain(&announced) {
            if !named.matches(&body) {
                return Err(Error::WrongDigest {
                    registry: self.host(),
                    what: "manifest".into(),
                    expected: named.to_string(),
                    actual: Digest::of(&body).to_string(),
                });
            }
        }
        let digest = expected.cloned().unwrap_or_else(|| Digest::of(&body));
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(RawManifest { body, digest, content_type })
    }

    /// The whole body, or `None` if it is longer than `limit`.
    async fn read(&self, answer: reqwest::Response, limit: u64) -> Result<Option<Bytes>> {
        let mut body = Vec::new();
        let mut stream = answer.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| http_error(&self.reference, &e))?;
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.into()))
    }

    /// Starts the download of a blob. The stream ends with an error unless
    /// exactly `blob.size` bytes came; their digest is the reader's to verify.
    pub async fn blob(
        &self,
        blob: &Blob,
        what: &'static str,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let name = blob.digest.to_string();
        let answer = self
            .client
            .pull_blob_stream(&self.target, name.as_str())
            .await
            .map_err(|error| oci_error(&self.reference, self.authenticated, error))?;
        if let Some(length) = answer.content_length.filter(|length| *length != blob.size) {
            return Err(self.wrong_size(what, blob, length.to_string()));
        }
        let (this, expected) = (self.clone(), blob.clone());
        let counted = futures::stream::try_unfold((answer.stream, 0), move |(mut stream, got)| {
            let (this, expected) = (this.clone(), expected.clone());
            async move {
                match stream.next().await {
                    Some(Ok(chunk)) if got + chunk.len() as u64 > expected.size => Err(
                        this.wrong_size(what, &expected, format!("more than {}", expected.size))
                    ),
                    Some(Ok(chunk)) => {
                        let got = got + chunk.len() as u64;
                        Ok(Some((chunk, (stream, got))))
                    }
                    // A verdict of `oci-client` on the digest is the size's as long
                    // as bytes are missing.
                    None if got == expected.size => Ok(None),
                    Some(Err(error)) if got == expected.size || !ended(&error) => {
                        Err(this.stream_error(what, &error))
                    }
                    None | Some(Err(_)) => Err(Error::Truncated {
                        registry: this.host(),
                        what: format!("{what} {}", expected.digest.short()),
                        expected: expected.size,
                        got,
                    }),
                }
            }
        });
        Ok(counted.boxed())
    }

    /// The registry's name for messages.
    pub fn host(&self) -> String {
        self.reference.registry().to_owned()
    }

    fn protocol(&self, detail: impl Into<String>) -> Error {
        Error::Protocol { registry: self.host(), detail: detail.into() }
    }

    fn wrong_size(&self, what: &str, blob: &Blob, got: String) -> Error {
        let what = format!("{what} {}", blob.digest.short());
        Error::WrongSize { registry: self.host(), what, expected: blob.size, got }
    }

    fn stream_error(&self, what: &str, error: &std::io::Error) -> Error {
        if let Some(DigestError::VerificationError { expected, actual }) = find(error) {
            return Error::WrongDigest {
                registry: self.host(),
                what: what.into(),
                expected: expected.clone(),
                actual: actual.clone(),
            };
        }
        match find::<reqwest::Error>(error) {
            Some(error) => http_error(&self.reference, error),
            None => self.protocol(format!("with a broken stream: {error}")),
        }
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Error::TooManyRequests {
                registry: self.host(),
                retry_after: headers
                    .get(header::RETRY_AFTER)
                    .and_then(|value| Some(printable(value.to_str().ok()?))),
            },
            StatusCode::NOT_FOUND => Error::NotFound(Box::new(self.reference.clone())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(),
            status if status.is_redirection() => self.redirect("to nowhere"),
            status => {
                let words = message(body).map(|text| format!(": {text}")).unwrap_or_default();
                self.protocol(format!("{status}{words}"))
            }
        }
    }

    fn unauthorized(&self) -> Error {
        let authenticated = self.authenticated;
        Error::Unauthorized { reference: Box::new(self.reference.clone()), authenticated }
    }

    fn redirect(&self, detail: &str) -> Error {
        Error::Redirect { registry: self.host(), detail: detail.into() }
    }
}

/// The client libraries are built without a default cryptography provider.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another part of the program chose one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
