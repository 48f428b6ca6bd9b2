// SPDX-License-Identifier: Apache-2.0
//! A home that is full or cannot be written.

use std::fs;
use std::io::Write;

use crate::support::{Home, images, kernel};
use crate::{is_libkrun, need};

#[test]
fn a_full_disk_is_named_and_leaves_no_pieces() {
    let registry = need!(images());
    let home = need!(Home::on_tmpfs(8 << 20));
    let debian = registry.image("debian:12");
    home.mvm(["run", "--rm", &debian, "true"]).run().fails_with("free").stderr_has("hint:");
    home.mvm(["pull", &debian]).run().status(1).one_error("space").stderr_has("hint:");
    home.mvm(["images"]).run().status(0).stdout_lacks("debian");
    assert!(home.vms().is_empty());
    // What was half-done is gone: there is room again.
    fs::write(home.path().join("room"), vec![0; 6 << 20]).expect("pieces were left");
    fs::remove_file(home.path().join("room")).unwrap();
    home.mvm(["pull", &registry.image("busybox")]).run().status(0);
}

#[test]
fn a_home_that_cannot_be_written() {
    let registry = need!(images());
    let mut home = need!(Home::on_tmpfs(8 << 20));
    home.read_only();
    home.mvm(["run", "--rm", &registry.image("busybox"), "true"]).run().fails_with("read-only");
    home.mvm(["pull", &registry.image("busybox")]).run().status(1).one_error("read-only");
}

/// The guest's disk is sparse, and what holds it fills up while the VM runs:
/// QEMU would pause the VM, for ever.
#[test]
fn a_disk_that_fills_under_a_running_vm() {
    need!(kernel());
    let registry = need!(images());
    let home = need!(Home::on_tmpfs(600 << 20));
    let script = "dd if=/dev/zero of=/big bs=1M count=700 conv=fsync; echo dd $?; exit 5";
    let busybox = registry.image("busybox");
    let output = home.mvm(["run", "--rm", &busybox, "sh", "-c", script]).run();
    // The workload sees the error and goes on; what it says is not lost.
    output.status(5).stdout("dd 1\n");
    // libkrun tells nobody but the guest.
    if !is_libkrun() {
        output.stderr_has("warning: the host's disk is full");
    }
    assert!(home.vms().is_empty());
}

/// What cannot be logged is lost for `mvm logs`, and for nobody else.
#[test]
fn a_log_on_a_full_disk_stops_nothing() {
    need!(kernel());
    let registry = need!(images());
    let home = need!(Home::on_tmpfs(600 << 20));
    let busybox = registry.image("busybox");
    home.mvm(["pull", &busybox]).run().status(0);
    let script = "echo first; read line; seq 100000; echo end >&2; read line; echo last; exit 4";
    let run = ["run", "-i", "-m", "64m", "--name", "box", &busybox, "sh", "-c", script];
    let mut running = home.mvm(run).spawn();
    running.wait_for_stdout("first\n");
    let filler = home.path().join("filler");
    // Until not a byte more fits.
    let mut file = fs::File::create(&filler).unwrap();
    for size in [1 << 20, 4096] {
        while file.write_all(&vec![0xaa; size]).is_ok() {}
    }
    let mut stdin = running.stdin.take().expect("a pipe");
    stdin.write_all(b"go on\n").unwrap();
    running.wait_for_stdout("\n100000\n");
    fs::remove_file(&filler).unwrap();
    stdin.write_all(b"go on\n").unwrap();
    let numbers: String = (1..=100_000).map(|i| format!("{i}\n")).collect();
    running.finish().status(4).stdout(format!("first\n{numbers}last\n")).guest_stderr("end\n");
    // There is room again: the log goes on, behind a gap.
    let log = home.mvm(["logs", "box"]).run();
    log.status(0).stdout_has("first\n").stdout_has("last\n").stdout_lacks("\n50000\n");
    home.mvm(["rm", "box"]).run().status(0);
}
