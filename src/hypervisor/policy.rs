// SPDX-License-Identifier: Apache-2.0
//! What any VMM needs of the host to run a VM; each backend adds its own.

use std::path::{Path, PathBuf};

use super::{Share, VmConfig};
use crate::confine::{Bind, Policy, SharedDirectory};

impl VmConfig {
    /// Kernel, disks and shares, nothing else.
    pub fn policy(&self) -> Policy {
        let mut policy = Policy {
            read: vec![self.kernel.clone(), self.initramfs.clone()],
            guest_user: self.guest_user,
            ..Policy::default()
        };
        for disk in &self.disks {
            let files = if disk.read_only { &mut policy.read } else { &mut policy.write };
            files.push(disk.path.clone());
            files.extend(disk.parts.iter().cloned());
        }
        for share in &self.shares {
            let path = share.source.clone();
            // Nothing is made beside the parts of a share.
            let read_only = share.read_only || !share.parts.is_empty();
            policy.shares.push(SharedDirectory { path, read_only });
            policy.binds.extend(share.places().map(|(target, source)| Bind {
                source: source.to_owned(),
                target,
                read_only: share.read_only,
            }));
        }
        policy
    }
}

impl Share {
    /// A directory as it is.
    pub fn new(tag: &str, source: PathBuf, read_only: bool) -> Self {
        Self { tag: tag.to_owned(), source, read_only, parts: Vec::new() }
    }

    /// Where each part is seen, and what it is.
    pub fn places(&self) -> impl Iterator<Item = (PathBuf, &Path)> {
        let parts = self.parts.iter().enumerate();
        parts.map(|(index, part)| (self.source.join(index.to_string()), &**part))
    }
}
