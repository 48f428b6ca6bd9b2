// SPDX-License-Identifier: Apache-2.0
//! Other commands in a VM that runs.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Home, Output, slower};
use crate::{image, need, ready};

/// `mvm exec OPTIONS box sh -c SCRIPT`.
fn exec(home: &Home, options: &[&str], script: &str) -> Output {
    home.mvm(["exec"]).args(options).args(["box", "sh", "-c", script]).run()
}

#[test]
fn commands_run_beside_the_workload() {
    let home = need!(ready());
    let busybox = image("busybox");
    let made = ["run", "-d", "--name", "box", "-e", "FROM=run", "-w", "/tmp"];
    home.mvm(made).args([&busybox, "sh", "-c", "exec sleep 1000"]).run().status(0);

    // As the workload, unless it is said otherwise.
    exec(&home, &[], "echo $FROM $PWD $(id -u); echo err >&2; exit 7")
        .status(7)
        .stdout("run /tmp 0\n")
        .guest_stderr("err\n");
    exec(
        &home,
        &["-e", "FROM=exec", "-w", "/", "-u", "1000:7"],
        "echo $FROM $PWD $(id -u):$(id -g)",
    )
    .stdout("exec / 1000:7\n");
    home.mvm(["exec", "box", "nowhere"]).run().status(127).one_error("not found");
    home.mvm(["exec", "box", "/etc"]).run().status(126).one_error("is a directory");
    home.mvm(["exec", "-u", "nobody-here", "box", "true"]).run().fails_with("nobody-here");
    home.mvm(["exec", "box"]).run().fails_with("no command");
    exec(&home, &[], "kill -TERM $$").status(143);
    // A terminal of its own, and no terminal of ours.
    exec(&home, &["-t"], "tty; echo $TERM").stdout("/dev/pts/0\r\nxterm\r\n");
    home.mvm(["exec", "-it", "box", "sh"]).run().status(1).one_error("not a TTY");

    // Bytes, both ways, and the end of stdin.
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let piped = home.mvm(["exec", "-i", "box", "cat"]).stdin(bytes.clone()).run();
    piped.status(0).stdout(&bytes);

    // One that stays without its command, and many at once.
    exec(&home, &["-d"], "echo there >/tmp/detached; sleep 1000").status(0).stdout("");
    let many: Vec<_> = (0..20)
        .map(|n| home.mvm(["exec", "box", "sh", "-c", &format!("sleep 1; echo {n}")]).spawn())
        .collect();
    for (n, running) in many.into_iter().enumerate() {
        running.finish().status(0).stdout(format!("{n}\n"));
    }
    exec(&home, &[], "cat /tmp/detached; ps | grep -c '[s]leep 1000'").stdout("there\n2\n");

    // Signals are the command's; its death hangs up.
    let script = "trap 'echo hung up >/tmp/hup; exit' HUP; trap 'echo int' INT; echo ready
        while :; do sleep 0.1; done";
    let mut running = home.mvm(["exec", "box", "sh", "-c", script]).spawn();
    running.wait_for_stdout("ready\n");
    running.signal(Signal::INT);
    running.wait_for_stdout("int\n");
    running.signal(Signal::KILL);
    running.finish().killed_by(Signal::KILL);
    let deadline = Instant::now() + slower(Duration::from_secs(20));
    while exec(&home, &[], "cat /tmp/hup 2>/dev/null").stdout_text() != "hung up\n" {
        assert!(Instant::now() < deadline, "nobody hung up");
    }

    // The workload's end is that of all.
    let mut running =
        home.mvm(["exec", "-i", "box", "sh", "-c", "echo ready; cat; sleep 1000"]).spawn();
    running.wait_for_stdout("ready\n");
    let mut stdin = running.stdin.take().expect("a pipe");
    stdin.write_all(b"x\n").expect("write to mvm");
    running.wait_for_stdout("x\n");
    home.mvm(["stop", "-t", "1", "box"]).run().status(0);
    running.finish().status(137);
    drop(stdin);
    home.mvm(["exec", "box", "true"]).run().status(1).one_error("VM box is not running");
    home.mvm(["logs", "box"]).run().status(0).stdout("");
    home.is_quiet();
}
