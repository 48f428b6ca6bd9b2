// SPDX-License-Identifier: Apache-2.0
//! The login of one endpoint: answers a challenge with a token (distribution
//! project, "Token Authentication") or with Basic, and keeps the answer until
//! the registry no longer takes it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::challenge::{self, Challenge};
use super::http::{Ask, Wire};
use super::retry::Failed;
use crate::image::auth::{self, Credentials};
use crate::image::error::{Error, Result};

/// Of a token answer. Tokens of some clouds have tens of kilobytes.
const MAX_TOKEN_ANSWER: u64 = 1 << 20;
/// Our name among OAuth clients.
const CLIENT_ID: &str = "mvm";

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The files of other tools and of `mvm login`, the first first.
    Files(Vec<PathBuf>),
    /// From the command line.
    Given(Credentials),
}

/// The login at one registry for fixed scopes.
pub struct Login {
    source: Source,
    host: String,
    repository: String,
    /// `repository:NAME:pull`, …; none for a login by itself.
    scopes: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    header: Option<HeaderValue>,
    /// Counts the answers, so that of several requests that were refused at once
    /// one fetches a token for all.
    serial: u64,
    /// Looked up once, when they are asked for.
    credentials: Option<Option<Credentials>>,
}

/// What goes with a request, and how new it is.
#[derive(Clone)]
pub struct Pass {
    pub header: Option<HeaderValue>,
    serial: u64,
    /// How many challenges of the same request were answered before. Others may
    /// have used up a token before it is sent.
    pub renewals: u8,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Login {
    pub fn new(source: Source, host: &str, repository: &str, scopes: Vec<String>) -> Self {
        let (host, repository) = (host.to_owned(), repository.to_owned());
        Self { source, host, repository, scopes, state: Mutex::default() }
    }

    /// What to send along now.
    pub async fn current(&self) -> Pass {
        let state = self.state.lock().await;
        Pass { header: state.header.clone(), serial: state.serial, renewals: 0 }
    }

    /// Whether credentials were found.
    pub async fn has_credentials(&self) -> bool {
        matches!(self.state.lock().await.credentials, Some(Some(_)))
    }

    /// Answers the challenge in `headers`, which met `refused`. `None` if there
    /// is nothing to answer with.
    pub async fn answer(
        &self,
        wire: &Wire,
        headers: &HeaderMap,
        refused: &Pass,
    ) -> Result<Option<Pass>, Failed> {
        let mut state = self.state.lock().await;
        if state.serial > refused.serial {
            let (header, serial) = (state.header.clone(), state.serial);
            return Ok(Some(Pass { header, serial, renewals: refused.renewals + 1 }));
        }
        let challenge = match challenge::choose(headers) {
            Ok(challenge) => challenge,
            Err(none) if none.is_empty() => return Ok(None),
            Err(strange) => {
                let strange = super::failure::printable(&strange);
                return Err(self.refuse(format!("of a kind that mvm does not know: {strange}")));
            }
        };
        if state.credentials.is_none() {
            state.credentials = Some(self.credentials().await?);
        }
        let credentials = state.credentials.clone().flatten();
        let header = match (challenge, &credentials) {
            (Challenge::Basic, None) => return Ok(None),
            (Challenge::Basic, Some(credentials)) => basic(credentials),
            (Challenge::Bearer { realm, service, scope }, credentials) => {
                let realm = self.realm(&realm, wire.plain)?;
                let scopes = match self.scopes.is_empty() {
                    true => scope.into_iter().collect(),
                    false => self.scopes.clone(),
                };
                let wanted = Wanted { realm, service, scopes };
                format!("Bearer {}", wanted.fetch(wire, credentials.as_ref()).await?)
            }
        };
        let mut header = HeaderValue::try_from(header)
            .map_err(|_| wire.protocol("the login with a token that cannot be used"))?;
        header.set_sensitive(true);
        if refused.header.as_ref() == Some(&header) {
            return Ok(None);
        }
        state.header = Some(header.clone());
        state.serial += 1;
        Ok(Some(Pass {
            header: Some(header),
            serial: state.serial,
            renewals: refused.renewals + 1,
        }))
    }

    async fn credentials(&self) -> Result<Option<Credentials>> {
        match &self.source {
            Source::Files(files) => auth::find(files, &self.host, &self.repository).await,
            Source::Given(credentials) => Ok(Some(credentials.clone())),
        }
    }

    /// A URL that secrets may be sent to.
    fn realm(&self, text: &str, plain: bool) -> Result<Url, Failed> {
        let shown = super::failure::printable(text);
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none());
        match url {
            Some(url) if url.scheme() == "https" || (url.scheme() == "http" && plain) => Ok(url),
            Some(url) if url.scheme() == "http" => {
                Err(self.refuse(format!("at {shown}, in the clear")))
            }
            _ => Err(self.refuse(format!("at {shown:?}, which is no HTTP URL"))),
        }
    }

