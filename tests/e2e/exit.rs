// SPDX-License-Identifier: Apache-2.0
//! Docker's exit statuses.

use crate::support::Home;
use crate::{image, need, ready, sh};

#[test]
fn status_is_the_commands() {
    let home = need!(ready());
    sh(&home, &[], "exit 7").run().status(7).stdout("").guest_stderr("");
    sh(&home, &[], "exit 255").run().status(255).stdout("").guest_stderr("");
    assert!(home.vms().is_empty());
}

#[test]
fn death_by_signal_is_128_and_its_number() {
    let home = need!(ready());
    sh(&home, &[], "kill -9 $$").run().status(137).stdout("");
    assert!(home.vms().is_empty());
}

#[test]
fn a_missing_command_is_127() {
    let home = need!(ready());
    run(&home, &["nonsense"]).status(127).one_error("nonsense");
    assert!(home.vms().is_empty());
}

#[test]
fn a_command_that_is_no_program_is_126() {
    let home = need!(ready());
    run(&home, &["/etc/passwd"]).status(126).one_error("/etc/passwd");
    assert!(home.vms().is_empty());
}

#[test]
fn an_unknown_user_is_125() {
    let home = need!(ready());
    let busybox = image("busybox");
    home.mvm(["run", "--rm", "-u", "nosuch", &busybox, "true"]).run().fails_with("nosuch");
    assert!(home.vms().is_empty());
}

#[test]
fn wrong_usage_is_125_and_boots_nothing() {
    let home = Home::new();
    let usage = [
        &["run"][..],
        &["run", "--no-such-flag", "busybox"],
        &["run", "--cpus", "none", "busybox"],
        &["run", "--memory", "1", "localhost:1/busybox"],
        &["run", "--network", "host", "busybox"],
        &["run", "--pull", "sometimes", "busybox"],
        &["run", "--name", "a/b", "localhost:1/busybox"],
        &["run", "UPPER/case"],
        &["run", "-v", "relative/no/colon", "localhost:1/busybox"],
    ];
    for args in usage {
        let output = home.mvm(args.iter().copied()).run();
        output.status(125).stdout("").stderr_has("error:").stderr_lacks("panicked");
    }
    assert!(home.vms().is_empty());
}

fn run(home: &Home, command: &[&str]) -> crate::support::Output {
    home.mvm(["run", "--rm", &image("busybox")]).args(command).run()
}
