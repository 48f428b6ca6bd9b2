// SPDX-License-Identifier: Apache-2.0
//! `--network user` over the hypervisor's own user-mode network. It lets the
//! guest reach the host's loopback through its gateway address, which is why
//! it is not the default: see docs/SECURITY.md.

use std::path::PathBuf;

use super::{Attachment, Provider};
use crate::hypervisor::{Endpoint, Nic};

/// The same with every provider: those of QEMU's user-mode network (`-netdev user`).
pub(super) const ADDRESS: &str = "10.0.2.15";
pub(super) const GATEWAY: &str = "10.0.2.2";
pub(super) const NAMESERVER: &str = "10.0.2.3";
pub(super) const PREFIX: u32 = 24;
const MTU: u32 = 1500;

pub struct HypervisorUser;

impl Provider for HypervisorUser {
    fn name(&self) -> &'static str {
        "user"
    }

    fn attach(&self, vm_id: &str) -> Option<Attachment> {
        Some(attachment(vm_id, Endpoint::HypervisorUser, None))
    }
}

/// The one interface that every user-mode network gives: only what is at the
/// other end of its cable differs.
pub(super) fn attachment(vm_id: &str, endpoint: Endpoint, program: Option<PathBuf>) -> Attachment {
    let mac = mac_of(vm_id);
    Attachment {
        guest: mvm_proto::Network {
            mac: mac.clone(),
            address: ADDRESS.into(),
            prefix: PREFIX,
            gateway: GATEWAY.into(),
            mtu: MTU,
            ..Default::default()
        },
        nic: Nic::new(mac, endpoint),
        nameservers: vec![NAMESERVER.into()],
        program,
    }
}

/// A locally administered address of the VM's own, from its hexadecimal ID.
fn mac_of(vm_id: &str) -> String {
    let digits: Vec<char> = vm_id.chars().take(10).collect();
    let pairs: Vec<String> = digits.chunks(2).map(|pair| pair.iter().collect()).collect();
    format!("52:{}", pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_is_local_and_the_vms_own() {
        assert_eq!(mac_of(&"0123456789abcdef".repeat(4)), "52:01:23:45:67:89");
    }
}
