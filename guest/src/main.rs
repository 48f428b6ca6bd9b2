// SPDX-License-Identifier: Apache-2.0
//! PID 1 of the guest. Everything is in the library; off Linux it is empty.

fn main() {
    #[cfg(target_os = "linux")]
    mvm_init::boot::run()
}
