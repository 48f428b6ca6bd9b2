// SPDX-License-Identifier: Apache-2.0
//! Which hypervisor the tests run on.

use std::ffi::{OsStr, OsString};

/// `MVM_BACKEND` said libkrun; else it is QEMU.
pub fn is_libkrun() -> bool {
    std::env::var_os("MVM_BACKEND").is_some_and(|name| name == "libkrun")
}

/// The backend that a command will take: by its flag, by its environment, or
/// as the other tests.
pub(super) fn backend_of(args: &[OsString], env: &[(String, OsString)]) -> String {
    let flag = args.iter().position(|arg| arg == "--backend").and_then(|at| args.get(at + 1));
    let own = env.iter().rfind(|(name, _)| name == "MVM_BACKEND").map(|(_, value)| value);
    let own = own.filter(|value| !value.is_empty());
    let usual = OsStr::new(if is_libkrun() { "libkrun" } else { "qemu" });
    flag.or(own).map_or(usual, OsString::as_os_str).to_string_lossy().into_owned()
}
