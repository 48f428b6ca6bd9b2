// SPDX-License-Identifier: Apache-2.0
//! What a conversion found out about a layer that its disk image cannot say: a
//! small file beside it, read when an image is put together, never at a start.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Store, Unfinished};
use crate::image::digest::Digest;
use crate::image::error::{IoContext, Result};
use crate::image::layer::Summary;

const SCHEMA: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    schema_version: u32,
    entries: u64,
    /// Layers below this one are not to be seen at all.
    root_opaque: bool,
    /// Directories without an entry of their own, whose attributes are those of
    /// the nearest layer below. Paths in hexadecimal: they need not be UTF-8.
    #[serde(default)]
    implied_dirs: Vec<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Store {
    /// Where the facts of a layer are, or would be.
    pub(super) fn facts_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers().join(format!("{}.json", diff_id.hex()))
    }

    /// Adds a converted layer. The disk image comes last, since it is what makes
    /// the layer count as there.
    pub(in crate::image) fn put_layer(
        &self,
        diff_id: &Digest,
        image: Unfinished,
        summary: &Summary,
    ) -> Result<()> {
        let facts = Facts {
            schema_version: SCHEMA,
            entries: summary.entries,
            root_opaque: summary.root_opaque,
            implied_dirs: summary.implied_dirs.iter().map(hex::encode).collect(),
            rest: Map::new(),
        };
        let file = self.layer_ingest().create()?;
        let text = serde_json::to_vec(&facts).unwrap_or_default();
        file.file().write_all(&text).at("write", file.path())?;
        file.persist(&self.facts_path(diff_id))?;
        image.persist(&self.layer_path(diff_id))
    }

    /// Whether the facts of a layer are what its conversion finds out.
    pub(super) fn facts_match(&self, diff_id: &Digest, summary: &Summary) -> Result<bool> {
        let implied: Vec<String> = summary.implied_dirs.iter().map(hex::encode).collect();
        Ok(self.facts(diff_id)?.is_some_and(|facts| {
            facts.schema_version == SCHEMA
                && facts.entries == summary.entries
                && facts.root_opaque == summary.root_opaque
                && facts.implied_dirs == implied
        }))
    }

    /// How many of an image's lowest layers an opaque root above hides.
    pub(in crate::image) fn hidden_layers(&self, diff_ids: &[Digest]) -> Result<usize> {
        for (at, diff_id) in diff_ids.iter().enumerate().rev() {
            if self.facts(diff_id)?.is_some_and(|facts| facts.root_opaque) {
                return Ok(at);
            }
        }
        Ok(0)
    }

    /// Directories of a layer whose attributes are those of a layer below;
    /// `None` if its facts are not there or damaged, which a pull mends.
    pub(super) fn implied_dirs(&self, diff_id: &Digest) -> Result<Option<Vec<Vec<u8>>>> {
        let facts = self.facts(diff_id)?;
        Ok(facts.and_then(|facts| facts.implied_dirs.iter().map(|d| hex::decode(d).ok()).collect()))
    }

    pub(super) fn has_facts(&self, diff_id: &Digest) -> bool {
        matches!(self.implied_dirs(diff_id), Ok(Some(_)))
    }

    fn facts(&self, diff_id: &Digest) -> Result<Option<Facts>> {
        let path = self.facts_path(diff_id);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).at("read", &path),
        }
    }
}
