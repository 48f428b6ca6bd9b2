// SPDX-License-Identifier: Apache-2.0
//! What cannot be tested here says so, and is counted by `scripts/test`.

use std::fs::OpenOptions;
use std::io::Write;

/// Skips that `MVM_TEST_NO_SKIP` lets pass: a machine may truly lack it.
const MAY_BE_ABSENT: [&str; 5] = [
    "needs root",
    "needs an ordinary user",
    "needs a boot ID",
    "needs QEMU",
    "needs a host where libkrun cannot run",
];

pub fn skip_because(reason: &str) {
    let name = test_name();
    eprintln!("SKIP: {name}: {reason}");
    let strict = std::env::var_os("MVM_TEST_NO_SKIP").is_some();
    assert!(
        !strict || MAY_BE_ABSENT.iter().any(|known| reason.starts_with(known)),
        "skipped where nothing may be: {reason}"
    );
    note("MVM_TEST_SKIPS", &format!("SKIP: {name}: {reason}"));
}

/// Counts a VM that this backend booted.
#[allow(dead_code)] // Not every test that may be skipped boots.
pub fn boots(backend: &str) {
    note("MVM_TEST_BOOTS", backend);
}

fn note(variable: &str, line: &str) {
    let Some(path) = std::env::var_os(variable) else { return };
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open the notes");
    file.write_all(format!("{line}\n").as_bytes()).expect("write a note");
}

/// libtest names the thread after the test.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("?").to_owned()
}
