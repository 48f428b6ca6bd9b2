// SPDX-License-Identifier: Apache-2.0
//! How much of the output is kept.

use serde::{Deserialize, Serialize};

/// The newest output stays: of `files` files of `file_bytes` each, between all
/// but one and all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    pub file_bytes: u64,
    /// At least one.
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 8 << 20, files: 2 }
    }
}
