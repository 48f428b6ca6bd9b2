// SPDX-License-Identifier: Apache-2.0
//! Signals to `mvm run` are for the workload.

use rustix::process::Signal;

use crate::{need, ready, sh};

#[test]
fn sigint_reaches_the_workload() {
    let home = need!(ready());
    let script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 1; done";
    let mut running = sh(&home, &[], script).spawn();
    running.wait_for_stdout("ready\n");
    running.signal(Signal::INT);
    running.finish().status(3).stdout("ready\ncaught\n");
    assert!(home.vms().is_empty());
}

#[test]
fn sigterm_ends_a_workload_that_does_not_catch_it() {
    let home = need!(ready());
    let mut running = sh(&home, &[], "echo ready; exec sleep 1000").spawn();
    running.wait_for_stdout("ready\n");
    running.signal(Signal::TERM);
    running.finish().status(143).stdout("ready\n");
    assert!(home.vms().is_empty());
}
