// SPDX-License-Identifier: Apache-2.0
//! Image references: `[host[:port]/]path[:tag][@digest]`, with Docker's
//! shorthand. The grammar is that of the distribution project's `reference`
//! package; nothing here touches the network or the store.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError};

/// The registry of a reference that names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of a reference that names neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

/// Longest repository name, registry included (distribution `NameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// Longest tag (distribution-spec, "Pulling manifests").
const MAX_TAG: usize = 128;
/// Longest reference looked at: a name, a tag and a SHA-512 digest.
const MAX_REFERENCE: usize = MAX_NAME + 1 + MAX_TAG + 1 + 7 + 128;

/// A normalized image reference. It always has a registry, a repository, and a
/// tag or a digest or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The host, with its port if it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; a digest beside it outranks it.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that pins the manifest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, such as `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// [`name`](Self::name) as Docker prints it, such as `alpine`.
    pub fn familiar_name(&self) -> String {
        familiar_name(&self.name()).to_owned()
    }

    /// The short form that still means the same, such as `alpine:latest`.
    pub fn familiar(&self) -> String {
        self.with_name(&self.familiar_name())
    }

    /// The same repository, pinned to `digest`, without a tag.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Whether the registry is this very machine, which is spoken to in plain
    /// HTTP, as Docker does.
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.registry)
    }

    fn with_name(&self, name: &str) -> String {
        let tag = self.tag.iter().map(|tag| format!(":{tag}"));
        let digest = self.digest.iter().map(|digest| format!("@{digest}"));
        std::iter::once(name.to_owned()).chain(tag).chain(digest).collect()
    }
}

/// Whether `HOST[:PORT]` is this very machine, by its looks.
pub(super) fn is_loopback_host(registry: &str) -> bool {
    let host = host_of(registry);
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match v6 {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

/// A full repository name without what Docker leaves out, unless what is left
/// would mean another.
pub(super) fn familiar_name(name: &str) -> &str {
    let Some(path) = name.strip_prefix("docker.io/") else { return name };
    let short = path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path);
    if split_registry(short).0.is_some() { name } else { short }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_name(&self.name()))
    }
}

/// Why a text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid image reference {text:?}: {kind}")]
pub struct ReferenceError {
    /// What was given, cut to a printable length.
    pub text: String,
    /// The rule it breaks.
    pub kind: ReferenceErrorKind,
}

/// The rule of the grammar that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceErrorKind {
    /// Nothing, or only blanks.
    #[error("it is empty")]
    Empty,
    /// Over the longest name, tag and digest together.
    #[error("it is too long")]
    TooLong,
    /// A URL was given.
    #[error("it starts with a URL scheme")]
    Scheme,
    /// 64 hexadecimal digits would be taken for an image ID everywhere else.
    #[error("64 hexadecimal digits are an image ID, not a name")]
    ImageId,
    /// The host part.
    #[error("the registry host is not valid")]
    Registry,
    /// The port part.
    #[error("the registry port is not valid")]
    Port,
    /// Upper-case letters in the path.
    #[error("the repository name must be lower-case")]
    Uppercase,
    /// Any other flaw of the path.
    #[error("the repository name is not valid")]
    Repository,
    /// Host and path together.
    #[error("the repository name has more than 255 characters")]
    NameTooLong,
    /// The part after the colon.
    #[error("the tag is not valid")]
    Tag,
    /// The part after the `@`.
    #[error("{0}")]
    Digest(DigestError),
}

impl ReferenceError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        use ReferenceErrorKind as Kind;
        Some(match self.kind {
            Kind::Empty | Kind::TooLong | Kind::NameTooLong => {
                "an image is named like alpine:3.20 or registry.example.com/team/app:1.0".into()
            }
            Kind::Scheme => "leave out the scheme, as in registry.example.com/team/app:1.0".into(),
            Kind::ImageId => "add sha256: in front to name an image by its ID".into(),
            Kind::Registry => "a registry is a host name or an address, such as localhost:5000 or [::1]:5000".into(),
            Kind::Port => "a port is a number from 1 to 65535".into(),
            Kind::Uppercase => format!("try {}", self.text.to_lowercase()),
            Kind::Repository => {
                "parts between slashes are lower-case letters and digits, joined by '.', '_', '__' or '-'".into()
            }
            Kind::Tag => "a tag is up to 128 letters, digits, '_', '.' and '-', not starting with '.' or '-'".into(),
            Kind::Digest(_) => "copy the whole digest, as `mvm images --digests` prints it".into(),
        })
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|kind| ReferenceError { text: text.chars().take(300).collect(), kind })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

fn parse(text: &str) -> Result<Reference, ReferenceErrorKind> {
    use ReferenceErrorKind as Kind;
    if text.trim().is_empty() {
        return Err(Kind::Empty);
    }
    if text.len() > MAX_REFERENCE {
        return Err(Kind::TooLong);
    }
    if text.contains("://") {
        return Err(Kind::Scheme);
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Kind::ImageId);
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse().map_err(Kind::Digest)?)),
        None => (text, None),
    };
    let (registry, rest) = split_registry(rest);
    if let Some(registry) = registry {
        check_registry(registry)?;
    }
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    check_path(path)?;
    // "index.docker.io" is what old tools call the same registry.
    let registry = match registry {
        None | Some("index.docker.io") => DEFAULT_REGISTRY,
        Some(registry) => registry,
    };
    let repository = if registry == DEFAULT_REGISTRY && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(Kind::NameTooLong);
    }
    let tag = match (tag, &digest) {
        (None, None) => Some(DEFAULT_TAG.to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

/// What stands before the first slash is a registry only if it cannot be the
/// first part of a path: it has a dot, a colon or a capital, or is `localhost`.
fn split_registry(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, text),
    }
}

/// The host without the port; an IPv6 address keeps its brackets.
fn host_of(registry: &str) -> &str {
    match registry.rfind(':') {
        Some(at) if !registry.ends_with(']') => &registry[..at],
        _ => registry,
    }
}

fn check_registry(registry: &str) -> Result<(), ReferenceErrorKind> {
    let host = host_of(registry);
    if let Some(port) = registry[host.len()..].strip_prefix(':') {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if !digits || port.parse::<u16>().unwrap_or(0) == 0 {
            return Err(ReferenceErrorKind::Port);
        }
    }
    let valid = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => host.split('.').all(|label| {
            label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    };
    if valid { Ok(()) } else { Err(ReferenceErrorKind::Registry) }
}

fn check_tag(tag: &str) -> Result<(), ReferenceErrorKind> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let valid = tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if valid { Ok(()) } else { Err(ReferenceErrorKind::Tag) }
}

fn check_path(path: &str) -> Result<(), ReferenceErrorKind> {
    if path.split('/').all(is_path_component) {
        return Ok(());
    }
    let lower = path.to_ascii_lowercase();
    if lower != path && lower.split('/').all(is_path_component) {
        return Err(ReferenceErrorKind::Uppercase);
    }
    Err(ReferenceErrorKind::Repository)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(|b| alphanumeric(b)).all(|between| {
            matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
        })
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
