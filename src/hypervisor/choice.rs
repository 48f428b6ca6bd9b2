// SPDX-License-Identifier: Apache-2.0
//! Which backend runs a VM on this host.

use serde::{Deserialize, Serialize};

use super::Backend;
#[cfg(unix)]
use super::qemu::{Accelerator, Qemu};
use crate::error::{Failure, Result};
use crate::preflight::Preflight;

/// A backend with its settings; travels to the monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    #[cfg(unix)]
    Qemu(Qemu),
}

impl Choice {
    pub fn backend(&self) -> &dyn Backend {
        match *self {
            #[cfg(unix)]
            Self::Qemu(ref qemu) => qemu,
        }
    }
}

/// QEMU, by hardware where that really runs guests, else emulating.
#[cfg(unix)]
pub fn choose(preflight: &Preflight) -> Result<Choice> {
    let Some(qemu) = &preflight.facts.qemu else {
        return Err(Failure::new("no hypervisor was found").hint("mvm doctor"));
    };
    let accelerator = match preflight.accelerated() {
        true => Accelerator::Kvm,
        false => Accelerator::Tcg { tsc_khz: preflight.facts.tsc_khz },
    };
    Ok(Choice::Qemu(Qemu { program: qemu.path.clone(), accelerator, sandbox: qemu.sandbox }))
}

/// None yet: the Hyper-V backend is to come.
#[cfg(windows)]
pub fn choose(_preflight: &Preflight) -> Result<Choice> {
    Err(Failure::new("mvm cannot host VMs on Windows yet"))
}
