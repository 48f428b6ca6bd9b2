// SPDX-License-Identifier: Apache-2.0
//! HTTP for one registry: its trust, its proxies, redirects under our rules,
//! and answers of bounded length.

use std::sync::Once;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Response, Url};

use super::certs::Trust;
use super::failure::{http_error, refusal};
use super::proxy;
use super::retry::Failed;
use crate::image::error::{Error, Result};
use crate::image::reference::Reference;

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

impl Timeouts {
    /// For a whole small document: one that trickles must not hold us for ever.
    pub(super) fn document(self) -> Duration {
        self.connect + 4 * self.idle
    }
}

/// Connections to one registry and to where it redirects.
#[derive(Clone)]
pub struct Wire {
    client: reqwest::Client,
    /// Sends large bodies, which take as long as they take.
    uploading: Option<reqwest::Client>,
    registry: String,
    timeouts: Timeouts,
    /// Whether plain HTTP is allowed, for redirects and tokens too.
    pub plain: bool,
}

/// What to ask.
#[derive(Clone)]
pub struct Ask {
    /// `GET`, `HEAD` or, without a body, any other.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// Goes along on redirects.
    pub headers: HeaderMap,
    /// Does not go along to anywhere else.
    pub authorization: Option<HeaderValue>,
}

/// An answer to an [`Ask`].
pub struct Answer {
    /// Status, headers and the body yet to come.
    pub response: Response,
    /// Whether another URL than the first answered.
    pub redirected: bool,
}

impl Wire {
    /// For `registry`, the name in messages; also for large bodies, if `uploads`.
    /// Connects to nothing yet.
    pub fn new(
        registry: &str,
        trust: Trust,
        plain: bool,
        uploads: bool,
        timeouts: Timeouts,
    ) -> Result<Self> {
        install_crypto();
        let unverified = trust.unverified;
        let (roots, identity) = trust.load(registry)?;
        let proxies = proxy::from_env()?;
        let builder = |idle: Option<Duration>| {
            let mut builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(timeouts.connect)
                // We follow them ourselves, and know where a header may go.
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .tls_certs_merge(roots.iter().cloned())
                .tls_danger_accept_invalid_certs(unverified);
            if let Some(identity) = &identity {
                builder = builder.identity(identity.clone());
            }
            if let Some(idle) = idle {
                builder = builder.read_timeout(idle);
            }
            for proxy in &proxies {
                builder = builder.proxy(proxy.clone());
            }
            builder.build().map_err(|error| http_error(registry, &error).error)
        };
        Ok(Self {
            client: builder(Some(timeouts.idle))?,
            // Reading the system's authorities takes a while: not for nothing.
            uploading: if uploads { Some(builder(None)?) } else { None },
            registry: registry.to_owned(),
            timeouts,
            plain,
        })
    }

