// SPDX-License-Identifier: Apache-2.0
//! Which hypervisor the tests run on.

/// `MVM_BACKEND` said libkrun; else it is QEMU.
pub fn is_libkrun() -> bool {
    std::env::var_os("MVM_BACKEND").is_some_and(|name| name == "libkrun")
}
