// SPDX-License-Identifier: Apache-2.0
//! The download of one blob. What was cut off goes on where it stopped, at the
//! same place or at the next, within the limits of `Retries`.

use bytes::{Buf, Bytes};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use super::endpoint::Endpoint;
use super::failure::{http_error, printable};
use super::http::is_encoded;
use super::retry::{Backoff, Failed};
use super::{Registry, Start};
use crate::image::error::{Error, Result};
use crate::image::manifest::Blob;

/// So many new bytes between two failures, and the earlier ones are forgotten.
const PROGRESS: u64 = 1 << 20;

/// Bytes of a blob on their way; exactly `blob.size` of them, or an error. Their
/// digest is the reader's to verify.
pub struct BlobReader {
    registry: Registry,
    blob: Blob,
    what: &'static str,
    /// The offset of the next byte.
    at: u64,
    /// The place that was asked first, and the one that is asked now.
    first: usize,
    place: usize,
    body: Option<Response>,
    /// Bytes at the start of the body that we have already.
    skip: u64,
    /// A registry that knows no ranges is asked for everything.
    whole: bool,
    backoff: Backoff,
    /// Where the last failure was.
    mark: u64,
}

impl BlobReader {
    /// A reader of `blob`, called `what` in messages.
    pub(super) fn new(registry: Registry, blob: &Blob, what: &'static str, start: Start) -> Self {
        let backoff = Backoff::new(registry.retries);
        let (at, first, place) = (start.offset, start.place, start.place);
        let blob = blob.clone();
        let (body, skip, whole, mark) = (None, 0, false, at);
        Self { registry, blob, what, at, first, place, body, skip, whole, backoff, mark }
    }

    /// The name of who served the last byte.
    pub fn host(&self) -> &str {
        self.registry.places.get(self.place).map_or("", |place| place.wire().registry())
    }

