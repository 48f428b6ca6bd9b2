// SPDX-License-Identifier: Apache-2.0
//! PID 1 of the guest, and what helps it there. Everything is in the library;
//! off Linux it is empty.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if !rustix::process::getpid().is_init() {
        return mvm_init::helpers::run();
    }
    mvm_init::boot::run()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
