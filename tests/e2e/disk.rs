// SPDX-License-Identifier: Apache-2.0
//! A home that is full or cannot be written.

use std::fs;

use crate::need;
use crate::support::{Home, images};

#[test]
fn a_full_disk_is_named_and_leaves_no_pieces() {
    let registry = need!(images());
    let home = need!(Home::on_tmpfs(8 << 20));
    home.mvm(["run", "--rm", &registry.image("debian:12"), "true"]).run().fails_with("space");
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
    home.mvm(["pull", &registry.image("busybox")]).run().one_error("read-only");
}
