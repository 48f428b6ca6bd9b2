// SPDX-License-Identifier: Apache-2.0
//! What of the host can be a volume.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};
use crate::spec::VolumeSource;

/// Of `-v`, where a word without a slash is Docker's for a named volume.
pub fn of_volume(text: &str) -> Result<VolumeSource> {
    if !text.contains(['/', '\\']) && !text.starts_with('.') {
        return Err(named(text));
    }
    existing(Path::new(text)).map(VolumeSource::Host)
}

pub fn named(name: &str) -> Failure {
    Failure::new(format!("invalid volume {name:?}: mvm has no named volumes"))
        .hint(format!("for a directory or file say ./{name}"))
}

/// Free of links, and something that can be shared.
pub fn existing(path: &Path) -> Result<PathBuf> {
    let failed = |why: String| Failure::new(format!("cannot share {}: {why}", path.display()));
    let real = path.canonicalize().map_err(|e| {
        let hint = match e.kind() {
            std::io::ErrorKind::NotFound => {
                "mvm makes nothing on the host that is missing: mkdir -p first"
            }
            _ => "look at the directories that lead there",
        };
        failed(e.to_string()).hint(hint)
    })?;
    let kind = real.metadata().map_err(|e| failed(e.to_string()))?.file_type();
    if !kind.is_dir() && !kind.is_file() {
        return Err(failed("it is neither a directory nor a file".into())
            .hint("sockets, pipes and devices of the host cannot be reached from a VM"));
    }
    match real.to_str() {
        Some(_) => Ok(real),
        None => Err(failed(format!("its real path, {}, is not UTF-8", real.display()))
            .hint("rename the directory, or share it by another path")),
    }
}
