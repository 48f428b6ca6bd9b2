// SPDX-License-Identifier: Apache-2.0
//! `config.toml` in the configuration directory: what this user wants of every
//! command that does not say otherwise. It need not exist.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

mod text;

pub use text::Text;

use crate::error::{Failure, Result};
use crate::hypervisor::BackendName;
use crate::image::{Limits, PullOptions, Registries, RegistryTable};
use crate::similar;
use crate::state::Dirs;
use crate::terminal::DetachKeys;

/// A file that is larger is none of ours.
const MAX_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// As `--backend`.
    pub backend: Option<BackendName>,
    /// As `--detach-keys`.
    pub detach_keys: Option<DetachKeys>,
    // What follows has the flag's own text, and its parser reads it.
    pub boot_timeout: Option<Text>,
    pub cpus: Option<Text>,
    pub disk: Option<Text>,
    pub kernel: Option<Text>,
    pub log_driver: Option<Text>,
    pub log_opt: Option<Text>,
    pub memory: Option<Text>,
    pub network: Option<Text>,
    pub pids_limit: Option<Text>,
    pub platform: Option<Text>,
    pub pull: Option<Text>,
    pub shm_size: Option<Text>,
    pub stop_timeout: Option<Text>,
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

    /// Defaults of flags of `run` and `create`, by the flag's name, which is the
    /// key's.
    pub fn flags(&self) -> [(&'static str, &Option<Text>); 13] {
        [
            ("boot-timeout", &self.boot_timeout),
            ("cpus", &self.cpus),
            ("disk", &self.disk),
            ("kernel", &self.kernel),
            ("log-driver", &self.log_driver),
            ("log-opt", &self.log_opt),
            ("memory", &self.memory),
            ("network", &self.network),
            ("pids-limit", &self.pids_limit),
            ("platform", &self.platform),
            ("pull", &self.pull),
            ("shm-size", &self.shm_size),
            ("stop-timeout", &self.stop_timeout),
        ]
    }

    /// The one in these directories.
    pub fn of(dirs: &Dirs) -> Result<Self> {
        Self::load(&Self::path(&dirs.config))
    }

    /// The file at `path`, or what holds without one.
    pub fn load(path: &Path) -> Result<Self> {
        match read(path)? {
            Some(text) => Self::parse(path, &text),
            None => Ok(Self::default()),
        }
    }

    /// What `text` says, which is of the file at `path` or is to be.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let failure =
                Failure::cannot(format!("use {}", path.display()), error.to_string().trim_end());
            failure.hint(nearest_key(error.message()).unwrap_or_else(|| {
                "correct it or remove it; mvm config and docs/CONFIG.md have the keys".into()
            }))
        })
    }
}

/// The text of the file at `path`, if there is one.
pub fn read(path: &Path) -> Result<Option<String>> {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::cannot(format!("use {}", path.display()), why).hint("correct it or remove it")
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&e)),
    };
    let mut text = String::new();
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > MAX_BYTES => Err(failed(&"it has more than a MiB")),
        Ok(_) => Ok(Some(text)),
        Err(e) => Err(failed(&e)),
    }
}

/// What was meant by a key that is unknown.
fn nearest_key(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, known) = rest.split_once('`')?;
    similar::did_you_mean(unknown, known.split('`').filter(|word| !word.contains([' ', ','])))
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
        std::fs::write(&path, "memry = 1\n").unwrap();
        let hint = Config::load(&path).unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("did you mean memory?"));
        std::fs::write(&path, b"\xff\xfe").unwrap();
        assert!(Config::load(&path).is_err());
    }
}
