// SPDX-License-Identifier: Apache-2.0
//! What is seen of a VM from outside: its console, its processes, what it uses.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Home, slower};
use crate::{image, need, ready};

#[test]
fn console_top_and_stats_of_a_vm_that_runs_and_then_does_not() {
    let home = need!(ready());
    let busybox = image("busybox");
    home.mvm(["create", "--name", "box", "--privileged", "-u", "1000", &busybox, "sleep", "1000"])
        .run()
        .status(0);
    home.mvm(["console", "box"]).run().status(1).one_error("has said nothing yet");
    home.mvm(["top", "box"]).run().status(1).one_error("not running");
    let stopped =
        home.mvm(["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "box"]).run();
    stopped.status(0).stdout("box 0\n");
    home.mvm(["start", "box"]).run().status(0);

    top(&home);
    stats(&home);

    // The machine's own console, of what is said before and after.
    let say = |word: &str| {
        let script = format!("echo; echo 1-{word}; echo 2-{word}; echo 3-{word}");
        let line = format!("{{ {script}; }} >/dev/console");
        home.mvm(["exec", "-u", "0", "box", "sh", "-c", &line]).run().status(0);
    };
    say("early");
    let mut following = home.mvm(["console", "box"]).spawn();
    following.wait_for_stdout("3-early");
    let mut last = home.mvm(["console", "-n", "2", "box"]).spawn();
    last.wait_for_stdout("3-early");
    say("late");
    following.wait_for_stdout("3-late");
    last.wait_for_stdout("3-late");
    let now = home.mvm(["console", "--no-follow", "box"]).run();
    now.status(0).stdout_has("3-late");
    home.mvm(["console", "--tail", "1", "--no-follow", "box"]).run().stdout("3-late\r\n");
    let mut interrupted = home.mvm(["console", "-f", "box"]).spawn();
    interrupted.wait_for_stdout("3-late");
    interrupted.signal(Signal::INT);
    interrupted.finish().killed_by(Signal::INT);
    home.mvm(["stop", "-t", "0", "box"]).run().status(0);
    following.finish().status(0).stdout_has("1-early");
    last.finish().status(0).stdout_has("2-early").stdout_lacks("1-early");
    home.mvm(["console", "box"]).run().status(0).stdout_has("3-late");
    home.mvm(["console", "none"]).run().status(1).one_error("no such VM");
    home.is_quiet();
}

fn top(home: &Home) {
    let script = "sleep 500 & exec sleep 600";
    home.mvm(["exec", "-d", "-u", "0", "box", "sh", "-c", script]).run().status(0);
    let wait = || {
        let top = home.mvm(["top", "box"]).run();
        top.status(0).stdout_text()
    };
    let began = std::time::Instant::now();
    let mut text = wait();
    while !(text.contains("sleep 500") && text.contains("sleep 600")) {
        assert!(began.elapsed() < slower(Duration::from_secs(20)), "{text}");
        text = wait();
    }
    let mut lines = text.lines();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let header = words(lines.next().unwrap_or_default());
    assert_eq!(header, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    // No agent, no helper, no thread of the kernel.
    assert_eq!(lines.clone().count(), 3, "{text}");
    let first = words(lines.next().unwrap_or_default());
    assert_eq!((first[0].as_str(), first[2].as_str(), first[7].as_str()), ("1000", "1", "sleep"));
    let columns = home.mvm(["top", "box", "-o", "user,comm=NAME,args", "--sort", "-pid"]).run();
    let text = columns.status(0).stdout_text();
    assert!(text.starts_with("USER   NAME,args\nroot   sleep\n"), "{text}");
    let text = home.mvm(["top", "box", "aux"]).run().status(0).stdout_text();
    assert!(text.lines().any(|line| line.starts_with("root") && line.ends_with("sleep 500")));
    home.mvm(["top", "box", "-o", "nope"]).run().status(1).one_error("no column");
    home.mvm(["top", "box", "--forest"]).run().status(1).one_error("does not know");
}

fn stats(home: &Home) {
    let once = home.mvm(["stats", "--no-stream", "--format", "json"]).run();
    let stats = once.status(0).json();
    let number = |name: &str| stats[name].as_f64().unwrap_or_else(|| panic!("{name}: {stats}"));
    assert_eq!((stats["name"].as_str(), stats["running"].as_bool()), (Some("box"), Some(true)));
    // Three of sleep, and none of ours.
    assert_eq!(number("pids"), 3.0);
    assert!((10e3..400e6).contains(&number("memory_bytes")), "{stats}");
    assert!((400e6..537e6).contains(&number("memory_limit_bytes")), "{stats}");
    assert!(number("read_bytes") > 0.0 && number("cpu_percent") < 50.0, "{stats}");

    // What is busy is seen to be, and what is written; again and again.
    let busy = "dd if=/dev/zero of=/x bs=1M count=8 conv=fsync 2>/dev/null; while :; do :; done";
    home.mvm(["exec", "-d", "-u", "0", "box", "sh", "-c", busy]).run().status(0);
    let format = "{{.Name}} {{.CPUPerc}} {{.PIDs}} {{.BlockIO}};";
    let mut running = home.mvm(["stats", "--format", format, "box"]).spawn();
    running.wait_for_stdout("box -- -- -- / --;\n");
    let patience = slower(Duration::from_secs(20));
    let began = std::time::Instant::now();
    loop {
        let output = home.mvm(["stats", "--no-stream", "--format", "json"]).run();
        let stats = output.status(0).json();
        let is = |name: &str, least: f64| stats[name].as_f64().is_some_and(|n| n >= least);
        if is("cpu_percent", 30.0) && is("written_bytes", 8e6) && is("pids", 4.0) {
            break;
        }
        assert!(began.elapsed() < patience, "{stats}");
    }
    running.wait_for_stdout("% 4 ");
    running.kill();
    running.finish();
    painted_over(home);
    home.mvm(["stats", "--no-stream", "none"]).run().status(1).one_error("no such VM");
    let wrong = home.mvm(["stats", "--no-stream", "--format", "{{.Nope}}"]).run();
    wrong.status(1).one_error("there is no field .Nope");
}

/// On a terminal, each look is painted over the last one, from the top: no line is
/// left of what is gone.
fn painted_over(home: &Home) {
    let mut screen = home.mvm(["stats"]).on_terminal(24, 120);
    screen.shows("\x1b[HVM ID").shows("PIDS\x1b[K\r\n").shows(" box ").shows("--\x1b[K\r\n\x1b[J");
    screen.shows("\x1b[HVM ID").shows(" box ").shows("%").shows("4\x1b[K\r\n\x1b[J");
    screen.shows("\x1b[HVM ID");
    screen.types("\x03");
    let text = screen.end_text();
    screen.is_as_before();
    // Nothing in between but those lines, and no second of one.
    for look in text.split("\x1b[H").skip(1) {
        let end = look.split("\x1b[J").nth(1).unwrap_or_default();
        assert!(end.is_empty() || end.starts_with("^C"), "{text:?}");
        assert!(look.matches("\r\n").count() <= 2, "{text:?}");
    }
}
