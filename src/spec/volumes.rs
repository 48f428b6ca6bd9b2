// SPDX-License-Identifier: Apache-2.0
//! What is mounted in a VM beside its root.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::bytes;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub source: VolumeSource,
    /// Absolute and clean, not the root.
    #[serde(with = "bytes")]
    pub target: Vec<u8>,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeSource {
    /// A directory or a file of the host: absolute, free of links, UTF-8. It was
    /// there when the VM was made.
    Host(PathBuf),
    /// A directory of the VM's own disk, with what the image has in it: Docker's
    /// anonymous volume. It goes with the VM.
    OwnDisk,
}
