// SPDX-License-Identifier: Apache-2.0
//! A guest that does not keep to the protocol, against the real mvm and its
//! monitor: this program, started in QEMU's place, with the channel to the
//! monitor in its hands and no VM behind it. Whatever it says, mvm ends with a
//! status and a word, holds no more memory than it should, and leaves nothing.

#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "most of it is for VMs")]
mod support;

#[cfg(target_os = "linux")]
mod guest;
#[cfg(target_os = "linux")]
mod host;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if has("--version") {
        println!("QEMU emulator version 9.0.0");
    } else if has("-machine") {
        println!("microvm  what mvm asks for");
    } else if has("-nodefaults") {
        guest::play(&arguments);
    } else {
        return host::run();
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn main() {}
