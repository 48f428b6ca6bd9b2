// SPDX-License-Identifier: Apache-2.0
//! What a registry and the HTTP library say when they fail, told as errors of
//! this module. The causes lie deep in chains of wrappers.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::retry::{Again, Failed, retry_after};
use crate::image::error::Error;
use crate::image::reference::Reference;

/// Translates an error of the HTTP library by what lies at its root.
pub fn http_error(registry: &str, error: &reqwest::Error) -> Failed {
    let registry = registry.to_owned();
    let root = printable(&root_cause(error));
    if error.is_timeout() {
        return Failed::for_now(Error::Timeout(registry));
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        let detail = printable(&tls.to_string());
        return Failed::finally(Error::Tls { registry, detail });
    }
    if error.is_builder() {
        return Failed::finally(Error::Tls { registry, detail: root });
    }
    if error.is_connect() {
        let told = find::<std::io::Error>(error).map(std::io::Error::kind);
        // A name that nobody knows and a port where nobody listens are more
        // often mistakes than moments.
        let again = match told {
            Some(std::io::ErrorKind::ConnectionRefused) => Again::Briefly,
            _ if error_text_has(error, "dns error") => Again::Briefly,
            _ => Again::Soon,
        };
        return Failed { error: Error::Unreachable { registry, detail: root }, again };
    }
    let unreadable = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    let detail = match unreadable {
        true => format!("with something that is no HTTP: {root}"),
        false => format!("with a broken stream: {root}"),
    };
    let again = if unreadable { Again::No } else { Again::Soon };
    Failed { error: Error::Protocol { registry, detail }, again }
}

/// Translates a status that is not the one hoped for.
pub fn refusal(
    registry: &str,
    reference: Option<&Reference>,
    authenticated: bool,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Failed {
    let (registry, after) = (registry.to_owned(), retry_after(headers));
    let again = after.map_or(Again::Soon, Again::After);
    match (status, reference) {
        (StatusCode::TOO_MANY_REQUESTS, _) => {
            let retry_after = after.map(words);
            Failed { error: Error::TooManyRequests { registry, retry_after }, again }
        }
        (StatusCode::NOT_FOUND, Some(reference)) => {
            Failed::finally(Error::NotFound(Box::new(reference.clone())))
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(reference)) => {
            let reference = Box::new(reference.clone());
            let reason = message(body);
            Failed::finally(Error::Unauthorized { reference, authenticated, reason })
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => {
            Failed::finally(Error::LoginRefused { registry, reason: message(body) })
        }
        (status, _) if status.is_redirection() => {
            Failed::finally(Error::Redirect { registry, detail: "to nowhere".into() })
        }
        (status, _) => {
            let said = message(body).map(|text| format!(": {text}")).unwrap_or_default();
            let detail = format!("{status}{said}");
            let momentary = status == StatusCode::REQUEST_TIMEOUT
                || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
            let (detail, again) = match (momentary, after) {
                (true, Some(after)) => (format!("{detail} (for {})", words(after)), again),
                (true, None) => (detail, again),
                (false, _) => (detail, Again::No),
            };
            Failed { error: Error::Protocol { registry, detail }, again }
        }
    }
}

/// Whole seconds, as a person reads them.
fn words(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs().max(1))).to_string()
}

/// The first error of type `E` in the chain that starts at `error`.
pub fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An `io::Error` hides what it was made of from `source`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn error_text_has(error: &(dyn StdError + 'static), words: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(words) {
            return true;
        }
        next = error.source();
    }
    false
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// The first message of an error answer (distribution-spec, "Error Codes").
pub fn message(body: &[u8]) -> Option<String> {
    let envelope: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = envelope.get("errors")?.get(0)?;
    let text = |key| first.get(key).and_then(serde_json::Value::as_str).filter(|t| !t.is_empty());
    Some(printable(text("message").or_else(|| text("code"))?))
}

/// A stranger's words, short and without control characters.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