    /// The name of the registry in messages.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The limits on waiting.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Asks, and follows redirects. Headers are here when this returns.
    pub async fn send(&self, ask: Ask) -> Result<Answer, Failed> {
        let Ask { method, mut url, headers, mut authorization } = ask;
        for followed in 0..=MAX_REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone());
            request = request.headers(headers.clone());
            if let Some(value) = &authorization {
                request = request.header(header::AUTHORIZATION, value.clone());
            }
            let sent = request.send().await;
            let response = sent.map_err(|error| http_error(&self.registry, &error))?;
            let Some(next) = self.redirect(&url, &response)? else {
                return Ok(Answer { response, redirected: followed > 0 });
            };
            // Once lost, it does not come back when the way leads home.
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(Failed::finally(self.redirect_error("in circles")))
    }

    /// Where an answer sends us, if it does.
    fn redirect(&self, from: &Url, response: &Response) -> Result<Option<Url>, Failed> {
        let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = response.headers().get(header::LOCATION);
        match location.filter(|_| moved) {
            Some(location) => self.next(from, location).map(Some),
            None => Ok(None),
        }
    }

    fn next(&self, from: &Url, location: &HeaderValue) -> Result<Url, Failed> {
        let next = location.to_str().ok().and_then(|text| from.join(text).ok());
        let mut next = next
            .filter(|next| matches!(next.scheme(), "http" | "https") && next.has_host())
            .ok_or_else(|| Failed::finally(self.redirect_error("to something that is no URL")))?;
        if next.scheme() == "http" && from.scheme() == "https" && !self.plain {
            return Err(Failed::finally(self.redirect_error("from HTTPS to plain HTTP")));
        }
        // Nobody else chooses whom we log in as.
        let _ = next.set_username("");
        let _ = next.set_password(None);
        Ok(next)
    }

    /// Sends a body of `length` bytes. There is no limit of time here, if the
    /// connections are for uploads.
    pub async fn upload(
        &self,
        method: Method,
        url: Url,
        authorization: Option<HeaderValue>,
        content_type: &str,
        body: Body,
        length: u64,
    ) -> Result<Response, Failed> {
        let client = self.uploading.as_ref().unwrap_or(&self.client);
        let mut request = client
            .request(method, url)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::CONTENT_LENGTH, length)
            .body(body);
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        request.send().await.map_err(|error| http_error(&self.registry, &error))
    }

    /// The whole body, or `None` if it is longer than `limit`.
    pub async fn read(&self, response: Response, limit: u64) -> Result<Option<Bytes>, Failed> {
        let reading = self.read_slowly(response, limit);
        match tokio::time::timeout(self.timeouts.document(), reading).await {
            Ok(read) => read,
            Err(_) => Err(Failed::for_now(Error::Timeout(self.registry.clone()))),
        }
    }

    async fn read_slowly(
        &self,
        mut response: Response,
        limit: u64,
    ) -> Result<Option<Bytes>, Failed> {
        if response.content_length().is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let mut body = BytesMut::new();
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| http_error(&self.registry, &error))? else {
                return Ok(Some(body.freeze()));
            };
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// Reads an answer that is no good, and says so.
    pub async fn refused(
        &self,
        response: Response,
        reference: Option<&Reference>,
        authenticated: bool,
    ) -> Failed {
        let (status, headers) = (response.status(), response.headers().clone());
        // What it says beside is of no weight, nor is whether that can be read.
        let body = self.read(response, MAX_ERROR_BODY).await.ok().flatten().unwrap_or_default();
        refusal(&self.registry, reference, authenticated, status, &headers, &body)
    }

    /// An answer that breaks the specification.
    pub fn protocol(&self, detail: impl Into<String>) -> Error {
        Error::Protocol { registry: self.registry.clone(), detail: detail.into() }
    }

    fn redirect_error(&self, detail: &str) -> Error {
        Error::Redirect { registry: self.registry.clone(), detail: detail.into() }
    }
}

/// Whether a body is what it says, and no compressed form that nobody asked for.
pub fn is_encoded(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(header::CONTENT_ENCODING)?.to_str().unwrap_or("unknown").trim();
    (!encoding.is_empty() && encoding != "identity").then(|| super::failure::printable(encoding))
}

/// The client libraries are built without a default cryptography provider.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that another part of the program chose one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(plain: bool, from: &str, location: &str) -> Result<String, String> {
        let wire = Wire::new("r", Trust::default(), plain, false, Timeouts::default()).unwrap();
        let location = HeaderValue::from_str(location).unwrap();
        let next = wire.next(&Url::parse(from).unwrap(), &location);
        next.map(|url| url.to_string()).map_err(|failed| failed.error.to_string())
    }

    #[test]
    fn redirects_stay_with_tls_and_log_in_as_nobody() {
        let from = "https://r.example.com/v2/a/blobs/x";
        assert_eq!(next(false, from, "/y").unwrap(), "https://r.example.com/y");
        assert_eq!(next(false, from, "//cdn.example.com/y").unwrap(), "https://cdn.example.com/y");
        assert_eq!(next(false, from, "https://me:pw@cdn/y").unwrap(), "https://cdn/y");
        let down = next(false, from, "http://cdn/y").unwrap_err();
        assert_eq!(down, "registry r redirects from HTTPS to plain HTTP");
        assert_eq!(next(true, from, "http://cdn/y").unwrap(), "http://cdn/y");
        assert_eq!(next(false, "http://localhost/", "https://cdn/y").unwrap(), "https://cdn/y");
        for bad in
            ["ftp://cdn/y", "file:///etc/passwd", "data:,x", "https://", "http://[", "\u{e9}"]
        {
            assert!(next(true, from, bad).is_err(), "{bad}");
        }
    }
}
