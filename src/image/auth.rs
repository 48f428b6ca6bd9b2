// SPDX-License-Identifier: Apache-2.0
//! Credentials for a registry, as `docker login` leaves them: the `auths` of
//! `~/.docker/config.json`. Helpers and other files come with `mvm login`.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::error::{Error, Result};
use super::reference::DEFAULT_REGISTRY;

/// A user name and a password. `Debug` does not print the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or access token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// Docker's configuration file: `$DOCKER_CONFIG/config.json`, else
/// `~/.docker/config.json`.
pub fn docker_config_file() -> Option<PathBuf> {
    match std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        Some(dir) => Some(PathBuf::from(dir).join("config.json")),
        None => Some(directories::BaseDirs::new()?.home_dir().join(".docker/config.json")),
    }
}

/// The credentials for `registry` in Docker's configuration `file`; `None` if
/// there is no such file or it has none for this registry.
pub fn credentials(file: &Path, registry: &str) -> Result<Option<Credentials>> {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { doing: "read", path: file.to_owned(), source }),
    };
    find(&text, registry).map_err(|detail| Error::Credentials { path: file.to_owned(), detail })
}

fn find(text: &[u8], registry: &str) -> Result<Option<Credentials>, String> {
    // serde's message is left out on purpose: it could quote a secret.
    let config: DockerConfig =
        serde_json::from_slice(text).map_err(|e| format!("not valid JSON at line {}", e.line()))?;
    let entry = config.auths.into_iter().find(|(key, _)| names(key, registry));
    let Some((_, entry)) = entry else { return Ok(None) };
    let pair = match (entry.auth.filter(|auth| !auth.is_empty()), entry.username, entry.password) {
        (Some(auth), ..) => {
            decode(&auth).ok_or("an \"auth\" entry is not user:password in base64")?
        }
        (None, Some(username), Some(password)) => (username, password),
        // An entry whose secret lives in a credential helper is empty here.
        (None, ..) => return Ok(None),
    };
    Ok(Some(Credentials { username: pair.0, password: pair.1 }))
}

fn decode(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Some tools pad the password with NULs.
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Keys are hosts, or, from old versions of Docker, URLs.
fn names(key: &str, registry: &str) -> bool {
    let host = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key)
        .split('/')
        .next()
        .unwrap_or_default();
    match host {
        "index.docker.io" | "registry-1.docker.io" => registry == DEFAULT_REGISTRY,
        host => host == registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, registry: &str) -> Option<(String, String)> {
        find(json.as_bytes(), registry).unwrap().map(|c| (c.username, c.password))
    }

    #[test]
    fn finds_what_docker_login_stored() {
        let json = r#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"bWU6c2VjOnJldA=="},
            "localhost:5000":{"username":"u","password":"p"},
            "helper.example.com":{}},
            "credsStore":"desktop","HttpHeaders":{"a":"b"}}"#;
        assert_eq!(found(json, "docker.io"), Some(("me".into(), "sec:ret".into())));
        assert_eq!(found(json, "localhost:5000"), Some(("u".into(), "p".into())));
        assert_eq!(found(json, "localhost"), None, "the port is part of the name");
        assert_eq!(found(json, "helper.example.com"), None);
        assert_eq!(found("{}", "docker.io"), None);
    }

    #[test]
    fn bad_files_are_named_and_not_quoted() {
        let secret = r#"{"auths":{"a.b":{"auth":"c2VjcmV0"}}}"#;
        assert!(!find(secret.as_bytes(), "a.b").unwrap_err().contains("c2Vj"));
        let error = find(br#"{"auths":"hunter2"}"#, "a.b").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(credentials(Path::new("/nonexistent/config.json"), "a.b").unwrap().is_none());
    }

    #[test]
    fn debug_hides_the_password() {
        let credentials = Credentials { username: "u".into(), password: "hunter2".into() };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
