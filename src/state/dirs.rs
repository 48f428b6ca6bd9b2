// SPDX-License-Identifier: Apache-2.0
//! Where things live: the XDG directories, or one directory for everything
//! when `MVM_HOME` is set (tests, throw-away stores).

use std::path::{Path, PathBuf};

use directories::ProjectDirs;
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dirs {
    /// Images, layers and VMs.
    pub data: PathBuf,
    /// What can be made again: probe results, initramfs, kernels.
    pub cache: PathBuf,
    pub config: PathBuf,
    /// Sockets.
    pub runtime: PathBuf,
}

impl Dirs {
    /// The directories of this user, not yet made.
    pub fn from_env() -> Result<Self> {
        if let Some(home) = std::env::var_os("MVM_HOME").filter(|h| !h.is_empty()) {
            let home = std::path::absolute(PathBuf::from(home))
                .map_err(|e| Failure::cannot("use MVM_HOME", e))?;
            return Ok(Self::under(&home));
        }
        let project = ProjectDirs::from("", "", "mvm").ok_or_else(|| {
            Failure::new("no home directory is known").hint("set HOME, or MVM_HOME to a directory")
        })?;
        let data = project.data_local_dir().to_owned();
        let runtime = match project.runtime_dir() {
            Some(dir) => dir.to_owned(),
            None => data.join("run"),
        };
        Ok(Self {
            runtime,
            cache: project.cache_dir().to_owned(),
            config: project.config_dir().to_owned(),
            data,
        })
    }

    /// Everything under one directory.
    pub fn under(home: &Path) -> Self {
        Self {
            data: home.join("data"),
            cache: home.join("cache"),
            config: home.join("config"),
            runtime: home.join("run"),
        }
    }

    /// Directory of all VMs; each has one named by its ID.
    pub fn vms(&self) -> PathBuf {
        self.data.join("vms")
    }

    pub fn vm(&self, id: &str) -> PathBuf {
        self.vms().join(id)
    }

    /// Directory of a VM's sockets.
    pub fn vm_runtime(&self, id: &str) -> PathBuf {
        self.runtime.join(&id[..id.len().min(12)])
    }
}
