// SPDX-License-Identifier: Apache-2.0
//! `kill -9` of each of the processes: what is left can be seen, ended and
//! removed.

use rustix::process::Signal;

use crate::support::{Home, Running};
use crate::{image, is_libkrun, need, ready};

/// A VM that waits to be ended, without --rm.
fn waiting(home: &Home, name: &str) -> Running {
    let busybox = image("busybox");
    let mut running = home
        .mvm(["run", "--name", name, &busybox, "sh", "-c", "echo ready; exec sleep 1000"])
        .spawn();
    running.wait_for_stdout("ready\n");
    running
}

/// A word of the VMM's command line.
fn vmm() -> &'static str {
    if is_libkrun() { "__runner" } else { "qemu-system" }
}

#[test]
fn of_mvm() {
    let home = need!(ready());
    let running = waiting(&home, "orphan");
    running.signal(Signal::KILL);
    running.finish().killed_by(Signal::KILL);
    // As with Docker the VM goes on, and is listed, stopped and removed.
    home.mvm(["ps"]).run().status(0).stdout_has("orphan").stdout_has("Up ");
    home.mvm(["stop", "orphan"]).run().status(0).stdout("orphan\n");
    home.is_quiet();
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("Exited (143)");
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
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("Dead").stdout_has("headless");
    home.mvm(["rm", "headless"]).run().status(0);
    assert!(home.vms().is_empty());
}

#[test]
fn of_the_vmm() {
    let home = need!(ready());
    let running = waiting(&home, "powerless");
    home.process(vmm()).kill();
    running.finish().status(125).stderr_has("error:");
    home.is_quiet();
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("powerless");
    home.mvm(["rm", "powerless"]).run().status(0);
    assert!(home.vms().is_empty());
}

#[test]
fn a_frozen_vm_is_stopped_the_hard_way() {
    let home = need!(ready());
    let running = waiting(&home, "frozen");
    home.process(vmm()).freeze();
    // No answer to the agent's request, nor to the one to kill.
    home.mvm(["stop", "-t", "1", "frozen"]).run().status(0).stdout("frozen\n");
    running.finish().status(137);
    home.is_quiet();
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("Exited (137)");
}