    /// Where all of it could be had once more, if the bytes were wrong: the place
    /// after the last that was asked, or the last if others had a share in them.
    pub fn next_place(&self) -> Option<usize> {
        match self.place + 1 < self.registry.places.len() {
            true => Some(self.place + 1),
            false => (self.place > self.first).then_some(self.place),
        }
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.attempt().await {
                Ok(chunk) => return Ok(chunk),
                Err(failed) => self.recover(failed).await?,
            }
        }
    }

    /// Gets ready for another attempt, here or at the next place.
    async fn recover(&mut self, failed: Failed) -> Result<()> {
        self.body = None;
        let advanced = self.at - self.mark;
        self.mark = self.at;
        if advanced >= PROGRESS {
            self.backoff.progress();
        }
        // A mirror that brings nothing is not waited for.
        if advanced == 0 && self.place + 1 < self.registry.places.len() {
            tracing::info!("{}; asking the next", failed.error);
            self.place += 1;
            self.whole = false;
            return Ok(());
        }
        self.backoff.wait(failed).await
    }

    async fn attempt(&mut self) -> Result<Option<Bytes>, Failed> {
        if self.body.is_none() {
            // The last byte may have come just before the end of the connection.
            if self.at == self.blob.size && self.at > 0 {
                return Ok(None);
            }
            self.body = Some(self.open().await?);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        loop {
            let chunk = match body.chunk().await {
                Ok(chunk) => chunk,
                Err(_) if self.at == self.blob.size => None,
                Err(error) => {
                    let failed = http_error(self.host(), &error);
                    let silent = matches!(failed.error, Error::Timeout(_));
                    return Err(if silent { failed } else { self.truncated() });
                }
            };
            let Some(mut chunk) = chunk else {
                return if self.at == self.blob.size { Ok(None) } else { Err(self.truncated()) };
            };
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len());
            chunk.advance(skipped);
            self.skip -= skipped as u64;
            if chunk.is_empty() {
                continue;
            }
            if chunk.len() as u64 > self.blob.size - self.at {
                return Err(self.wrong_size(format!("more than {}", self.blob.size)));
            }
            self.at += chunk.len() as u64;
            return Ok(Some(chunk));
        }
    }

    /// Asks for what is missing.
    async fn open(&mut self) -> Result<Response, Failed> {
        let ranged = self.at > 0 && !self.whole;
        let mut headers = HeaderMap::new();
        if ranged && let Ok(range) = HeaderValue::try_from(format!("bytes={}-", self.at)) {
            headers.insert(header::RANGE, range);
        }
        let endpoint = self.endpoint()?.clone();
        let path = format!("{}/blobs/{}", endpoint.place().repository, self.blob.digest);
        let answer = endpoint.send(Method::GET, &path, headers).await?;
        match answer.response.status() {
            StatusCode::OK => {
                self.skip = self.at;
                self.check_length(&answer.response, self.blob.size)?;
            }
            StatusCode::PARTIAL_CONTENT if ranged => {
                self.skip = 0;
                let last = self.check_range(&answer.response)?;
                self.check_length(&answer.response, last + 1 - self.at)?;
            }
            // The blob there is shorter, or ranges are not understood.
            StatusCode::RANGE_NOT_SATISFIABLE if ranged => {
                self.whole = true;
                return Box::pin(self.open()).await;
            }
            StatusCode::NOT_FOUND if !answer.redirected => {
                let (what, digest) = (self.what, &self.blob.digest);
                let detail = format!("404 Not Found for {what} {digest}, which its manifest names");
                return Err(Failed::finally(endpoint.wire().protocol(detail)));
            }
            _ => return Err(endpoint.refused(answer).await),
        }
        Ok(answer.response)
    }

    fn endpoint(&self) -> Result<&Endpoint, Failed> {
        self.registry.places.get(self.place).ok_or(Failed::finally(Error::Interrupted))
    }

    fn check_length(&self, response: &Response, expected: u64) -> Result<(), Failed> {
        let Some(length) = response.content_length().filter(|length| *length != expected) else {
            return Ok(());
        };
        if let Some(encoding) = is_encoded(response.headers()) {
            let detail = format!("with the encoding {encoding}, which was not asked for");
            return Err(Failed::finally(self.endpoint()?.wire().protocol(detail)));
        }
        if is_web_page(response.headers()) {
            return Err(Failed::finally(Error::WebPage { registry: self.host().to_owned() }));
        }
        Err(self.wrong_size(length.to_string()))
    }

    /// That the part is the one that was asked for (RFC 9110 section 14.4);
    /// returns the offset of its last byte.
    fn check_range(&self, response: &Response) -> Result<u64, Failed> {
        let told = response.headers().get(header::CONTENT_RANGE);
        let told = told.and_then(|value| value.to_str().ok()).unwrap_or_default();
        match parse_range(told) {
            Some((first, last, total))
                if first == self.at
                    && last >= first
                    && last < self.blob.size
                    && total.is_none_or(|total| total == self.blob.size) =>
            {
                Ok(last)
            }
            _ => {
                let asked = format!("bytes {}-{}", self.at, self.blob.size - 1);
                let detail = format!(
                    "with another part of the {} than asked for: {:?}, not {asked}",
                    self.what,
                    printable(told)
                );
                Err(Failed::finally(self.endpoint()?.wire().protocol(detail)))
            }
        }
    }

    fn truncated(&self) -> Failed {
        Failed::for_now(Error::Truncated {
            registry: self.host().to_owned(),
            what: format!("{} {}", self.what, self.blob.digest.short()),
            expected: self.blob.size,
            got: self.at,
        })
    }

    fn wrong_size(&self, got: String) -> Failed {
        let what = format!("{} {}", self.what, self.blob.digest.short());
        let (registry, expected) = (self.host().to_owned(), self.blob.size);
        Failed::finally(Error::WrongSize { registry, what, expected, got })
    }
}

/// Whether an answer is for people, such as the login of a hotel's network.
pub fn is_web_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// First, last and total of `bytes FIRST-LAST/TOTAL`.
fn parse_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, 9, None)));
        for bad in
            ["", "bytes */10", "5-9/10", "bytes 5-/10", "bytes -5-9/10", "bytes 5-9", "items 1-2/3"]
        {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
