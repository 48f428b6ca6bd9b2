// SPDX-License-Identifier: Apache-2.0
//! `mvm exec` into a VM that is not simply up: one that starts, stops, has
//! stopped or was killed. Each has its words.

use crate::support::{Home, Output, Running};
use crate::{image, is_libkrun, need, ready, status_of};

const STARTING: &str = "\
error: VM box is starting: its command does not run yet
hint: try again when mvm ps says that it is up; mvm ssh waits for that
";
const STOPPED: &str = "\
error: VM box is not running
hint: mvm start box
";

/// A word of the command line of a VMM that boots, and not of one that is asked
/// for its version.
fn machine() -> &'static str {
    if is_libkrun() { "__runner" } else { "microvm" }
}

fn exec(home: &Home, script: &str) -> Output {
    home.mvm(["exec", "box", "sh", "-c", script]).run()
}

/// It is refused, in these words, before anything ran.
#[track_caller]
fn refused(output: &Output, words: &str) {
    output.status(1).stdout("").stderr(words);
}

/// A command in the VM that stays.
fn staying(home: &Home) -> Running {
    let mut running = home.mvm(["exec", "box", "sh", "-c", "echo in; exec sleep 1000"]).spawn();
    running.wait_for_stdout("in\n");
    running
}

/// As it comes up for the first time, while it stops, and when it has.
#[test]
fn of_one_that_comes_and_goes() {
    let home = need!(ready());
    // A command that leaves one behind that writes more than anyone takes.
    let script = "yes & exec sleep 1000";
    let made = ["run", "--name", "box", &image("busybox"), "sh", "-c", script];
    let running = home.mvm(made).unread().spawn();
    let machine = home.process(machine());
    machine.freeze();
    assert_eq!(status_of(&home, "box"), "created");
    refused(&exec(&home, "echo ran"), STARTING);
    for other in [&["top", "box"][..], &["stream", "box", "x"], &["exec", "-d", "box", "true"]] {
        refused(&home.mvm(other).run(), STARTING);
    }
    // Which waits for it.
    let waiting = home.mvm(["ssh", "box", "echo in"]).spawn();
    machine.thaw();
    waiting.finish().status(0).stdout("in\n");
    exec(&home, "echo ran").status(0).stdout("ran\n");

    let inside = staying(&home);
    home.mvm(["kill", "-s", "TERM", "box"]).run().status(0);
    // Its end waits for who reads its output, and with it that of the VM.
    exec(&home, "echo ran").status(0).stdout("ran\n");
    running.read_stdout();
    running.finish().status(143);
    inside.finish().status(137).stdout("in\n").stderr("");
    refused(&exec(&home, "echo ran"), STOPPED);
    refused(&home.mvm(["top", "box"]).run(), STOPPED);
    home.mvm(["ssh", "box", "true"]).run().status(255).stderr(STOPPED);
}

/// Killed with -9: the VMM of one VM, the monitor of the other; while a command
/// is in it, and after.
#[test]
fn of_one_that_is_killed() {
    let home = need!(ready());
    let script = "trap '' HUP; touch /ready; exec sleep 1000";
    let made = ["create", "--name", "box", &image("busybox"), "sh", "-c", script];
    home.mvm(made).run().status(0);
    refused(&exec(&home, "echo ran"), STOPPED);
    home.mvm(["start", "box"]).run().status(0);
    exec(&home, "until [ -e /ready ]; do sleep 0.1; done").status(0);
    // It was told to stop and has not: it is as any other as long as its command runs.
    let stopping = home.mvm(["stop", "-s", "HUP", "-t", "1000", "box"]).spawn();
    exec(&home, "sleep 1; echo ran").status(0).stdout("ran\n");
    let inside = staying(&home);
    home.process(machine()).kill();
    stopping.finish().status(0);
    let ended = inside.finish();
    ended.status(125).stdout("in\n");
    assert!(ended.stderr_text().starts_with("error: the VM failed: "), "{}", ended.stderr_text());
    refused(&exec(&home, "echo ran"), STOPPED);

    let starting = home.mvm(["start", "box"]).spawn();
    let machine = home.process(machine());
    machine.freeze();
    refused(&exec(&home, "echo ran"), STARTING);
    machine.thaw();
    starting.finish().status(0);
    let inside = staying(&home);
    home.process("__monitor").kill();
    let log = home.path().join("data/vms").join(&home.vms()[0]).join("monitor.log");
    let died = format!(
        "error: the VM's monitor died, and the VM with it\nhint: {} may say why\n",
        log.display()
    );
    inside.finish().status(125).stdout("in\n").stderr(died);
    refused(&exec(&home, "echo ran"), STOPPED);
    home.is_quiet();

    // One with --rm leaves nothing to be started.
    let made = ["run", "-d", "--rm", "--name", "gone", &image("busybox"), "sleep", "1000"];
    home.mvm(made).run().status(0);
    home.process("__monitor").kill();
    home.is_quiet();
    let hint = "mvm ps -a lists the VMs there are";
    let words = format!("error: no such VM: gone\nhint: {hint}\n");
    refused(&home.mvm(["exec", "gone", "true"]).run(), &words);
    home.mvm(["rm", "box"]).run().status(0);
    assert!(home.vms().is_empty());
}
