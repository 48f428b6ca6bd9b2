// SPDX-License-Identifier: Apache-2.0
//! Whether a user name and a password are right: distribution-spec, end-1.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};

use super::Access;
use super::endpoint::Endpoint;
use super::login::Source;
use super::retry::Backoff;
use crate::image::auth::Credentials;
use crate::image::error::Result;

/// Logs in to a registry, and keeps nothing.
pub async fn verify_login(host: &str, credentials: Credentials, access: &Access) -> Result<()> {
    let place = access.registries.registry(host)?;
    let source = Source::Given(credentials);
    let endpoint = Endpoint::new(place, source, Vec::new(), None, access.timeouts)?;
    let mut backoff = Backoff::new(access.retries);
    loop {
        let failed = match endpoint.send(Method::GET, "", HeaderMap::new()).await {
            Ok(answer) if answer.response.status() == StatusCode::OK => return Ok(()),
            Ok(answer) => endpoint.refused(answer).await,
            Err(failed) => failed,
        };
        backoff.wait(failed).await?;
    }
}
