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
use crate::image::{Limits, PullOptions, Registries, RegistryTable};
use crate::state::Dirs;
use crate::terminal::DetachKeys;

/// A file that is larger is none of ours.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// As `--backend`.
    pub backend: Option<BackendName>,
    /// As `--detach-keys`.
    #[serde(rename = "detach-keys")]
    pub detach_keys: Option<DetachKeys>,
    /// What an image may ask for.
    #[serde(default)]
    pub images: ImageLimits,
    /// By host; see docs/REGISTRIES.md.
    #[serde(default)]
    pub registries: BTreeMap<String, RegistryTable>,
}

/// `[images]`: generous caps, for the image that needs more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageLimits {
    /// GiB of one uncompressed layer, and of the data in it.
    pub max_layer_gib: Option<u32>,
    /// Entries of one layer.
    pub max_layer_entries: Option<u64>,
}

impl Config {
    pub fn path(directory: &Path) -> PathBuf {
        directory.join("config.toml")
    }

    /// Pulls as this user wants them.
    pub fn pull_options(&self) -> PullOptions {
        PullOptions {
            limits: self.limits(),
            registries: Registries { tables: self.registries.clone(), ..Registries::default() },
            ..PullOptions::default()
        }
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        if let Some(gib) = self.images.max_layer_gib {
            limits.layer_bytes = u64::from(gib) << 30;
            limits.conversion.max_bytes = u64::from(gib) << 30;
        }
        if let Some(entries) = self.images.max_layer_entries {
            limits.conversion.max_entries = entries;
        }
        limits
    }

    /// The one in these directories.
    pub fn of(dirs: &Dirs) -> Result<Self> {
        Self::load(&Self::path(&dirs.config))
    }

    /// The file at `path`, or what holds without one.
    pub fn load(path: &Path) -> Result<Self> {
        let failed = |why: String| {
            Failure::cannot(format!("use {}", path.display()), why.trim_end()).hint(
                "correct it or remove it; it knows: backend = \"auto\", \"libkrun\" or \"qemu\", \
                 detach-keys = \"ctrl-p,ctrl-q\", \
                 [images] with max-layer-gib and max-layer-entries, and [registries.\"HOST\"] \
                 with insecure, ca, mirrors and blocked",
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
        std::fs::write(&path, "[images]\nmax-layer-gib = 1\n").unwrap();
        assert_eq!(Config::load(&path).unwrap().limits().layer_bytes, 1 << 30);
        for wrong in [
            "[images]\nmax-layer-gib = -1",
            "[registries.x]\ninsecur = true",
            "backend = \"vmware\"",
            "detach-keys = \"ctrl-\"",
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
