// SPDX-License-Identifier: Apache-2.0
//! What stands on the command line for an image: a name for a registry and the
//! store, or one of skopeo's and podman's transports to a file or directory.

use std::fmt;
use std::path::{Path, PathBuf};

use super::SourceError;

/// Transports of other tools that there is nothing for here.
const FOREIGN: [&str; 9] = [
    "docker-daemon",
    "containers-storage",
    "ostree",
    "sif",
    "tarball",
    "atomic",
    "containerd",
    "oci-registry",
    "podman",
];

/// Where an image is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A reference or an ID, for the store and the registries.
    Name(String),
    /// A file, directory or stream of this machine.
    Local(LocalSource),
}

/// What a local source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory that is an OCI image layout.
    Oci,
    /// A tar of one.
    OciArchive,
    /// A tar with a `manifest.json`, as of `docker save`.
    DockerArchive,
    /// A tar of either kind, in a file or on stdin.
    Archive,
    /// A directory that is to be the root file system.
    Dir,
}

/// An image, or several, on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSource {
    pub(super) kind: Kind,
    /// `None` is stdin.
    pub(super) path: Option<PathBuf>,
    /// Which image of those there are.
    pub(super) choice: Option<String>,
}

impl Source {
    /// Reads an image argument. `exists` tells which part of it is a path:
    /// both paths and tags may have colons.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        Self::parse_with(text, Path::exists)
    }

    fn parse_with(text: &str, exists: impl Fn(&Path) -> bool) -> Result<Self, SourceError> {
        if text == "-" {
            return Ok(Self::Local(LocalSource::archive(None)));
        }
        if let Some(name) = text.strip_prefix("docker://") {
            return Ok(Self::Name(name.to_owned()));
        }
        let Some((transport, rest)) = text.split_once(':') else {
            return Ok(Self::Name(text.to_owned()));
        };
        let kind = match transport {
            "oci" => Kind::Oci,
            "oci-archive" => Kind::OciArchive,
            "docker-archive" => Kind::DockerArchive,
            "dir" => Kind::Dir,
            foreign if FOREIGN.contains(&foreign) => {
                return Err(SourceError::Transport(format!("{foreign}:")));
            }
            _ => return Ok(Self::Name(text.to_owned())),
        };
        if rest.is_empty() {
            return Err(SourceError::NoPath(text.to_owned()));
        }
        let (path, choice) = match kind {
            Kind::Dir => (rest, None),
            _ => split(rest, exists),
        };
        if path.is_empty() {
            return Err(SourceError::NoPath(text.to_owned()));
        }
        let choice = choice.filter(|choice| !choice.is_empty()).map(str::to_owned);
        Ok(Self::Local(LocalSource { kind, path: Some(path.into()), choice }))
    }
}

impl LocalSource {
    /// An archive of either kind; without a path the one on stdin.
    pub fn archive(path: Option<PathBuf>) -> Self {
        Self { kind: Kind::Archive, path, choice: None }
    }

    /// Whether it is read from stdin.
    pub fn is_stdin(&self) -> bool {
        self.path.is_none()
    }
}

impl fmt::Display for LocalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.kind {
            Kind::Oci => "oci:",
            Kind::OciArchive => "oci-archive:",
            Kind::DockerArchive => "docker-archive:",
            Kind::Archive => "",
            Kind::Dir => "dir:",
        };
        match &self.path {
            Some(path) => write!(f, "{transport}{}", path.display())?,
            None => f.write_str("the archive on stdin")?,
        }
        match &self.choice {
            Some(choice) => write!(f, ":{choice}"),
            None => Ok(()),
        }
    }
}

/// The longest path that exists, and what is behind it; if none does, all up to
/// the first colon, but for that of a drive.
fn split(text: &str, exists: impl Fn(&Path) -> bool) -> (&str, Option<&str>) {
    let start = if has_drive(text) { 2 } else { 0 };
    let colons: Vec<usize> = text
        .bytes()
        .enumerate()
        .skip(start)
        .filter(|(_, b)| *b == b':')
        .map(|(at, _)| at)
        .collect();
    let parts = |at: usize| (&text[..at], Some(&text[at + 1..]));
    if colons.is_empty() || exists(Path::new(text)) {
        return (text, None);
    }
    let found = colons.iter().rev().find(|at| exists(Path::new(&text[..**at])));
    match found.or(colons.first()) {
        Some(at) => parts(*at),
        None => (text, None),
    }
}

/// `C:\…` or `C:/…`, where there are drives.
fn has_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    cfg!(any(windows, test))
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.get(1) == Some(&b':')
        && matches!(bytes.get(2), Some(b'\\' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str, existing: &[&str]) -> (Kind, String, Option<String>) {
        let exists = |path: &Path| existing.iter().any(|known| Path::new(known) == path);
        match Source::parse_with(text, exists).unwrap() {
            Source::Local(local) => {
                (local.kind, local.path.unwrap().display().to_string(), local.choice)
            }
            Source::Name(name) => panic!("{text} is the name {name}"),
        }
    }

    #[test]
    fn splits_path_and_tag() {
        for (text, existing, kind, path, choice) in [
            ("oci:dir", &[][..], Kind::Oci, "dir", None),
            ("oci:dir", &["dir"], Kind::Oci, "dir", None),
            ("oci:dir:1.0", &["dir"], Kind::Oci, "dir", Some("1.0")),
            ("oci:dir:", &["dir"], Kind::Oci, "dir", None),
            (
                "oci:/a/dir:localhost:5000/app:1",
                &["/a/dir"],
                Kind::Oci,
                "/a/dir",
                Some("localhost:5000/app:1"),
            ),
            ("oci:a:b:c", &["a:b"], Kind::Oci, "a:b", Some("c")),
            ("oci:a:b:c", &["a", "a:b:c"], Kind::Oci, "a:b:c", None),
            ("oci:a:b:c", &[], Kind::Oci, "a", Some("b:c")),
            (r"oci:C:\x:tag", &[], Kind::Oci, r"C:\x", Some("tag")),
            ("oci:C:/x", &["C:/x"], Kind::Oci, "C:/x", None),
            (
                "docker-archive:f.tar:alpine:3",
                &["f.tar"],
                Kind::DockerArchive,
                "f.tar",
                Some("alpine:3"),
            ),
            ("docker-archive:f.tar:@1", &["f.tar"], Kind::DockerArchive, "f.tar", Some("@1")),
            ("oci-archive:f", &["f"], Kind::OciArchive, "f", None),
            ("dir:/a:b", &["/a"], Kind::Dir, "/a:b", None),
        ] {
            let found = local(text, existing);
            assert_eq!(found, (kind, path.to_owned(), choice.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn leaves_names_alone() {
        for text in
            ["alpine", "alpine:3", "localhost:5000/a", "sha256:00", "oci", "dir", "ocix:1", ""]
        {
            assert_eq!(Source::parse(text).unwrap(), Source::Name(text.to_owned()));
        }
        let name = Source::Name("alpine:3".into());
        assert_eq!(Source::parse("docker://alpine:3").unwrap(), name);
        let Source::Local(stdin) = Source::parse("-").unwrap() else { panic!() };
        assert!(stdin.is_stdin());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for text in ["docker-daemon:alpine:3", "containers-storage:x", "oci:", "dir:", "oci::tag"] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.hint().unwrap().contains("oci-archive:FILE"), "{text}: {error}");
        }
    }
}
