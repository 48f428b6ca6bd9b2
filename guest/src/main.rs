// SPDX-License-Identifier: Apache-2.0
//! PID 1 of the guest, and what helps it there. Everything is in the library;
//! off Linux it is empty.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    // By the name first: a helper may be the first process of a namespace.
    match mvm_init::helpers::run() {
        Some(ended) => ended,
        None if rustix::process::getpid().is_init() => mvm_init::boot::run(),
        None => mvm_init::helpers::refuse(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
