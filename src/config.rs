// SPDX-License-Identifier: Apache-2.0
//! `config.toml` in the configuration directory: what this user wants of every
//! command that does not say otherwise. It need not exist.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Failure, Result};
use crate::hypervisor::BackendName;
use crate::image::{Registries, RegistryTable};

/// A file that is larger is none of ours.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// As `--backend`.
    pub backend: Option<BackendName>,
    /// By host; see docs/REGISTRIES.md.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryTable>,
}

impl Config {
    pub fn path(directory: &Path) -> PathBuf {
        directory.join("config.toml")
    }

    /// What it says of registries, before the files of other tools.
    pub fn registries(&self) -> Registries {
        Registries { tables: self.registries.clone(), ..Registries::default() }
    }

    /// The file at `path`, or what holds without one.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |why: String| {
            Failure::cannot(format!("use {}", path.display()), why.trim_end()).hint(
                "correct it or remove it; it knows: backend = \"auto\", \"libkrun\" or \"qemu\", and \
                 [registries.\"HOST\"] with insecure, ca, mirrors and blocked",
            )
        };
        let mut text = String::new();
        let read = File::open(path).and_then(|f| f.take(MAX_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => toml::from_str(&text).map_err(|e| failed(e.to_string())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(failed(e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_and_not_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = Config::path(directory.path());
        assert_eq!(Config::load(&path).unwrap(), Config::default());
        std::fs::write(&path, "backend = \"libkrun\"\n").unwrap();
        assert_eq!(Config::load(&path).unwrap().backend, Some(BackendName::Libkrun));
        let registries = "[registries.\"r:5000\"]\ninsecure = true\nmirrors = [\"m\"]\n";
        std::fs::write(&path, registries).unwrap();
        assert_eq!(Config::load(&path).unwrap().registries["r:5000"].insecure, Some(true));
        for wrong in [
            "[registries.x]\ninsecur = true",
            "backend = \"vmware\"",
            "backends = 1",
            "backend",
            "\u{0}",
            "backend = 1",
        ] {
            std::fs::write(&path, wrong).unwrap();
            let failure = Config::load(&path).unwrap_err();
            assert!(failure.message.contains("config.toml"), "{failure}");
            assert!(failure.hint.is_some());
        }
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(Config::load(&path).is_err());
    }
}
