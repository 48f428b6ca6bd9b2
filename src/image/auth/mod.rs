// SPDX-License-Identifier: Apache-2.0
//! Credentials for registries: where `docker login`, `podman login` and
//! `mvm login` leave them, and the helper programs that keep them.

mod file;
mod helper;
mod save;

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::reference::DEFAULT_REGISTRY;
pub use save::{Kept, erase, save};

/// Docker Hub's key in every file and helper.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// A user name that says: the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// A user name and a password. `Debug` does not print the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or access token.
    pub password: String,
    /// An OAuth refresh token, which stands for both.
    pub identity_token: Option<String>,
}

impl Credentials {
    /// A name and its password; the name `<token>` marks an identity token.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        let (username, password) = (username.into(), password.into());
        if username == TOKEN_USER {
            let identity_token = Some(password);
            return Self { username, password: String::new(), identity_token };
        }
        Self { username, password, identity_token: None }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Docker's configuration file: `$DOCKER_CONFIG/config.json`, else
/// `~/.docker/config.json`.
pub fn docker_config_file() -> Option<PathBuf> {
    match std::env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty()) {
        Some(dir) => Some(PathBuf::from(dir).join("config.json")),
        None => Some(directories::BaseDirs::new()?.home_dir().join(".docker/config.json")),
    }
}

/// The files to look into, in this order: `$REGISTRY_AUTH_FILE`, Docker's, and
/// those of podman, skopeo and buildah (containers-auth.json(5)).
pub fn files(docker: &Path) -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let mut files: Vec<PathBuf> =
        variable("REGISTRY_AUTH_FILE").map(PathBuf::from).into_iter().collect();
    files.push(docker.to_owned());
    if let Some(runtime) = variable("XDG_RUNTIME_DIR") {
        files.push(PathBuf::from(runtime).join("containers/auth.json"));
    }
    if let Some(own) = super::registry::user_directory() {
        files.push(own.join("containers/auth.json"));
    }
    files
}

/// The credentials for a repository, from the first file that has some.
pub async fn find(
    files: &[PathBuf],
    registry: &str,
    repository: &str,
) -> Result<Option<Credentials>> {
    for path in files {
        let Some(file) = file::read(path)? else { continue };
        if let Some(name) = file.helper(registry)
            && let Some(credentials) = helper::get(name, &server_key(registry)).await?
        {
            return Ok(Some(credentials));
        }
        let found = file.find(registry, repository);
        let wrong = |detail| Error::Credentials { path: path.clone(), detail };
        if let Some(credentials) = found.map_err(wrong)? {
            return Ok(Some(credentials));
        }
    }
    Ok(None)
}

/// The login that one file has for a registry.
pub async fn stored(path: &Path, registry: &str) -> Result<Option<Credentials>> {
    find(&[path.to_owned()], registry, "").await
}

/// The first file that has credentials for a registry, or names a helper that
/// has.
pub async fn known_in(docker: &Path, registry: &str) -> Result<Option<PathBuf>> {
    for path in files(docker) {
        if find(std::slice::from_ref(&path), registry, "").await?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What files and helpers call a registry.
pub fn server_key(registry: &str) -> String {
    match registry {
        DEFAULT_REGISTRY => HUB_KEY.into(),
        host => host.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_secrets() {
        for credentials in
            [Credentials::new("u", "hunter2"), Credentials::new("<token>", "hunter2")]
        {
            assert!(!format!("{credentials:?}").contains("hunter2"));
        }
    }

    #[test]
    fn the_first_file_that_has_some_wins() {
        let home = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = [
            home.path().join("missing"),
            file("a", r#"{"auths":{"other":{"auth":"YTpi"}}}"#),
            file("b", r#"{"auths":{"r:5000/team":{"auth":"Yjpj"}}}"#),
            file("c", r#"{"auths":{"r:5000":{"auth":"Yzpk"}}}"#),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = |repository: &str| {
            let found = runtime.block_on(find(&files, "r:5000", repository)).unwrap();
            found.map(|credentials| credentials.username)
        };
        assert_eq!(found("team/app").as_deref(), Some("b"));
        assert_eq!(found("teams").as_deref(), Some("c"));
    }
}