    fn refuse(&self, detail: String) -> Failed {
        Failed::finally(Error::Login { registry: self.host.clone(), detail })
    }
}

fn basic(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    format!("Basic {}", STANDARD.encode(pair))
}

/// A token to be fetched.
struct Wanted {
    realm: Url,
    service: Option<String>,
    scopes: Vec<String>,
}

impl Wanted {
    async fn fetch(
        &self,
        wire: &Wire,
        credentials: Option<&Credentials>,
    ) -> Result<String, Failed> {
        let identity = credentials.and_then(|credentials| credentials.identity_token.as_deref());
        let response = match identity {
            Some(token) => self.exchange(wire, token).await?,
            None => self.get(wire, credentials).await?,
        };
        if response.status() != StatusCode::OK {
            let mut failed = wire.refused(response, None, credentials.is_some()).await;
            if let Error::Protocol { detail, .. } = &mut failed.error {
                *detail = format!("the login with {detail}");
            }
            return Err(failed);
        }
        let body = wire.read(response, MAX_TOKEN_ANSWER).await?;
        let body =
            body.ok_or_else(|| wire.protocol("the login with a token of more than a megabyte"))?;
        // No word of the answer is quoted: it may hold a secret.
        let token: Token = serde_json::from_slice(&body)
            .map_err(|_| wire.protocol("the login with something that is no token"))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(filled(token.token)
            .or_else(|| filled(token.access_token))
            .ok_or_else(|| wire.protocol("the login without a token"))?)
    }

    /// As the distribution project has it, with user name and password if there
    /// are any.
    async fn get(
        &self,
        wire: &Wire,
        credentials: Option<&Credentials>,
    ) -> Result<reqwest::Response, Failed> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.service.iter().map(|service| ("service", service)));
            query.extend_pairs(self.scopes.iter().map(|scope| ("scope", scope)));
            if let Some(credentials) = credentials {
                query.append_pair("account", &credentials.username);
            }
            query.append_pair("client_id", CLIENT_ID);
        }
        let authorization =
            match credentials.map(|credentials| HeaderValue::try_from(basic(credentials))) {
                Some(Ok(mut header)) => {
                    header.set_sensitive(true);
                    Some(header)
                }
                _ => None,
            };
        let (method, headers) = (Method::GET, HeaderMap::new());
        Ok(wire.send(Ask { method, url, headers, authorization }).await?.response)
    }

    /// As OAuth has it (RFC 6749 section 6), for an identity token.
    async fn exchange(&self, wire: &Wire, token: &str) -> Result<reqwest::Response, Failed> {
        let mut form = Url::parse("http://form/").map_err(|_| wire.protocol("nothing"))?;
        {
            let mut pairs = form.query_pairs_mut();
            pairs.append_pair("grant_type", "refresh_token");
            pairs.extend_pairs(self.service.iter().map(|service| ("service", service)));
            pairs.append_pair("client_id", CLIENT_ID);
            if !self.scopes.is_empty() {
                pairs.append_pair("scope", &self.scopes.join(" "));
            }
            pairs.append_pair("refresh_token", token);
        }
        let body = form.query().unwrap_or_default().to_owned();
        let length = body.len() as u64;
        let kind = "application/x-www-form-urlencoded";
        let sending =
            wire.upload(Method::POST, self.realm.clone(), None, kind, body.into(), length);
        let timeouts = wire.timeouts();
        match tokio::time::timeout(timeouts.connect + timeouts.idle, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(Failed::for_now(Error::Timeout(wire.registry().to_owned()))),
        }
    }
}

/// Headers of a request that wants no encoding of its answer.
pub fn plain_headers() -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))])
}
