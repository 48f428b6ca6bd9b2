// SPDX-License-Identifier: Apache-2.0
//! What `mvm login` and `mvm logout` change: Docker's file, or the helper that
//! it names. Everything else in the file stays as it is.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Credentials, file, helper, server_key};
use crate::image::error::{Error, IoContext, Result};
use crate::state::replace_file;

/// Where credentials went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In a file, which anyone who can read it can use.
    File(PathBuf),
    /// With a helper.
    Helper,
}

/// Keeps the credentials for a registry.
pub async fn save(path: &Path, registry: &str, credentials: &Credentials) -> Result<Kept> {
    let server = server_key(registry);
    let helper = file::read(path)?.and_then(|f| f.helper(registry).map(str::to_owned));
    let entry = match &helper {
        Some(name) => {
            helper::store(name, &server, credentials).await?;
            json!({})
        }
        None => {
            let pair = format!("{}:{}", credentials.username, credentials.password);
            let mut entry = json!({"auth": STANDARD.encode(pair)});
            if let Some(token) = &credentials.identity_token {
                entry["identitytoken"] = json!(token);
            }
            entry
        }
    };
    change(path, |auths| {
        auths.insert(server, entry);
        true
    })?;
    Ok(if helper.is_some() { Kept::Helper } else { Kept::File(path.to_owned()) })
}

/// Forgets them. Returns whether there was something to forget.
pub async fn erase(path: &Path, registry: &str) -> Result<bool> {
    let Some(read) = file::read(path)? else { return Ok(false) };
    let mut known = false;
    if let Some(name) = read.helper(registry) {
        let server = server_key(registry);
        known = helper::get(name, &server).await?.is_some();
        helper::erase(name, &server).await?;
    }
    change(path, |auths| {
        let before = auths.len();
        auths.retain(|key, _| file::host_and_path(key) != (registry, ""));
        known |= auths.len() != before;
        auths.len() != before
    })?;
    Ok(known)
}

/// Rewrites the `auths` of a file, if `edit` says so.
fn change(path: &Path, edit: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result<()> {
    // Who links the file to another place wants it there.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let wrong = |detail: &str| Error::Credentials { path: path.clone(), detail: detail.into() };
    let text = match fs::read(&path) {
        Ok(text) if !text.iter().all(u8::is_ascii_whitespace) => text,
        Ok(_) => b"{}".to_vec(),
        Err(error) if error.kind() == ErrorKind::NotFound => b"{}".to_vec(),
        Err(error) => return Err(error).at("read", &path),
    };
    let mut document: Value =
        serde_json::from_slice(&text).map_err(|_| wrong("it is not valid JSON"))?;
    let Some(top) = document.as_object_mut() else { return Err(wrong("it is no JSON object")) };
    let auths = top.entry("auths").or_insert_with(|| json!({}));
    let Some(auths) = auths.as_object_mut() else { return Err(wrong("its auths are no object")) };
    if !edit(auths) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        crate::sys::create_private_dir_all(directory).at("create", directory)?;
    }
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, tabs);
    serde::Serialize::serialize(&document, &mut serializer)
        .map_err(|_| wrong("it cannot be written"))?;
    text.push(b'\n');
    replace_file(&path, &text).at("write", &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_login_changes_one_entry_and_a_logout_takes_it_away() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/config.json");
        let me = Credentials::new("me", "se:cret");
        assert_eq!(block_on(save(&path, "r:5000", &me)).unwrap(), Kept::File(path.clone()));
        let found = block_on(super::super::find(std::slice::from_ref(&path), "r:5000", "a"));
        assert_eq!(found.unwrap(), Some(me.clone()));

        let other = r#"{"psFormat":"x","auths":{"https://index.docker.io/v1/":{"auth":"YTpi","email":"e"},"r/team":{}},"z":[1]}"#;
        fs::write(&path, other).unwrap();
        block_on(save(&path, "docker.io", &me)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["auths"]["https://index.docker.io/v1/"]["auth"], "bWU6c2U6Y3JldA==");
        assert!(
            text.find("psFormat") < text.find("auths") && text.find("auths") < text.find("\"z\"")
        );
        assert!(block_on(erase(&path, "docker.io")).unwrap());
        assert!(!block_on(erase(&path, "docker.io")).unwrap());
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["auths"], json!({"r/team": {}}));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_broken_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.json");
        for text in ["{\"auths\":", "[]", "{\"auths\":[]}"] {
            fs::write(&path, text).unwrap();
            assert!(block_on(save(&path, "r", &Credentials::new("a", "b"))).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone_and_a_link_stays_one() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let (real, link) = (home.path().join("real.json"), home.path().join("config.json"));
        fs::write(&real, "{}").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        block_on(save(&link, "r", &Credentials::new("a", "b"))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
