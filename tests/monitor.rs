// SPDX-License-Identifier: Apache-2.0
//! What a monitor keeps of the process that started it, and what commands make of
//! one that ends in their face.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mvm::state::{Dirs, Phase, Record, VmStore, random_id};
use serde_json::json;

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

/// The workload ended just when the command came: its status is none of the
/// command's, which has not run. A real monitor does this for some microseconds;
/// this one does nothing else.
#[test]
fn a_command_that_comes_too_late_says_so() {
    let home = tempfile::tempdir().unwrap();
    let dirs = Dirs::under(home.path());
    let record: Record = serde_json::from_value(json!({
        "schema": 1, "id": random_id().unwrap(), "name": "box", "created_ms": 1,
        "image": {"reference": "x", "id": "", "manifest_digest": "", "layers": []},
        "command": ["true"], "backend": "qemu", "vcpus": 1, "memory_mib": 64,
        "network": "none", "auto_remove": false, "phase": "creating", "dirs": dirs,
    }))
    .unwrap();
    let mut claim = VmStore::new(&dirs).create(record).unwrap();
    claim.record.phase = Phase::Running;
    claim.save().unwrap();
    let sockets = dirs.vm_runtime(&claim.record.id);
    fs::create_dir_all(&sockets).unwrap();
    let listener = UnixListener::bind(sockets.join("monitor.sock")).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut command, _)) = listener.accept() {
            let end = br#"{"exited":{"code":0,"oom_killed":false}}"#;
            let length = u32::try_from(end.len()).unwrap().to_be_bytes();
            command.write_all(&[&[16], &length[..], end].concat()).unwrap();
            // What it sends is of no interest; its end is.
            let _ = command.read_to_end(&mut Vec::new());
        }
    });
    let words = "error: VM box is not running\nhint: mvm start box\n";
    for line in [
        &["exec", "box", "true"][..],
        &["exec", "-d", "box", "true"],
        &["top", "box"],
        &["cp", "box:/x", "-"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm"));
        let output = command.args(line).env("MVM_HOME", home.path()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), words, "{line:?}");
        assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()), "{line:?}");
    }
}
