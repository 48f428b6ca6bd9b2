// SPDX-License-Identifier: Apache-2.0
//! What any VMM needs of the host to run a VM; each backend adds its own.

use super::VmConfig;
use crate::confine::{Policy, SharedDirectory};

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
            policy.shares.push(SharedDirectory { path, read_only: share.read_only });
        }
        policy
    }
}
