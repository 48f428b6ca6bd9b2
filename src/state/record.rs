// SPDX-License-Identifier: Apache-2.0
//! What is written about a VM. It holds no environment and no secret: those
//! reach the guest over the channel and are on no disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Dirs, Durability};
use crate::error::Failure;

/// Version of the record; a higher one is of a newer mvm and is not touched.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    pub image: ImageRecord,
    /// Command line as the guest runs it, for people; lossy where it is not UTF-8.
    pub command: Vec<String>,
    pub backend: String,
    /// Who the command runs as, as it was asked for; empty is root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub network: String,
    pub auto_remove: bool,
    /// The image's and its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its output is not kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlogged: bool,
    pub phase: Phase,
    /// It was never started, and has a disk all the same: files were copied to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_disk: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitRecord>,
    /// The directories this VM was made with: cleaning up uses these.
    pub dirs: Dirs,
    /// For people; liveness is the lock's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor_pid: Option<u32>,
    /// Fields of a later version survive a rewrite. Who only shows a record has
    /// none of them: to look for them takes longer than the rest.
    #[serde(flatten, skip_deserializing)]
    pub other: Map<String, Value>,
}

/// The fields above.
const FIELDS: [&str; 20] = [
    "schema",
    "id",
    "name",
    "created_ms",
    "image",
    "command",
    "backend",
    "user",
    "vcpus",
    "memory_mib",
    "network",
    "auto_remove",
    "labels",
    "unlogged",
    "phase",
    "has_disk",
    "started_ms",
    "exit",
    "dirs",
    "monitor_pid",
];

impl Record {
    /// All that `text` says, fields of a later version too.
    pub(super) fn whole(text: &[u8]) -> serde_json::Result<Self> {
        let mut record = Self::shown(text)?;
        let fields: Map<String, Value> = serde_json::from_slice(text)?;
        let other = |(name, _): &(String, Value)| !FIELDS.contains(&name.as_str());
        record.other = fields.into_iter().filter(other).collect();
        Ok(record)
    }

    /// What this version knows of it: never to be written again.
    pub(super) fn shown(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    /// What whoever needs it running is told.
    pub fn not_running(&self) -> Failure {
        let failure = Failure::new(format!("VM {} is not running", self.name)).status(1);
        // One with --rm is gone, or about to be.
        match self.auto_remove {
            true => failure,
            false => failure.hint(format!("mvm start {}", self.name)),
        }
    }

    /// A VM that goes with its end need not outlive the host's.
    pub fn durability(&self) -> Durability {
        match self.auto_remove {
            true => Durability::Fleeting,
            false => Durability::Synced,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// As it was asked for.
    pub reference: String,
    pub id: String,
    pub manifest_digest: String,
    /// Disk images that the VM has open, bottom first.
    pub layers: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being made, or booting for the first time; its maker, then its monitor,
    /// holds the lock. Left so by a killed maker, it is garbage.
    Creating,
    /// Made and never started.
    Created,
    /// Booting, and not to be lost if that goes wrong.
    Starting,
    /// The workload runs.
    Running,
    /// The workload ended, or the VM did; `exit` says how.
    Exited,
    /// The monitor died without a word.
    Dead,
}

impl Phase {
    /// The phase that is true of a VM whose record says this, and whose lock
    /// someone holds or nobody.
    pub(super) fn now(self, alive: bool) -> Self {
        match self {
            Self::Creating | Self::Starting | Self::Running if !alive => Self::Dead,
            phase => phase,
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// What `mvm run` exits with.
    pub code: u8,
    /// Signal that ended the workload, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u32>,
    #[serde(default)]
    pub oom_killed: bool,
    /// Milliseconds since 1970.
    pub finished_ms: u64,
    /// Why mvm or the VM failed, when it was not the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Milliseconds since 1970 by the host's wall clock.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests;
    use super::*;

    #[test]
    fn every_field_is_known_and_others_survive() {
        let home = tempfile::tempdir().unwrap();
        let mut record = tests::record(&Dirs::under(home.path()), "web");
        record.labels.insert("a".into(), "b".into());
        record.unlogged = true;
        record.has_disk = true;
        record.started_ms = Some(1);
        record.monitor_pid = Some(2);
        record.exit = Some(ExitRecord {
            code: 0,
            signal: None,
            oom_killed: false,
            finished_ms: 1,
            error: None,
        });
        let fields = serde_json::to_value(&record).unwrap();
        let fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, FIELDS);
        record.other.insert("later".into(), Value::Null);
        let text = serde_json::to_vec(&record).unwrap();
        assert_eq!(Record::whole(&text).unwrap(), record);
        assert!(Record::shown(&text).unwrap().other.is_empty());
    }
}
