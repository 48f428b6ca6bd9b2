// SPDX-License-Identifier: Apache-2.0
//! What the user wants of each registry: the `registries` table of
//! `config.toml`, before the `registries.conf` of other tools. It turns a
//! repository into the places to ask for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::certs::{self, Trust};
use super::conf::{self, Entry, Use};
use crate::image::error::{Error, Result};
use crate::image::reference::{DEFAULT_REGISTRY, Reference, is_loopback_host};

/// `[registries."HOST"]` of `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// `true`: any certificate will do, and if there is no TLS, plain HTTP.
    /// `false`: TLS and a good certificate, also on this machine.
    pub insecure: Option<bool>,
    /// A PEM file with the authorities of this registry.
    pub ca: Option<PathBuf>,
    /// `HOST[:PORT][/PATH]`, asked in this order before the registry itself.
    pub mirrors: Vec<String>,
    /// Never asked.
    pub blocked: bool,
}

/// The settings of all registries.
#[derive(Clone, Debug)]
pub struct Registries {
    /// By host, as in `config.toml`.
    pub tables: BTreeMap<String, Table>,
    /// Whether `registries.conf` and `certs.d` of this machine are read.
    pub system: bool,
}

impl Default for Registries {
    fn default() -> Self {
        Self { tables: BTreeMap::new(), system: true }
    }
}

/// How to reach a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Https,
    Http,
    /// HTTPS, else HTTP.
    Either,
}

/// A place to ask for a repository.
#[derive(Clone, Debug)]
pub struct Place {
    /// The registry's name, with its port if it has one.
    pub host: String,
    /// The repository there.
    pub repository: String,
    /// How to reach it.
    pub scheme: Scheme,
    /// Whom to trust.
    pub trust: Trust,
    /// What a mirror is for; the registry itself is for everything.
    pub mirror: Option<Use>,
}

impl Registries {
    /// The places to ask for a repository, the registry itself last.
    pub fn places(&self, reference: &Reference) -> Result<Vec<Place>> {
        let entries = if self.system { conf::read_all()? } else { Vec::new() };
        let directories = if self.system { certs::directories() } else { Vec::new() };
        let name = reference.name();
        let mut places = Vec::new();
        let (host, repository) = (reference.registry(), reference.repository());
        let table = self.tables.get(host);
        let entry = conf::longest(&entries, &name);
        if table.map_or_else(|| entry.is_some_and(|e| e.blocked), |table| table.blocked) {
            return Err(Error::Blocked(name));
        }
        for mirror in table.iter().flat_map(|table| &table.mirrors) {
            let (host, path) = split(mirror);
            let repository = joined(path, repository);
            places.push(self.place(host, repository, None, Some(Use::All), &entries, &directories));
        }
        if let Some(entry) = entry.filter(|_| table.is_none_or(|table| table.mirrors.is_empty())) {
            for mirror in &entry.mirrors {
                let whole = entry.rewritten(&name, &mirror.location);
                let (host, path) = split(&whole);
                let insecure = Some(mirror.insecure).filter(|insecure| *insecure);
                let used = Some(mirror.used);
                places.push(self.place(host, path.into(), insecure, used, &entries, &directories));
            }
        }
        let moved = entry.filter(|_| table.is_none()).and_then(|entry| {
            let location = entry.location.as_deref()?;
            Some(entry.rewritten(&name, location))
        });
        let (host, repository) = match &moved {
            Some(whole) => split(whole),
            None => (host, repository),
        };
        let insecure = entry.and_then(|entry| Some(entry.insecure).filter(|insecure| *insecure));
        places.push(self.place(host, repository.into(), insecure, None, &entries, &directories));
        Ok(places)
    }

    /// The registry by itself, for a login.
    pub fn registry(&self, host: &str) -> Result<Place> {
        let entries = if self.system { conf::read_all()? } else { Vec::new() };
        let directories = if self.system { certs::directories() } else { Vec::new() };
        Ok(self.place(host, String::new(), None, None, &entries, &directories))
    }

    fn place(
        &self,
        host: &str,
        repository: String,
        insecure: Option<bool>,
        mirror: Option<Use>,
        entries: &[Entry],
        directories: &[PathBuf],
    ) -> Place {
        let table = self.tables.get(host);
        let elsewhere = || conf::longest(entries, host).is_some_and(|entry| entry.insecure);
        let insecure = table
            .and_then(|table| table.insecure)
            .or(insecure)
            .or_else(|| elsewhere().then_some(true));
        let mut trust = Trust::default();
        trust.authorities.extend(table.and_then(|table| table.ca.clone()));
        trust.add_directories(directories, host);
        let scheme = match insecure {
            Some(true) => Scheme::Either,
            Some(false) => Scheme::Https,
            None if trust.is_special() => Scheme::Https,
            None if is_loopback_host(host) => Scheme::Http,
            None => Scheme::Https,
        };
        trust.unverified = scheme == Scheme::Either;
        Place { host: host.to_owned(), repository, scheme, trust, mirror }
    }
}

impl Place {
    /// The host that is connected to.
    pub fn address(&self) -> &str {
        match self.host.as_str() {
            DEFAULT_REGISTRY => "registry-1.docker.io",
            host => host,
        }
    }
}

/// Host and path of `HOST/PATH`. A scheme in front is of no weight.
fn split(text: &str) -> (&str, &str) {
    let text = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
    let text = text.trim_end_matches('/');
    text.split_once('/').unwrap_or((text, ""))
}

fn joined(path: &str, repository: &str) -> String {
    if path.is_empty() { repository.to_owned() } else { format!("{path}/{repository}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(toml: &str) -> Registries {
        Registries { tables: toml::from_str(toml).unwrap(), system: false }
    }

    fn places(registries: &Registries, name: &str) -> Vec<(String, String, Scheme)> {
        let places = registries.places(&name.parse().unwrap()).unwrap();
        places.into_iter().map(|p| (p.host, p.repository, p.scheme)).collect()
    }

    #[test]
    fn without_settings_there_is_the_registry_alone() {
        let none = registries("");
        let place = |host: &str, path: &str, scheme| [(host.to_owned(), path.to_owned(), scheme)];
        assert_eq!(places(&none, "alpine"), place("docker.io", "library/alpine", Scheme::Https));
        assert_eq!(places(&none, "127.0.0.2:5000/a"), place("127.0.0.2:5000", "a", Scheme::Http));
        assert_eq!(none.registry("docker.io").unwrap().address(), "registry-1.docker.io");
    }

    #[test]
    fn mirrors_come_first_and_in_order() {
        let set = registries(
            r#"["docker.io"]
            mirrors = ["https://m1.example.com", "m2.example.com:5000/hub/"]
            ["m2.example.com:5000"]
            insecure = true
            ["localhost:5000"]
            insecure = false
            ["no.example.com"]
            blocked = true"#,
        );
        assert_eq!(
            places(&set, "alpine"),
            [
                ("m1.example.com".into(), "library/alpine".into(), Scheme::Https),
                ("m2.example.com:5000".into(), "hub/library/alpine".into(), Scheme::Either),
                ("docker.io".into(), "library/alpine".into(), Scheme::Https),
            ]
        );
        assert_eq!(places(&set, "localhost:5000/a")[0].2, Scheme::Https);
        let error = set.places(&"no.example.com/a".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("blocked"), "{error}");
    }
}
