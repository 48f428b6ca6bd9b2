// SPDX-License-Identifier: Apache-2.0
//! The VM's way to the network. A provider gives it an Ethernet endpoint and
//! says what the guest is to be configured with; no provider, no device.

#[cfg(unix)]
pub mod passt;
mod user;

use std::path::PathBuf;

use crate::hypervisor::Nic;

#[cfg(unix)]
pub use passt::Passt;
pub use user::HypervisorUser;

/// What gives VMs a network.
pub trait Provider {
    /// As `--network` and records name it.
    fn name(&self) -> &'static str;

    /// The endpoint for one VM. `None`: no device at all.
    fn attach(&self, vm_id: &str) -> Option<Attachment>;
}

#[derive(Clone, Debug)]
pub struct Attachment {
    pub nic: Nic,
    pub guest: mvm_proto::Network,
    pub nameservers: Vec<String>,
    /// The program at the other end of the cable of `Endpoint::Stream`.
    pub program: Option<PathBuf>,
}

/// `--network none`: off means that there is no device.
pub struct NoNetwork;

impl Provider for NoNetwork {
    fn name(&self) -> &'static str {
        "none"
    }

    fn attach(&self, _vm_id: &str) -> Option<Attachment> {
        None
    }
}
