// SPDX-License-Identifier: Apache-2.0
//! `config.json` of Docker and `auth.json` of containers: one format.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Credentials;
use crate::image::error::{Error, Result};
use crate::image::reference::DEFAULT_REGISTRY;

/// A file that is larger is none of these.
const MAX_BYTES: u64 = 16 << 20;

/// What is read of a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthFile {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

/// Reads a file; `None` if there is none.
pub fn read(path: &Path) -> Result<Option<AuthFile>> {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(MAX_BYTES).read_to_end(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { doing: "read", path: path.to_owned(), source }),
    }
    let wrong = |detail| Error::Credentials { path: path.to_owned(), detail };
    parse(&text).map(Some).map_err(wrong)
}

pub fn parse(text: &[u8]) -> Result<AuthFile, String> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return parse(b"{}");
    }
    // serde's message is left out on purpose: it could quote a secret.
    serde_json::from_slice(text).map_err(|e| format!("not valid JSON at line {}", e.line()))
}

impl AuthFile {
    /// The helper that keeps the credentials of a registry.
    pub fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.iter().find(|(key, _)| host_and_path(key).0 == registry);
        let name = own.map(|(_, name)| name).or(self.creds_store.as_ref())?;
        Some(name.as_str()).filter(|name| !name.is_empty())
    }

    /// The credentials with the longest key that names the repository.
    pub fn find(&self, registry: &str, repository: &str) -> Result<Option<Credentials>, String> {
        let fits = |key: &str| {
            let (host, path) = host_and_path(key);
            let rest = repository.strip_prefix(path);
            let whole = path.is_empty()
                || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            (host == registry && whole).then_some(path.len())
        };
        let mut entries: Vec<(usize, &Entry)> =
            self.auths.iter().filter_map(|(key, entry)| Some((fits(key)?, entry))).collect();
        entries.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        for (_, entry) in entries {
            if let Some(credentials) = entry.credentials()? {
                return Ok(Some(credentials));
            }
        }
        Ok(None)
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let pair = match (filled(&self.auth), filled(&self.username), filled(&self.password)) {
            (Some(auth), ..) => {
                Some(decode(&auth).ok_or("an \"auth\" entry is not user:password in base64")?)
            }
            (None, Some(username), Some(password)) => Some((username, password)),
            // An entry whose secret lives in a credential helper is empty here.
            (None, ..) => None,
        };
        let identity = filled(&self.identitytoken);
        Ok(match (pair, identity) {
            (pair, Some(token)) => {
                let (username, password) = pair.unwrap_or_default();
                Some(Credentials { username, password, identity_token: Some(token) })
            }
            (Some((username, password)), None) => Some(Credentials::new(username, password)),
            (None, None) => None,
        })
    }
}

fn decode(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    // Some tools pad the password with NULs.
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// Keys are hosts, with podman also the start of a repository, or, from old
/// versions of Docker, URLs, whose path (`/v1/`) is none of a repository.
pub fn host_and_path(key: &str) -> (&str, &str) {
    let url = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = match url {
        Some(rest) => (rest.split('/').next().unwrap_or_default(), ""),
        None => key.trim_end_matches('/').split_once('/').unwrap_or((key, "")),
    };
    match host.trim_end_matches('/') {
        "index.docker.io" | "registry-1.docker.io" => {
            (DEFAULT_REGISTRY, if path == "v1" || path == "v2" { "" } else { path })
        }
        host => (host, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(json: &str, registry: &str, repository: &str) -> Option<(String, String)> {
        let file = parse(json.as_bytes()).unwrap();
        file.find(registry, repository).unwrap().map(|c| (c.username, c.password))
    }

    #[test]
    fn finds_what_docker_login_stored() {
        let json = r#"{"auths":{
            "https://index.docker.io/v1/":{"auth":"bWU6c2VjOnJldA=="},
            "localhost:5000":{"username":"u","password":"p"},
            "helper.example.com":{}},
            "credsStore":"desktop","HttpHeaders":{"a":"b"},
            "credHelpers":{"gcr.io":"gcloud"}}"#;
        assert_eq!(found(json, "docker.io", "library/a"), Some(("me".into(), "sec:ret".into())));
        assert_eq!(found(json, "localhost:5000", "a"), Some(("u".into(), "p".into())));
        assert_eq!(found(json, "localhost", "a"), None, "the port is part of the name");
        assert_eq!(found(json, "helper.example.com", "a"), None);
        assert_eq!((found("{}", "docker.io", "a"), found(" ", "docker.io", "a")), (None, None));
        let file = parse(json.as_bytes()).unwrap();
        assert_eq!((file.helper("gcr.io"), file.helper("x")), (Some("gcloud"), Some("desktop")));
    }

    #[test]
    fn the_longest_key_of_whole_parts_wins() {
        let json = r#"{"auths":{
            "r.example.com":{"auth":"YTpi"},
            "r.example.com/team":{"auth":"Yjpj"},
            "r.example.com/team/app":{"auth":"Yzpk"},
            "r.example.com/team/app/x":{}}}"#;
        let user = |repository: &str| found(json, "r.example.com", repository).unwrap().0;
        assert_eq!(user("team/app"), "c");
        assert_eq!(user("team/app/x"), "c", "an empty entry says nothing");
        assert_eq!(user("team/apple"), "b");
        assert_eq!(user("teams"), "a");
    }

    #[test]
    fn identity_tokens() {
        let json =
            r#"{"auths":{"r":{"auth":"dTo=","identitytoken":"abc"},"s":{"auth":"PHRva2VuPjp4"}}}"#;
        let file = parse(json.as_bytes()).unwrap();
        let token = |registry| file.find(registry, "a").unwrap().unwrap().identity_token;
        assert_eq!((token("r").as_deref(), token("s").as_deref()), (Some("abc"), Some("x")));
    }

    #[test]
    fn bad_files_are_named_and_not_quoted() {
        let secret = r#"{"auths":{"a.b":{"auth":"c2VjcmV0"}}}"#;
        let error = parse(secret.as_bytes()).unwrap().find("a.b", "x").unwrap_err();
        assert!(!error.contains("c2Vj"));
        let error = parse(br#"{"auths":"hunter2"}"#).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(read(Path::new("/nonexistent/config.json")).unwrap().is_none());
    }
}
