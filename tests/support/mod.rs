// SPDX-License-Identifier: Apache-2.0
//! Drives the real `mvm` against a real registry and real VMs, and sees to it
//! that nothing is left behind. It knows the command line and nothing else of
//! the program.

mod account;
mod backend;
mod fixture;
mod home;
mod mvm;
mod pty;
mod random;
mod registry;
mod skip;
mod slower;

pub use account::Account;
pub use backend::is_libkrun;
pub use fixture::{Fixtures, initramfs, kernel, tiny_kernel};
pub use home::{Home, Process};
pub use mvm::{Mvm, Output, Running};
pub use pty::Terminal;
pub use random::Random;
pub use registry::{Registry, images};
pub use skip::{boots, skip_because};
pub use slower::slower;

/// Ends the test as skipped, with a reason that the summary prints.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::support::skip_because(&format!($($reason)*));
        return;
    }};
}

/// The value, or the test ends as skipped with the error as its reason.
#[macro_export]
macro_rules! need {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(reason) => $crate::skip!("{reason}"),
        }
    };
}
