// SPDX-License-Identifier: Apache-2.0
//! A VM's life beyond its first run: created, started, stopped as it wants to
//! be, started again with the disk it has, even after a crash.

use crate::support::Home;
use crate::{image, need, ready};

fn state(home: &Home) -> String {
    let format = "{{.State.Status}} {{.State.ExitCode}}";
    home.mvm(["inspect", "-f", format, "box"]).run().status(0).stdout_text()
}

#[test]
fn a_vm_keeps_its_disk_and_how_it_was_made() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = r#"trap 'echo stopped; exit 5' USR1
        cat /root/kept; stat -c %a /tmp; echo "$WORD" >> /root/kept; chmod 700 /tmp
        echo ready; while :; do sleep 0.1; done"#;
    let options = ["--name", "box", "--stop-signal", "SIGUSR1", "--stop-timeout", "60"];
    let made = home
        .mvm(["create", "-e", "WORD=mine"])
        .args(options)
        .args([&busybox, "sh", "-c", script])
        .run();
    let [id] = &home.vms()[..] else { panic!("one VM, not {:?}", home.vms()) };
    made.status(0).stdout(format!("{id}\n"));
    assert_eq!(state(&home), "created 0\n");
    home.mvm(["ps", "-q"]).run().status(0).stdout("");
    home.mvm(["stop", "box"]).run().status(0).stdout("box\n");
    home.mvm(["kill", "box"]).run().one_error("VM box is not running");

    let mut first = home.mvm(["start", "-a", "box"]).spawn();
    first.wait_for_stdout("1777\nready\n");
    home.mvm(["start", "box"]).run().status(0).stdout("box\n");
    // One that runs is attached to.
    let second = home.mvm(["start", "-a", "box"]).spawn();
    home.mvm(["start", "-a", "box", "box2"]).run().one_error("only one VM");
    home.mvm(["stop", "box"]).run().status(0).stdout("box\n");
    first.finish().status(5).stdout("1777\nready\nstopped\n");
    second.finish().status(5);
    assert_eq!(state(&home), "exited 5\n");

    // Its disk is as it left it, and its directories are as it made them.
    let mut second = home.mvm(["start", "-a", "box"]).spawn();
    second.wait_for_stdout("mine\n700\nready\n");
    home.process("__monitor").kill();
    second.finish().status(1).stderr_has("error:");
    home.is_quiet();
    assert_eq!(state(&home), "dead 0\n");
    home.mvm(["start", "box"]).run().status(0).stdout("box\n");
    home.mvm(["restart", "-t", "0", "-s", "KILL", "box"]).run().status(0).stdout("box\n");
    assert_eq!(state(&home), "running 0\n");
    home.mvm(["rm", "-f", "box"]).run().status(0).stdout("box\n");
    home.is_quiet();
    home.mvm(["start", "box"]).run().one_error("no such VM: box");
}

#[test]
fn what_is_to_go_with_its_end_is_started_once() {
    let home = need!(ready());
    let busybox = image("busybox");
    let made = home.mvm(["create", "--rm", "--name", "once", &busybox, "echo", "hi"]).run();
    made.status(0);
    home.mvm(["ps", "-aq", "--no-trunc"]).run().status(0).stdout(made.stdout_text());
    home.mvm(["restart", "once"]).run().one_error("goes with its end");
    home.mvm(["start", "-a", "once"]).run().status(0).stdout("hi\n");
    assert!(home.vms().is_empty());
    home.is_quiet();
}
