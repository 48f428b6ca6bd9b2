// SPDX-License-Identifier: Apache-2.0
//! What a process may do at most, given up between fork and exec as runc does
//! it for Docker: nothing it starts, and no setuid program, gets it back
//! (capabilities(7)). System calls only: see `child`.

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Bits of a capability set.
const BITS: u32 = u64::BITS;

#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// Bit n is capability n: the bounding set. Root has these, too.
    pub capabilities: u64,
    /// execve(2) gives no more rights.
    pub no_new: bool,
}

impl Privileges {
    /// The bounding set, while the process is still root; then the user is
    /// changed.
    pub fn bound(self) -> Result<(), Errno> {
        for bit in (0..BITS).map(|n| 1 << n).filter(|bit| self.capabilities & bit == 0) {
            match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
                // The kernel knows no more; this one and those after it are none.
                Err(Errno::INVAL) => break,
                result => result?,
            }
        }
        clear_ambient_capability_set()
    }

    /// The rest, as the new user. Whoever is not root has none by now.
    pub fn settle(self, root: bool) -> Result<(), Errno> {
        if root {
            let held = CapabilitySet::from_bits_retain(self.capabilities);
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: held, permitted: held, inheritable: none };
            set_capabilities(None::<Pid>, sets)?;
        }
        match self.no_new {
            true => set_no_new_privs(true),
            false => Ok(()),
        }
    }
}
