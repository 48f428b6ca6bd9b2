// SPDX-License-Identifier: Apache-2.0
//! `kill -9` of each of the processes: the others end, and what is left can be
//! seen and removed.

use rustix::process::Signal;

use crate::support::{Home, Running};
use crate::{image, need, ready};

/// A VM that waits to be ended, without --rm.
fn waiting(home: &Home, name: &str) -> Running {
    let busybox = image("busybox");
    let mut running = home
        .mvm(["run", "--name", name, &busybox, "sh", "-c", "echo ready; exec sleep 1000"])
        .spawn();
    running.wait_for_stdout("ready\n");
    running
}

#[test]
fn of_mvm() {
    let home = need!(ready());
    let running = waiting(&home, "orphan");
    running.signal(Signal::KILL);
    running.finish().killed_by(Signal::KILL);
    // Attached, and nobody is there any more: the VM ends with its caller.
    home.is_quiet();
    home.mvm(["ps"]).run().status(0).stdout_lacks("orphan");
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("orphan");
    home.mvm(["rm", "orphan"]).run().status(0);
    assert!(home.vms().is_empty());
}

#[test]
fn of_the_monitor() {
    let home = need!(ready());
    let running = waiting(&home, "headless");
    home.process("__monitor").kill();
    running.finish().status(125).stderr_has("error:");
    home.is_quiet();
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("headless").stdout_has("ead");
    home.mvm(["rm", "headless"]).run().status(0);
    assert!(home.vms().is_empty());
}

#[test]
fn of_qemu() {
    let home = need!(ready());
    let running = waiting(&home, "powerless");
    home.process("qemu-system").kill();
    running.finish().status(125).stderr_has("error:");
    home.is_quiet();
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("powerless");
    home.mvm(["rm", "powerless"]).run().status(0);
    assert!(home.vms().is_empty());
}
