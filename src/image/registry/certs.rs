// SPDX-License-Identifier: Apache-2.0
//! Whom to trust: the system's authorities (and `SSL_CERT_FILE`), and those
//! that Docker's and containers' `certs.d` have for one registry.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Identity};

use crate::image::error::{Error, IoContext, Result};

/// A certificate file that is larger is none.
const MAX_BYTES: u64 = 4 << 20;

/// The trust in one registry.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Any certificate will do.
    pub unverified: bool,
    /// PEM files with authorities beside the system's.
    pub authorities: Vec<PathBuf>,
    /// PEM files with our own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Trust {
    /// What `certs.d` has for `host`: every `*.crt` is an authority, `X.cert`
    /// and `X.key` are our own (dockerd, "Use certificates with a registry").
    pub fn add_directories(&mut self, directories: &[PathBuf], host: &str) {
        for directory in directories {
            let Ok(entries) = fs::read_dir(directory.join(host)) else { continue };
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.sort();
            let is = |path: &Path, wanted: &str| path.extension().is_some_and(|e| e == wanted);
            self.authorities.extend(files.iter().filter(|path| is(path, "crt")).cloned());
            if let (None, Some(own)) = (&self.identity, files.iter().find(|p| is(p, "cert"))) {
                self.identity = Some((own.clone(), own.with_extension("key")));
            }
        }
    }

    /// Whether somebody set up TLS for this registry.
    pub fn is_special(&self) -> bool {
        !self.authorities.is_empty() || self.identity.is_some()
    }

    /// Reads the files.
    pub fn load(self, registry: &str) -> Result<(Vec<Certificate>, Option<Identity>)> {
        let wrong = |path: &Path, what: &str| Error::Tls {
            registry: registry.to_owned(),
            detail: format!("{} is no {what} in PEM form", path.display()),
        };
        let mut roots = Vec::new();
        for path in &self.authorities {
            let text = read(path)?;
            let read = Certificate::from_pem_bundle(&text).unwrap_or_default();
            if read.is_empty() {
                return Err(wrong(path, "certificate"));
            }
            roots.extend(read);
        }
        let Some((certificate, key)) = self.identity else { return Ok((roots, None)) };
        let pem = [read(&certificate)?, b"\n".to_vec(), read(&key)?].concat();
        let identity = Identity::from_pem(&pem).map_err(|_| wrong(&key, "certificate and key"))?;
        Ok((roots, Some(identity)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = fs::File::open(path).at("read", path)?;
    file.take(MAX_BYTES).read_to_end(&mut text).at("read", path)?;
    Ok(text)
}

/// Where `certs.d` is looked for, the user's own first.
pub fn directories() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(own) = super::conf::user_directory() {
        found.push(own.join("containers/certs.d"));
        found.push(own.join("docker/certs.d"));
    }
    if cfg!(unix) {
        found.push("/etc/containers/certs.d".into());
        found.push("/etc/docker/certs.d".into());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certs_d_is_read_by_its_extensions() {
        let home = tempfile::tempdir().unwrap();
        let host = home.path().join("r.example.com:5000");
        fs::create_dir(&host).unwrap();
        for name in ["b.crt", "a.crt", "client.cert", "client.key", "README"] {
            fs::write(host.join(name), "not PEM").unwrap();
        }
        let mut trust = Trust::default();
        trust.add_directories(&[home.path().to_owned()], "r.example.com:5000");
        assert_eq!(trust.authorities, [host.join("a.crt"), host.join("b.crt")]);
        assert_eq!(trust.identity, Some((host.join("client.cert"), host.join("client.key"))));
        let error = trust.load("r").unwrap_err();
        assert!(error.to_string().ends_with("a.crt is no certificate in PEM form"), "{error}");
        let mut other = Trust::default();
        other.add_directories(&[home.path().to_owned()], "r.example.com");
        assert!(!other.is_special());
    }
}
