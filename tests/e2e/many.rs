// SPDX-License-Identifier: Apache-2.0
//! Many commands in one VM, and commands that go wrong on the way.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Home, slower};
use crate::{image, need, ready};

/// Descriptors that a process has open.
fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
}

/// What runs in the VM, but for what asks.
fn inside(home: &Home) -> usize {
    home.mvm(["top", "box", "-o", "pid="]).run().status(0).stdout_text().lines().count()
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < slower(Duration::from_secs(30)), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn many_commands_in_one_vm_leave_nothing() {
    let home = need!(ready());
    let busybox = image("busybox");
    let made = ["run", "-d", "--name", "box", &busybox, "sleep", "1000"];
    home.mvm(made).run().status(0);
    home.mvm(["exec", "box", "true"]).run().status(0);
    let monitor = home.process("__monitor");
    let before = (descriptors(monitor.pid), inside(&home), monitor.peak_kib());

    // Fifty at once, none of them lost.
    let many: Vec<_> = (0..50)
        .map(|n| home.mvm(["exec", "box", "sh", "-c", &format!("sleep 1; echo {n}")]).spawn())
        .collect();
    for (n, running) in many.into_iter().enumerate() {
        running.finish().status(0).stdout(format!("{n}\n"));
    }
    // More than there can be: each has its own word on that, and the VM goes on.
    let many: Vec<_> = (0..150).map(|_| home.mvm(["exec", "box", "sleep", "4"]).spawn()).collect();
    let outputs: Vec<_> = many.into_iter().map(|running| running.finish()).collect();
    let refused = outputs.iter().filter(|output| output.code() != 0).inspect(|output| {
        output.status(1).one_error("as much runs in it as there can be");
    });
    let refused = refused.count();
    assert!((1..100).contains(&refused), "{refused} were refused");
    home.mvm(["exec", "box", "echo", "still there"]).run().status(0).stdout("still there\n");

    // Two hundred more, whose commands end at every stage.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= 200 {
                        return;
                    }
                    end_somehow(&home, n);
                }
            });
        }
    });
    eventually("processes are left in the VM", || inside(&home) == before.1);
    eventually("descriptors are left in the monitor", || descriptors(monitor.pid) <= before.0);
    let grown = monitor.peak_kib() - before.2;
    assert!(grown < 16 << 10, "the monitor grew by {grown} KiB");
    home.mvm(["exec", "box", "echo", "still there"]).run().status(0).stdout("still there\n");
    end_with_the_vm(&home);
}

/// One command, and its end: by itself, unread, or killed sooner or later.
fn end_somehow(home: &Home, n: usize) {
    match n % 4 {
        0 => drop(home.mvm(["exec", "box", "true"]).run().status(0)),
        1 => {
            let mut running = home.mvm(["exec", "-i", "box", "cat"]).spawn();
            thread::sleep(Duration::from_millis(n as u64 % 40 * 5));
            running.kill();
            running.finish();
        }
        2 => {
            // It writes without end, and is not read.
            let mut running = home.mvm(["exec", "box", "yes"]).unread().spawn();
            thread::sleep(Duration::from_millis(n as u64 % 40 * 5));
            if n % 8 == 2 {
                running.signal(Signal::STOP);
                thread::sleep(Duration::from_millis(50));
            }
            running.kill();
            running.finish();
        }
        _ => drop(home.mvm(["exec", "-t", "box", "sh", "-c", "exit 3"]).run().status(3)),
    }
}

/// Commands and the end of their VM, at the same time.
fn end_with_the_vm(home: &Home) {
    let long: Vec<_> =
        (0..10).map(|_| home.mvm(["exec", "box", "sleep", "1000"]).spawn()).collect();
    let racing: Vec<_> = (0..20).map(|_| home.mvm(["exec", "box", "true"]).spawn()).collect();
    home.mvm(["rm", "-f", "box"]).run().status(0);
    for running in long {
        let code = running.finish().code();
        assert!([1, 125, 137].contains(&code), "{code}");
    }
    for running in racing {
        let output = running.finish();
        assert!([0, 1, 125, 137].contains(&output.code()), "{}", output.code());
        output.stderr_lacks("panicked");
    }
    home.mvm(["exec", "box", "true"]).run().status(1).one_error("no such VM");
    home.is_quiet();
    assert!(home.vms().is_empty());
}
