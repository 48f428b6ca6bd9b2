// SPDX-License-Identifier: Apache-2.0
//! What a monitor keeps of the process that started it.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A pipe of the caller that a monitor kept would never end for its reader.
#[test]
fn descriptors_of_the_caller_are_closed() {
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    fs::write(&kept, "").unwrap();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let mut monitor = Command::new("sh")
        .args(["-c", "exec 9<\"$1\"; exec \"$2\" __monitor", "sh"])
        .arg(&kept)
        .arg(env!("CARGO_BIN_EXE_mvm"))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(File::create(home.path().join("lock")).unwrap())
        .spawn()
        .unwrap();
    // It waits for what to launch, having pointed its stdout away.
    let descriptors = format!("/proc/{}/fd", monitor.id());
    let open = || -> Vec<_> {
        let entries = fs::read_dir(&descriptors).unwrap();
        entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).collect()
    };
    let begun = Instant::now();
    while open().iter().filter(|path| path.ends_with("null")).count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", open());
        std::thread::sleep(Duration::from_millis(10));
    }
    let open = open();
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    assert!(!open.contains(&kept), "{open:?}");
    assert!(open.iter().any(|path| path.ends_with("lock")), "{open:?}");
}
