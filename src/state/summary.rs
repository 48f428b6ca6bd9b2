// SPDX-License-Identifier: Apache-2.0
//! What lists show of a VM: its record without what only a start or a removal
//! needs, which is most of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ExitRecord, Phase, Record};

/// Fields of a record that lists show, or filter by. What is changed here
/// changes the format of the index (`index::VERSION`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub schema: u32,
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    pub image: ImageSummary,
    pub command: Vec<String>,
    pub backend: String,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub network: String,
    pub auto_remove: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub phase: Phase,
    #[serde(default)]
    pub started_ms: Option<u64>,
    #[serde(default)]
    pub exit: Option<ExitSummary>,
}

/// The image of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary {
    /// As it was asked for.
    pub reference: String,
    pub id: String,
}

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitSummary {
    pub code: u8,
    /// Milliseconds since 1970.
    pub finished_ms: u64,
}

/// A VM in a list; `alive` is what its lock says, if it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub vm: Box<Summary>,
    pub alive: bool,
}

impl Listed {
    /// The phase that is true now, whatever a dead monitor wrote.
    pub fn phase(&self) -> Phase {
        self.vm.phase.now(self.alive)
    }
}

impl From<Record> for Summary {
    fn from(record: Record) -> Self {
        let exit = |ExitRecord { code, finished_ms, .. }| ExitSummary { code, finished_ms };
        Self {
            schema: record.schema,
            id: record.id,
            name: record.name,
            created_ms: record.created_ms,
            image: ImageSummary { reference: record.image.reference, id: record.image.id },
            command: record.command,
            backend: record.backend,
            vcpus: record.vcpus,
            memory_mib: record.memory_mib,
            network: record.network,
            auto_remove: record.auto_remove,
            labels: record.labels,
            phase: record.phase,
            started_ms: record.started_ms,
            exit: record.exit.map(exit),
        }
    }
}
