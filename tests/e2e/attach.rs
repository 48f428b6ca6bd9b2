// SPDX-License-Identifier: Apache-2.0
//! Commands that come to a VM later, and what each gets of its streams.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Running, slower};
use crate::{image, need, ready, sh, status_of};

/// Docker's StdinOnce: stdin of a VM that was made to run in the background
/// stays open with nobody there, and is not ended by one who comes and goes.
#[test]
fn in_the_background_with_stdin_open() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = "echo ready; while read line; do echo got $line; [ $line = end ] && exit 9; done; echo closed";
    home.mvm(["run", "-di", "--name", "back", &busybox, "sh", "-c", script]).run().status(0);
    let mut first = home.mvm(["attach", "back"]).spawn();
    let say = |running: &mut Running, text: &str| {
        let stdin = running.stdin.as_mut().expect("a pipe");
        std::io::Write::write_all(stdin, text.as_bytes()).expect("write to mvm");
    };
    say(&mut first, "one\n");
    first.wait_for_stdout("got one\n");
    // Its stdin ends, and it stays for the output.
    drop(first.stdin.take());
    let mut second = home.mvm(["attach", "back"]).spawn();
    say(&mut second, "two\n");
    second.wait_for_stdout("got two\n");
    first.wait_for_stdout("got two\n");
    say(&mut second, "end\n");
    second.finish().status(9);
    first.finish().status(9).stdout_has("got one\ngot two\ngot end\n");
    home.mvm(["attach", "back"]).run().one_error("does not run").status(1);

    // Made to stay: the end of what it reads here is the end there. It goes on
    // with its output here for as long as that takes.
    let mut once = home.mvm(["start", "-ai", "back"]).spawn();
    once.wait_for_stdout("ready\n");
    drop(once.stdin.take());
    std::thread::sleep(slower(Duration::from_millis(500)));
    assert_eq!(status_of(&home, "back"), "running", "it was made with -d");
    home.mvm(["kill", "back"]).run().status(0);
    once.finish().status(137);
    home.mvm(["rm", "back"]).run().status(0);
    home.is_quiet();
}

/// `run -a stdin` feeds the command and does not stay.
#[test]
fn only_some_of_the_streams() {
    let home = need!(ready());
    let busybox = image("busybox");
    let run = ["run", "-i", "-a", "stdin", "--name", "fed", &busybox, "sh", "-c", "cat; echo end"];
    let output = home.mvm(run).stdin("words\n").run();
    let [id] = &home.vms()[..] else { panic!("one VM, not {:?}", home.vms()) };
    output.status(0).stdout(format!("{id}\n"));
    home.mvm(["wait", "fed"]).run().stdout("0\n");
    let log = home.path().join("data/vms").join(id).join("stdout.log");
    if log.exists() {
        assert_eq!(std::fs::read(log).expect("a log"), b"words\nend\n");
    }
    home.mvm(["rm", "fed"]).run().status(0);
    let script = "echo out; echo err >&2";
    sh(&home, &["-a", "STDERR"], script).run().status(0).stdout("").guest_stderr("err\n");
}

/// One that is stopped while output waits for it keeps the VM from ending as
/// little as it keeps others from hearing of that.
#[test]
fn a_stopped_command_holds_up_no_other() {
    let home = need!(ready());
    let busybox = image("busybox");
    let mut flood = home.mvm(["run", "--name", "flood", &busybox, "yes"]).spawn();
    flood.wait_for_stdout("y\ny\n");
    // As `mvm attach flood | head`: it goes, and the VM goes on.
    let mut head = home.mvm(["attach", "flood"]).spawn();
    head.wait_for_stdout("y\ny\n");
    head.close_stdout();
    head.finish().status(141);
    flood.signal(Signal::STOP);
    std::thread::sleep(slower(Duration::from_secs(1)));
    let waiting = home.mvm(["wait", "flood"]).spawn();
    assert_eq!(status_of(&home, "flood"), "running");
    home.mvm(["kill", "flood"]).run().status(0);
    waiting.finish().status(0).stdout("137\n");
    assert_eq!(status_of(&home, "flood"), "exited");
    home.mvm(["attach", "flood"]).run().one_error("does not run").status(1);
    flood.signal(Signal::CONT);
    flood.finish().status(137);
    home.mvm(["rm", "flood"]).run().status(0);
    home.is_quiet();
}
