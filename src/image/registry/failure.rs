// SPDX-License-Identifier: Apache-2.0
//! What a registry, `oci-client` and the HTTP library say when they fail, told
//! as errors of this module. The causes lie deep in chains of wrappers.

use std::error::Error as StdError;

use oci_client::errors::{DigestError, OciDistributionError, OciErrorCode};
use reqwest::StatusCode;

use crate::image::error::Error;
use crate::image::reference::Reference;

/// Translates an error of `oci-client`.
pub fn oci_error(reference: &Reference, authenticated: bool, error: OciDistributionError) -> Error {
    use OciDistributionError as Oci;
    let registry = reference.registry().to_owned();
    let unauthorized =
        || Error::Unauthorized { reference: Box::new(reference.clone()), authenticated };
    match error {
        Oci::RequestError(error) => http_error(reference, &error),
        Oci::UnauthorizedError { .. } | Oci::AuthenticationFailure(_) => unauthorized(),
        Oci::RegistryError { envelope, .. } => {
            let Some(first) = envelope.errors.first() else {
                return Error::Protocol { registry, detail: "an error without a reason".into() };
            };
            match first.code {
                OciErrorCode::Unauthorized | OciErrorCode::Denied => unauthorized(),
                OciErrorCode::Toomanyrequests => {
                    Error::TooManyRequests { registry, retry_after: None }
                }
                _ => Error::Protocol {
                    registry,
                    detail: format!("{:?}: {}", first.code, printable(&first.message)),
                },
            }
        }
        Oci::ServerError { code: 403, .. } => unauthorized(),
        Oci::ServerError { code: 429, .. } => {
            Error::TooManyRequests { registry, retry_after: None }
        }
        Oci::ServerError { code, .. } => {
            let status = StatusCode::from_u16(code).map_or(code.to_string(), |s| s.to_string());
            Error::Protocol { registry, detail: status }
        }
        Oci::RegistryTokenDecodeError(_) => {
            Error::Protocol { registry, detail: "the login with something that is no token".into() }
        }
        other => Error::Protocol { registry, detail: printable(&other.to_string()) },
    }
}

/// Translates an error of the HTTP library by what lies at its root.
pub fn http_error(reference: &Reference, error: &reqwest::Error) -> Error {
    let registry = reference.registry().to_owned();
    let root = root_cause(error);
    if error.is_timeout() {
        return Error::Timeout(registry);
    }
    if error.is_redirect() {
        return Error::Redirect { registry, detail: "in circles".into() };
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return Error::Tls { registry, detail: printable(&tls.to_string()) };
    }
    if error.is_builder() {
        return Error::Tls { registry, detail: printable(&root) };
    }
    if error.is_connect() {
        return Error::Unreachable { registry, detail: printable(&root) };
    }
    Error::Protocol { registry, detail: format!("with a broken stream: {}", printable(&root)) }
}

/// Whether the stream failed because the other side stopped sending.
pub fn ended(error: &std::io::Error) -> bool {
    find::<DigestError>(error).is_some()
        || find::<reqwest::Error>(error).is_some_and(|error| !error.is_timeout())
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
    Some(printable(envelope.get("errors")?.get(0)?.get("message")?.as_str()?))
}

/// A stranger's words, short and without control characters.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
