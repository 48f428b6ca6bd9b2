// SPDX-License-Identifier: Apache-2.0
//! The image configuration (OCI image-spec, config.md): what to run and how,
//! and the diff IDs of the layers.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::digest::Digest;
use super::platform::Platform;

/// What the image says about the process to run. Fields that the image leaves
/// out are empty; `entrypoint` and `cmd` keep "absent" and "empty" apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The arguments after `entrypoint`, or the whole command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE` strings.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The working directory; empty means `/`.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// `user`, `uid`, `user:group`, …; empty means root.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// The signal that asks the process to end; empty means SIGTERM.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
    /// `port/protocol` strings.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys")]
    pub exposed_ports: Vec<String>,
    /// Paths that are to be volumes.
    #[serde(deserialize_with = "keys", serialize_with = "as_keys")]
    pub volumes: Vec<String>,
    /// Arbitrary metadata.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// The configuration document as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDocument {
    /// What the image was built for.
    pub platform: Platform,
    /// When it was built, RFC 3339 as the image wrote it.
    pub created: Option<String>,
    /// What to run.
    pub config: ImageConfig,
    /// The digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
}

/// Why a configuration cannot be used. The messages follow "the configuration
/// of X".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON it should be.
    #[error("is not valid: {0}")]
    Json(String),
    /// `rootfs.type` must be `layers`.
    #[error("has a root file system of the unknown type {0:?}")]
    RootfsType(String),
    /// Manifest and configuration disagree.
    #[error("lists {diff_ids} diff IDs, but the manifest has {layers} layers")]
    LayerCount {
        /// In the configuration.
        diff_ids: usize,
        /// In the manifest.
        layers: usize,
    },
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, deserialize_with = "or_default")]
    os: String,
    #[serde(default, deserialize_with = "or_default")]
    architecture: String,
    variant: Option<String>,
    created: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: ImageConfig,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    diff_ids: Vec<Digest>,
}

impl ConfigDocument {
    /// Reads a configuration that belongs to a manifest of `layers` layers.
    pub fn parse(body: &[u8], layers: usize) -> Result<Self, ConfigError> {
        let raw: Raw =
            serde_json::from_slice(body).map_err(|error| ConfigError::Json(error.to_string()))?;
        if raw.rootfs.kind != "layers" {
            return Err(ConfigError::RootfsType(raw.rootfs.kind.chars().take(80).collect()));
        }
        let diff_ids = raw.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(ConfigError::LayerCount { diff_ids: diff_ids.len(), layers });
        }
        // Images of some build tools leave the platform out; it is then taken
        // for this machine's, as Docker does.
        let host = Platform::host();
        let platform = Platform {
            os: Some(raw.os).filter(|os| !os.is_empty()).unwrap_or(host.os),
            architecture: Some(raw.architecture)
                .filter(|architecture| !architecture.is_empty())
                .unwrap_or(host.architecture),
            variant: raw.variant,
        }
        .normalized();
        Ok(Self { platform, created: raw.created, config: raw.config, diff_ids })
    }
}

/// Go writes an empty list or map as `null`.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A Go set: a map whose values mean nothing.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(deserializer)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

fn as_keys<S: serde::Serializer>(keys: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(keys.iter().map(|key| (key, BTreeMap::<(), ()>::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_what_docker_writes() {
        let body = format!(
            r#"{{"architecture":"arm64","os":"linux","variant":"v8","created":"2024-01-02T03:04:05.6Z",
            "config":{{"Hostname":"","User":"www","ExposedPorts":{{"80/tcp":{{}},"443/tcp":{{}}}},
            "Env":["PATH=/bin","A="],"Cmd":null,"Entrypoint":["/run"],"Volumes":{{"/data":{{}}}},
            "WorkingDir":"/srv","OnBuild":null,"Labels":{{"a":"b"}},"StopSignal":"SIGQUIT"}},
            "history":[{{"created_by":"x"}}],"rootfs":{{"type":"layers","diff_ids":["{DIFF}"]}}}}"#
        );
        let read = ConfigDocument::parse(body.as_bytes(), 1).unwrap();
        assert_eq!(read.platform.to_string(), "linux/arm64");
        assert_eq!(read.diff_ids[0].to_string(), DIFF);
        let config = read.config;
        assert_eq!(config.entrypoint.as_deref(), Some(&["/run".to_owned()][..]));
        assert_eq!(config.cmd, None);
        assert_eq!(config.env, ["PATH=/bin", "A="]);
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("www", "/srv"));
        assert_eq!(config.exposed_ports, ["443/tcp", "80/tcp"]);
        assert_eq!(config.volumes, ["/data"]);
        assert_eq!(config.stop_signal, "SIGQUIT");
        let again: ImageConfig =
            serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config, "a configuration survives being written");
    }

    #[test]
    fn nulls_and_absent_fields_are_defaults() {
        for body in [
            r#"{"rootfs":{"type":"layers"}}"#,
            r#"{"config":null,"os":null,"rootfs":{"type":"layers","diff_ids":null}}"#,
            r#"{"config":{"Env":null,"Labels":null,"Volumes":null,"ExposedPorts":null,"User":null},
                "rootfs":{"type":"layers","diff_ids":[]}}"#,
        ] {
            let read = ConfigDocument::parse(body.as_bytes(), 0).unwrap();
            assert_eq!(read.config, ImageConfig::default());
            assert_eq!(read.platform, Platform::host());
        }
    }

    #[test]
    fn an_empty_command_is_not_an_absent_one() {
        let body = r#"{"config":{"Entrypoint":[]},"rootfs":{"type":"layers"}}"#;
        let read = ConfigDocument::parse(body.as_bytes(), 0).unwrap();
        assert_eq!(read.config.entrypoint, Some(vec![]));
    }

    #[test]
    fn refuses_what_does_not_fit_the_manifest() {
        let count = ConfigDocument::parse(br#"{"rootfs":{"type":"layers"}}"#, 2).unwrap_err();
        assert_eq!(count, ConfigError::LayerCount { diff_ids: 0, layers: 2 });
        let kind = ConfigDocument::parse(br#"{"rootfs":{"type":"base"}}"#, 0).unwrap_err();
        assert_eq!(kind, ConfigError::RootfsType("base".into()));
        for bad in ["", "[]", "{}", r#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#] {
            assert!(matches!(ConfigDocument::parse(bad.as_bytes(), 0), Err(ConfigError::Json(_))));
        }
    }
}
