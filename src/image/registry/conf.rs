// SPDX-License-Identifier: Apache-2.0
//! `registries.conf`, version 2, as podman, skopeo and buildah read it
//! (containers-registries.conf(5)). Short names are Docker Hub's here, so
//! `unqualified-search-registries` and aliases are not used.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::image::error::{Error, Result};

/// A file that is larger is none of these.
const MAX_BYTES: u64 = 4 << 20;

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

impl Use {
    /// Whether a mirror is for requests by digest, or by tag.
    pub fn covers(self, by_digest: bool) -> bool {
        match self {
            Self::All => true,
            Self::DigestOnly => by_digest,
            Self::TagOnly => !by_digest,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    registry: Vec<Raw>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Raw {
    prefix: String,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<RawMirror>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Option<Use>,
}

/// A `[[registry]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whole parts of `HOST/PATH`, or `*.DOMAIN`.
    pub prefix: String,
    /// What takes the place of the prefix.
    pub location: Option<String>,
    pub insecure: bool,
    pub blocked: bool,
    pub mirrors: Vec<Mirror>,
}

/// A `[[registry.mirror]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub location: String,
    pub insecure: bool,
    pub used: Use,
}

impl Entry {
    /// `name` with `location` in place of the prefix.
    pub fn rewritten(&self, name: &str, location: &str) -> String {
        let rest = match self.prefix.starts_with("*.") {
            true => name.split_once('/').map_or("", |(_, path)| path),
            false => name.get(self.prefix.len()..).unwrap_or_default(),
        };
        let rest = rest.trim_start_matches('/');
        let location = location.trim_end_matches('/');
        if rest.is_empty() { location.to_owned() } else { format!("{location}/{rest}") }
    }

    fn matches(&self, name: &str) -> bool {
        if let Some(domain) = self.prefix.strip_prefix('*') {
            let host = name.split('/').next().unwrap_or_default();
            return host.ends_with(domain) && host.len() > domain.len();
        }
        name.strip_prefix(&self.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The entry whose prefix is the longest that fits.
pub fn longest<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().filter(|entry| entry.matches(name)).max_by_key(|entry| entry.prefix.len())
}

/// `$XDG_CONFIG_HOME`, else `~/.config`.
pub fn user_directory() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty());
    match set {
        Some(path) => Some(path.into()),
        None => Some(directories::BaseDirs::new()?.home_dir().join(".config")),
    }
}

/// All entries: those of the one main file, then of the drop-ins, of which a
/// later one replaces an earlier one with its prefix.
pub fn read_all() -> Result<Vec<Entry>> {
    if let Some(file) = std::env::var_os("CONTAINERS_REGISTRIES_CONF").filter(|f| !f.is_empty()) {
        return match read(Path::new(&file))? {
            Some(entries) => Ok(entries),
            None => Err(wrong(Path::new(&file), "it does not exist")),
        };
    }
    let mut directories = Vec::new();
    if cfg!(unix) {
        directories.push(PathBuf::from("/etc/containers"));
    }
    directories.extend(user_directory().map(|own| own.join("containers")));
    let mut all = Vec::new();
    for directory in directories.iter().rev() {
        if let Some(entries) = read(&directory.join("registries.conf"))? {
            all = entries;
            break;
        }
    }
    for directory in &directories {
        for file in drop_ins(&directory.join("registries.conf.d")) {
            for entry in read(&file)?.unwrap_or_default() {
                all.retain(|old| old.prefix != entry.prefix);
                all.push(entry);
            }
        }
    }
    Ok(all)
}

fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Result<Option<Vec<Entry>>> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|f| f.take(MAX_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => parse(&text).map(Some).map_err(|detail| wrong(path, &detail)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(path, &error.to_string())),
    }
}

fn wrong(path: &Path, detail: &str) -> Error {
    Error::Settings { path: path.to_owned(), detail: detail.trim_end().to_owned() }
}

fn parse(text: &str) -> Result<Vec<Entry>, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    document.registry.into_iter().map(entry).collect()
}

fn entry(raw: Raw) -> Result<Entry, String> {
    let location = raw.location.filter(|location| !location.is_empty());
    let prefix = match (raw.prefix.is_empty(), &location) {
        (false, _) => raw.prefix,
        (true, Some(location)) => location.clone(),
        (true, None) => return Err("a [[registry]] has neither prefix nor location".into()),
    };
    for place in location.iter().chain(raw.mirror.iter().map(|mirror| &mirror.location)) {
        if place.is_empty() || place.contains("://") || place.contains(char::is_whitespace) {
            return Err(format!("{place:?} is no location: HOST[:PORT][/PATH], without a scheme"));
        }
    }
    let by_default = if raw.mirror_by_digest_only { Use::DigestOnly } else { Use::All };
    let mirror = |mirror: RawMirror| Mirror {
        location: mirror.location,
        insecure: mirror.insecure,
        used: mirror.pull_from_mirror.unwrap_or(by_default),
    };
    Ok(Entry {
        prefix: prefix.trim_end_matches('/').to_owned(),
        location,
        insecure: raw.insecure,
        blocked: raw.blocked,
        mirrors: raw.mirror.into_iter().map(mirror).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        unqualified-search-registries = ["docker.io", "quay.io"]
        short-name-mode = "enforcing"
        [aliases]
        "x" = "y/z"
        [[registry]]
        prefix = "example.com/foo"
        location = "internal.example.com/bar"
        insecure = true
        [[registry.mirror]]
        location = "m1.example.com/foo"
        insecure = true
        [[registry.mirror]]
        location = "m2.example.com"
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "example.com"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "m3.example.com"
        [[registry]]
        prefix = "*.evil.example"
        blocked = true
    "#;

    #[test]
    fn the_longest_prefix_of_whole_parts_wins() {
        let entries = parse(TEXT).unwrap();
        let prefix = |name: &str| longest(&entries, name).map(|entry| entry.prefix.as_str());
        assert_eq!(prefix("example.com/foo/app"), Some("example.com/foo"));
        assert_eq!(prefix("example.com/foo"), Some("example.com/foo"));
        assert_eq!(prefix("example.com/food"), Some("example.com"));
        assert_eq!(prefix("example.com:5000/foo"), None);
        assert_eq!(prefix("a.evil.example/x"), Some("*.evil.example"));
        assert_eq!(prefix("evil.example/x"), None);
    }

    #[test]
    fn locations_take_the_place_of_prefixes() {
        let entries = parse(TEXT).unwrap();
        let entry = longest(&entries, "example.com/foo/app").unwrap();
        let to = |location: &str| entry.rewritten("example.com/foo/app", location);
        assert_eq!(to("internal.example.com/bar"), "internal.example.com/bar/app");
        assert_eq!(to(&entry.mirrors[1].location), "m2.example.com/app");
        assert_eq!((entry.mirrors[0].used, entry.mirrors[1].used), (Use::All, Use::TagOnly));
        assert_eq!(entries[1].mirrors[0].used, Use::DigestOnly);
        let wild = &entries[2];
        assert_eq!(wild.rewritten("a.evil.example/x/y", "good.example"), "good.example/x/y");
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("[[registry]]\ninsecure = true", "neither prefix nor location"),
            ("[[registry]]\nlocation = \"https://a\"", "without a scheme"),
            ("[[registry]]\nlocation = 1", "expected"),
            ("[[registry]", ""),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse("[registries.search]\nregistries = ['docker.io']").unwrap().is_empty());
    }
}
