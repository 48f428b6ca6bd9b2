// SPDX-License-Identifier: Apache-2.0
//! A VMM that was taken over by its guest: this program, started in its place
//! by the code that starts VMMs, under the policy that this code makes. It tries
//! what an attacker would; unconfined it must succeed, or it proves nothing.

#[cfg(target_os = "linux")]
mod attempts;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod walls;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // What the backends start.
        Some("-nodefaults") => attempts::as_program(),
        Some("__runner") => attempts::as_runner(&arguments[1]),
        // What the tests start, as one user or another.
        Some("--start") => start::main(&arguments[1]),
        _ => walls::run(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}
