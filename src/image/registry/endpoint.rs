// SPDX-License-Identifier: Apache-2.0
//! One place that serves a repository, a mirror or the registry itself, with
//! its connections and its login.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::OnceCell;

use super::http::{Answer, Ask, Timeouts, Wire};
use super::login::{Login, Pass, Source, plain_headers};
use super::retry::Failed;
use super::settings::{Place, Scheme};
use crate::image::error::{Error, Result};
use crate::image::reference::Reference;

/// Logins for one request.
const MAX_RENEWALS: u8 = 2;

/// A place to ask. Clones share connections and login.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    place: Place,
    wire: Wire,
    login: Login,
    /// For messages.
    reference: Option<Reference>,
    /// `SCHEME://HOST/v2/`, once it is known.
    base: OnceCell<Url>,
}

impl Endpoint {
    /// Connects to nothing yet.
    pub fn new(
        place: Place,
        source: Source,
        scopes: Vec<String>,
        reference: Option<&Reference>,
        timeouts: Timeouts,
    ) -> Result<Self> {
        let plain = place.scheme != Scheme::Https;
        let uploads = scopes.iter().any(|scope| scope.ends_with(",push"));
        let wire = Wire::new(&place.host, place.trust.clone(), plain, uploads, timeouts)?;
        let login = Login::new(source, &place.host, &place.repository, scopes);
        let (reference, base) = (reference.cloned(), OnceCell::new());
        Ok(Self(Arc::new(Inner { place, wire, login, reference, base })))
    }

    /// The place.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Its connections.
    pub fn wire(&self) -> &Wire {
        &self.0.wire
    }

    /// Asks for `path`, below `/v2/`, and logs in if that is asked for: once at
    /// first, and again when a token has expired.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Answer, Failed> {
        let url = self.url(path).await?;
        let mut all = plain_headers();
        all.extend(headers);
        let mut pass = self.pass().await;
        loop {
            let (method, url, headers) = (method.clone(), url.clone(), all.clone());
            let authorization = pass.header.clone();
            let answer = self.0.wire.send(Ask { method, url, headers, authorization }).await?;
            // Only the registry itself may ask for a login.
            if answer.redirected {
                return Ok(answer);
            }
            match self.new_pass(&answer.response, &pass).await? {
                Some(new) => pass = new,
                None => return Ok(answer),
            }
        }
    }

    /// What to send along now.
    pub async fn pass(&self) -> Pass {
        self.0.login.current().await
    }

    /// What to send along the second time, if the answer asks for a login that
    /// was not tried yet.
    pub async fn new_pass(
        &self,
        answer: &Response,
        refused: &Pass,
    ) -> Result<Option<Pass>, Failed> {
        if answer.status() != StatusCode::UNAUTHORIZED || refused.renewals == MAX_RENEWALS {
            return Ok(None);
        }
        match self.0.login.answer(&self.0.wire, answer.headers(), refused).await {
            Ok(pass) => Ok(pass),
            Err(failed) => Err(self.with_reference(failed).await),
        }
    }

    /// A refused login is told as what it means for the image.
    async fn with_reference(&self, failed: Failed) -> Failed {
        match (failed.error, &self.0.reference) {
            (Error::LoginRefused { reason, .. }, Some(reference)) => {
                let reference = Box::new(reference.clone());
                let authenticated = self.0.login.has_credentials().await;
                Failed::finally(Error::Unauthorized { reference, authenticated, reason })
            }
            (error, _) => Failed { error, again: failed.again },
        }
    }

    /// What an answer that is no good means. One of another host that a redirect
    /// led to says nothing of the image: such addresses expire.
    pub async fn refused(&self, answer: Answer) -> Failed {
        let authenticated = self.0.login.has_credentials().await;
        let (status, redirected) = (answer.response.status(), answer.redirected);
        let reference = self.0.reference.as_ref();
        let mut failed = self.0.wire.refused(answer.response, reference, authenticated).await;
        if redirected && status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            let detail = format!("with a redirect to a place that answers {status}");
            failed = Failed::for_now(self.0.wire.protocol(detail));
        }
        failed
    }

    /// The URL of `path`, below `/v2/`.
    pub async fn url(&self, path: &str) -> Result<Url, Failed> {
        let base = self.0.base.get_or_try_init(|| self.find_base()).await?;
        base.join(path)
            .map_err(|_| Failed::finally(self.0.wire.protocol("to a name that is no URL")))
    }

    /// Whether a URL is this registry's, which our login may go to.
    pub fn is_own(&self, url: &Url) -> bool {
        self.0.base.get().is_some_and(|base| base.origin() == url.origin())
    }

    async fn find_base(&self) -> Result<Url, Failed> {
        let of = |scheme: &str| {
            let address = self.0.place.address();
            let url = Url::parse(&format!("{scheme}://{address}/v2/")).ok();
            // Settings are no place for passwords.
            url.filter(|url| url.username().is_empty() && url.password().is_none()).ok_or_else(
                || {
                    let registry = address.to_owned();
                    let detail = "its name is no host name".into();
                    Failed::finally(Error::Unreachable { registry, detail })
                },
            )
        };
        match self.0.place.scheme {
            Scheme::Https => of("https"),
            Scheme::Http => of("http"),
            Scheme::Either => {
                let (method, url) = (Method::GET, of("https")?);
                let (headers, authorization) = (plain_headers(), None);
                let asked = Ask { method, url: url.clone(), headers, authorization };
                match self.0.wire.send(asked).await {
                    Ok(_) => Ok(url),
                    Err(failed) => {
                        tracing::info!("{}; trying plain HTTP", failed.error);
                        of("http")
                    }
                }
            }
        }
    }

    /// An answer as a whole, for documents that are known to be small.
    pub async fn body(
        &self,
        response: Response,
        limit: u64,
    ) -> Result<Option<bytes::Bytes>, Failed> {
        self.0.wire.read(response, limit).await
    }
}
