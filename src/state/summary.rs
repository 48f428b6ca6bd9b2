// SPDX-License-Identifier: Apache-2.0
//! What lists show of a VM: its record without what only a start or a removal
//! needs, which is most of it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ExitRecord, Phase, Record};

/// Fields of a record that lists show, or filter by; text is a `String`, or
/// lies elsewhere. What is changed here changes the format of the index
/// (`index::MAGIC`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Ord"))]
pub struct Summary<T = String> {
    pub schema: u32,
    pub id: T,
    pub name: T,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    pub image: ImageSummary<T>,
    pub command: Vec<T>,
    pub backend: T,
    pub vcpus: u32,
    pub memory_mib: u64,
    pub network: T,
    pub auto_remove: bool,
    #[serde(default)]
    pub labels: Labels<T>,
    pub phase: Phase,
    #[serde(default)]
    pub started_ms: Option<u64>,
    #[serde(default)]
    pub exit: Option<ExitSummary>,
}

/// The image of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSummary<T = String> {
    /// As it was asked for.
    pub reference: T,
    pub id: T,
}

/// How a VM ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitSummary {
    pub code: u8,
    /// Milliseconds since 1970.
    pub finished_ms: u64,
}

/// Names and values, sorted by name: a map that takes no more than they do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels<T = String>(Vec<(T, T)>);

/// A VM in a list; `alive` is what its lock says, if it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    pub vm: Summary<&'a str>,
    pub alive: bool,
}

/// Where the text of a list lies.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The bytes of the index.
    pub(super) index: Vec<u8>,
    /// What was read, or has another name by now.
    pub(super) read: Vec<Summary>,
}

impl Listed<'_> {
    /// The phase that is true now, whatever a dead monitor wrote.
    pub fn phase(&self) -> Phase {
        self.vm.phase.now(self.alive)
    }
}

impl Summary {
    pub(super) fn borrowed(&self) -> Summary<&str> {
        Summary {
            schema: self.schema,
            id: &self.id,
            name: &self.name,
            created_ms: self.created_ms,
            image: ImageSummary { reference: &self.image.reference, id: &self.image.id },
            command: self.command.iter().map(String::as_str).collect(),
            backend: &self.backend,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            network: &self.network,
            auto_remove: self.auto_remove,
            labels: Labels(self.labels.0.iter().map(|(k, v)| (&**k, &**v)).collect()),
            phase: self.phase,
            started_ms: self.started_ms,
            exit: self.exit,
        }
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
            labels: Labels(record.labels.into_iter().collect()),
            phase: record.phase,
            started_ms: record.started_ms,
            exit: record.exit.map(exit),
        }
    }
}

impl<T: AsRef<str>> Labels<T> {
    /// The value of the label that has this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(label, _)| label.as_ref() == name);
        found.map(|(_, value)| value.as_ref())
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

impl<T> Default for Labels<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Labels<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for Labels<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor(PhantomData))
    }
}

struct LabelsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Ord> Visitor<'de> for LabelsVisitor<T> {
    type Value = Labels<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<T>, A::Error> {
        // No size is believed that is not seen.
        let mut labels = Vec::with_capacity(map.size_hint().unwrap_or(0).min(8));
        while let Some(label) = map.next_entry()? {
            labels.push(label);
        }
        // As mvm writes them.
        if labels.is_sorted_by(|(one, _): &(T, T), (next, _)| one < next) {
            return Ok(Labels(labels));
        }
        let sorted: BTreeMap<T, T> = labels.into_iter().collect();
        Ok(Labels(sorted.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_map() {
        let labels: Labels = serde_json::from_str(r#"{"b":"1","a":"2","b":"3"}"#).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!((labels.get("b"), labels.get("c")), (Some("3"), None));
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"a":"2","b":"3"}"#);
    }
}
