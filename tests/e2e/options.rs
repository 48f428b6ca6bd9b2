// SPDX-License-Identifier: Apache-2.0
//! What the flags of `mvm run` do inside.

use crate::{image, is_libkrun, need, ready, sh, skip};

#[test]
fn the_guest_is_as_the_flags_say() {
    let home = need!(ready());
    let options = [
        "-e",
        "A=1",
        "-e",
        "WITH=a=b c",
        "-e",
        "FROM_HOST",
        "-e",
        "NOT_SET",
        "-w",
        "/new/dir",
        "-u",
        "65534:7",
        "--hostname",
        "box",
        "--name",
        "named",
        "--cpus",
        "2",
        "-m",
        "300",
        "--disk",
        "1g",
    ];
    let script = "echo \"$A|$WITH|$FROM_HOST|${NOT_SET-unset}\"; pwd; id -u; id -g; hostname; nproc
        ls /sys/class/net; test -w /dev/null && echo null
        awk '/MemTotal/ { print ($2 > 200000 && $2 < 310000) }' /proc/meminfo
        df -m / | awk 'NR == 2 { print ($2 > 800 && $2 < 1100) }'";
    let output = sh(&home, &options, script).env("FROM_HOST", "host").run();
    output
        .status(0)
        .stdout("1|a=b c|host|unset\n/new/dir\n65534\n7\nbox\n2\nlo\nnull\n1\n1\n")
        .guest_stderr("");
}

#[test]
fn network_user_has_one_interface_and_a_route() {
    if is_libkrun() {
        skip!("needs QEMU: its gateway is the host's loopback");
    }
    let home = need!(ready());
    let script = "ls /sys/class/net; ip route | cut -d' ' -f1,2; wget -q -O - http://10.0.2.2:$PORT/v2/; echo";
    let busybox = image("busybox");
    let port = busybox.split([':', '/']).nth(1).expect("a port").to_owned();
    let output = sh(&home, &["--network", "user", "-e", &format!("PORT={port}")], script).run();
    output.status(0).stdout_has("eth0\nlo\n").stdout_has("default via").stdout_has("{}");
}

#[test]
fn the_images_own_configuration_holds() {
    let home = need!(ready());
    let app = image("debian:app");
    home.mvm(["run", "--rm", &app]).run().status(0).stdout("hello from app 1000 /home/app\n");
    let greeting = "import os; print(os.environ['GREETING'])";
    home.mvm(["run", "--rm", "-e", "GREETING=mine", &app, "-c", greeting])
        .run()
        .status(0)
        .stdout("mine\n");
    // A new entrypoint drops the image's command.
    home.mvm(["run", "--rm", "--entrypoint", "pwd", "-w", "/", &app]).run().status(0).stdout("/\n");
}

#[test]
fn pull_never_says_what_is_missing() {
    let home = need!(ready());
    let missing = image("busybox:docker");
    home.mvm(["run", "--rm", "--pull", "never", &missing, "true"]).run().fails_with(&missing);
    assert!(home.vms().is_empty());
}
