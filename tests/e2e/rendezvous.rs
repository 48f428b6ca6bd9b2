// SPDX-License-Identifier: Apache-2.0
//! `mvm stream`: bytes between a command and a program in a VM that find each
//! other by name.

use std::io::Write;

use crate::support::{Home, Running};
use crate::{image, need, ready};

/// `/dev/mvm stream` in the VM, as its ordinary user.
fn program(home: &Home, script: &str) -> Running {
    home.mvm(["exec", "-i", "box", "sh", "-c", script]).spawn()
}

#[test]
fn streams_are_claimed_once_and_end_as_they_should() {
    let home = need!(ready());
    let busybox = image("busybox");
    // In an image that holds nothing of ours and cannot be written to.
    let made = ["run", "-d", "--name", "box", "--read-only", "--cap-drop", "ALL", "-u", "1000"];
    home.mvm(made).args([&busybox, "sleep", "1000"]).run().status(0);

    // The host first; then the guest.
    let mut host = home.mvm(["stream", "-t", "60", "box", "a"]).spawn();
    let mut pipe = host.stdin.take().expect("a pipe");
    pipe.write_all(b"to the guest\n").expect("write to mvm");
    let guest =
        home.mvm(["exec", "box", "sh", "-c", "echo to the host | /dev/mvm stream a"]).spawn();
    host.wait_for_stdout("to the host\n");
    // Half of it has ended; the other goes on.
    pipe.write_all(b"more\n").expect("write to mvm");
    drop(pipe);
    host.finish().status(0).stdout("to the host\n");
    guest.finish().status(0).stdout("to the guest\nmore\n");
    let mut guest = program(&home, "echo waiting; exec /dev/mvm stream --timeout 60 b");
    guest.wait_for_stdout("waiting\n");
    drop(guest.stdin.take());
    home.mvm(["stream", "box", "b"]).stdin("from the host").run().status(0).stdout("");
    guest.finish().status(0).stdout("waiting\nfrom the host");

    // Every byte, both ways at once.
    let bytes: Vec<u8> =
        (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let echo = home
        .mvm([
            "exec",
            "box",
            "sh",
            "-c",
            "mkfifo /dev/shm/f; /dev/mvm stream big </dev/shm/f | cat >/dev/shm/f",
        ])
        .spawn();
    home.mvm(["stream", "-t", "60", "box", "big"])
        .stdin(bytes.clone())
        .run()
        .status(0)
        .stdout(&bytes);
    echo.finish().status(0);

    // Nobody there.
    let alone = home.mvm(["stream", "-t", "0.5", "box", "c"]).run();
    alone.status(1).one_error("stream c is unavailable: nobody claimed it in 0.5 s");
    let alone = home.mvm(["exec", "box", "/dev/mvm", "stream", "--timeout", "0.5", "c"]).run();
    alone.status(1).stderr_has("unavailable: the host did not connect within 0.5 s");
    // Claimed once.
    let mut first = program(&home, "echo waiting; exec /dev/mvm stream --timeout 60 d");
    first.wait_for_stdout("waiting\n");
    home.mvm(["exec", "box", "sleep", "1"]).run().status(0);
    let second = home.mvm(["exec", "box", "/dev/mvm", "stream", "d"]).run();
    second.status(1).stderr_has("stream d is claimed already");
    let mut joined = home.mvm(["stream", "box", "d"]).spawn();
    let mut pipe = first.stdin.take().expect("a pipe");
    pipe.write_all(b"hello").expect("write to mvm");
    joined.wait_for_stdout("hello");
    home.mvm(["stream", "box", "d"]).run().status(1).one_error("stream d is taken");
    drop(pipe);
    drop(joined.stdin.take());
    joined.finish().status(0);
    first.finish().status(0);

    // Its peer vanishes: the program, the command, the VM.
    let mut host = home.mvm(["stream", "-t", "60", "box", "e"]).spawn();
    let mut doomed = program(&home, "exec /dev/mvm stream e");
    let mut pipe = doomed.stdin.take().expect("a pipe");
    pipe.write_all(b"hello").expect("write to mvm");
    host.wait_for_stdout("hello");
    home.mvm(["exec", "box", "killall", "-9", "mvm"]).run().status(0);
    host.finish().status(1).stderr_has("the program in the VM went away");
    doomed.finish().status(137);
    let mut left = program(&home, "exec /dev/mvm stream g");
    let mut host = home.mvm(["stream", "-t", "60", "box", "g"]).spawn();
    let mut pipe = left.stdin.take().expect("a pipe");
    pipe.write_all(b"hello").expect("write to mvm");
    host.wait_for_stdout("hello");
    host.kill();
    left.finish().status(1).stderr_has("stream g");
    let mut host = home.mvm(["stream", "-t", "60", "box", "h"]).spawn();
    let mut pipe = program(&home, "exec /dev/mvm stream h");
    pipe.stdin.as_mut().expect("a pipe").write_all(b"hello").expect("write to mvm");
    host.wait_for_stdout("hello");

    home.mvm(["stream", "box", "a/b"]).run().status(125).stderr_has("letters, digits");
    home.mvm(["exec", "box", "/dev/mvm", "nonsense"]).run().status(2).stderr_has("usage:");
    // More of them than there can be: told so, and nobody else is harmed.
    let flood = "n=0; while [ $n -lt 50 ]; do /dev/mvm stream --timeout 3 x$n 2>&1 & n=$((n+1)); done; wait";
    let flood = home.mvm(["exec", "box", "sh", "-c", flood]).run();
    flood.status(0).stdout_has("too many streams").stdout_has("unavailable");
    home.mvm(["stop", "-t", "0", "box"]).run().status(0);
    // The program first, and the VM with it.
    host.finish().status(1).stderr_has("stream h:");
    home.mvm(["stream", "box", "i"]).run().status(1).one_error("VM box is not running");
    home.is_quiet();
}
