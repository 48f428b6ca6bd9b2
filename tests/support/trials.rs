// SPDX-License-Identifier: Apache-2.0
//! Tests of a program that plays other parts as well, and so has its own main.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

pub type Test = fn();

/// Runs what the command line chooses of them.
pub fn run<const N: usize>(tests: [(&'static str, Test); N]) -> ExitCode {
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            // A skip is counted under the thread's name.
            let thread = std::thread::Builder::new().name(name.to_owned());
            match thread.spawn(test).map_err(|e| e.to_string())?.join() {
                Ok(()) => Ok(()),
                Err(_) => Err("it panicked, see above".into()),
            }
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}
