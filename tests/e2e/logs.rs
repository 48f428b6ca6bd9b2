// SPDX-License-Identifier: Apache-2.0
//! `mvm logs`: what a command wrote, while it runs, when it has ended, when its
//! monitor died.

use std::time::{Duration, Instant};

use crate::support::{Home, slower};
use crate::{image, need, ready};

fn wait_for_log(home: &Home, vm: &str, text: &str) {
    let began = Instant::now();
    while !home.mvm(["logs", vm]).run().status(0).stdout_text().contains(text) {
        assert!(began.elapsed() < slower(Duration::from_secs(30)), "{text:?} is not in the log");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_log_of_a_vm_that_runs_dies_and_starts_again() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = "for i in 1 2 3 4 5 6; do echo out $i; echo err $i >&2; done; sleep 1; \
                  printf 'no end'; exec sleep 1000";
    let made = home.mvm(["run", "-d", "--name", "box", &busybox, "sh", "-c", script]).run();
    made.status(0);
    wait_for_log(&home, "box", "no end");
    let lines = |stream: &str, from: u32| -> String {
        (from..=6).map(|i| format!("{stream} {i}\n")).collect()
    };
    let whole = home.mvm(["logs", "box"]).run();
    whole.status(0).stdout(lines("out", 1) + "no end").guest_stderr(lines("err", 1));
    // Of both streams together, in their order.
    let tail = home.mvm(["logs", "--tail", "3", "box"]).run();
    let text = tail.status(0).stdout_text() + &tail.stderr_text();
    assert_eq!(text.matches("out ").count() + text.matches("err ").count(), 2, "{text}");
    assert!(text.contains("no end"), "{text}");
    home.mvm(["logs", "-n", "0", "box"]).run().status(0).stdout("").guest_stderr("");
    home.mvm(["logs", "--since", "1h", "box"]).run().stdout(lines("out", 1) + "no end");
    home.mvm(["logs", "--until", "1h", "box"]).run().status(0).stdout("").guest_stderr("");
    home.mvm(["logs", "--since", "soon", "box"]).run().status(125).stderr_has("point in time");
    home.mvm(["logs", "none"]).run().one_error("no such VM: none");
    // Each line has a time, with nanoseconds, that --since and --until take.
    let stamped = home.mvm(["logs", "-t", "-n", "1", "box"]).run().status(0).stdout_text();
    let (time, rest) = stamped.split_once(' ').expect("a time");
    assert_eq!((rest, time.len()), ("no end", "2026-01-31T12:00:00.000000000Z".len()), "{stamped}");
    home.mvm(["logs", "--since", time, "box"]).run().status(0).stdout_has("no end");
    home.mvm(["logs", "--until", time, "box"]).run().status(0).stdout_has("out 1\n");

    // Who follows sees what comes, until the VM ends; who wants the last only,
    // the last.
    let mut following = home.mvm(["logs", "-f", "box"]).spawn();
    following.wait_for_stdout("no end");
    let mut last = home.mvm(["logs", "-f", "--tail", "1", "box"]).spawn();
    last.wait_for_stdout("no end");
    let until = home.mvm(["logs", "-f", "--until", "-1s", "box"]).run();
    until.status(0).stdout_has("no end");
    home.process("__monitor").kill();
    following.finish().status(0).stdout(lines("out", 1) + "no end");
    last.finish().status(0).stdout("no end");
    home.is_quiet();
    home.mvm(["logs", "box"]).run().status(0).stdout(lines("out", 1) + "no end");
    // Of what does not run there is nothing to wait for.
    home.mvm(["logs", "-f", "box"]).run().status(0).stdout(lines("out", 1) + "no end");
    home.mvm(["start", "box"]).run().status(0);
    wait_for_log(&home, "box", &("no end".to_owned() + &lines("out", 1)));
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.mvm(["logs", "box"]).run().one_error("no such VM: box");
}

/// Its last words are read though it vanishes with them, in more files than one.
#[test]
fn who_follows_sees_all_of_a_vm_that_goes_with_its_end() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = "echo begin; sleep 2; seq 1500000; echo the end; echo err >&2";
    let made =
        home.mvm(["run", "-d", "--rm", "--name", "gone", &busybox, "sh", "-c", script]).run();
    made.status(0);
    let all: String = (1..=1_500_000).map(|i| format!("{i}\n")).collect();
    let followed = home.mvm(["logs", "-f", "gone"]).run();
    followed.status(0).stdout(format!("begin\n{all}the end\n")).guest_stderr("err\n");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn as_much_is_kept_as_is_asked_for() {
    let home = need!(ready());
    let busybox = image("busybox");
    let limits = ["--log-opt", "max-size=100k", "--log-opt", "max-file=3"];
    let all: String = (1..=200_000).map(|i| format!("{i}\n")).collect();
    let run = home.mvm(["run", "-d", "--name", "long"]).args(limits);
    run.args([&busybox, "sh", "-c", "seq 200000; exec sleep 1000"]).run().status(0);
    wait_for_log(&home, "long", "200000\n");
    let kept = home.mvm(["logs", "long"]).run().status(0).stdout_text();
    assert!(all.ends_with(&kept) && (150_000..300_000).contains(&kept.len()), "{}", kept.len());
    home.mvm(["logs", "--tail", "2", "long"]).run().stdout("199999\n200000\n");
    // By its new name, while it runs and after.
    home.mvm(["rename", "long", "other"]).run().status(0).stdout("");
    home.mvm(["logs", "--tail", "1", "long"]).run().one_error("no such VM: long");
    home.mvm(["ps", "--format", "{{.Names}} {{.State}}"]).run().stdout("other running\n");
    home.mvm(["stop", "-t", "0", "other"]).run().status(0).stdout("other\n");
    home.mvm(["ps", "-a", "--format", "{{.Names}} {{.State}}"]).run().stdout("other exited\n");
    home.mvm(["logs", "--tail", "1", "other"]).run().stdout("200000\n");
    home.mvm(["rm", "other"]).run().status(0);

    let shared = home.make_volume("shared");
    let volume = format!("{}:/v", shared.display());
    let none = ["create", "--name", "mute", "--log-driver", "none", "-v", &volume];
    home.mvm(none).args([&busybox, "true"]).run().status(0);
    for (place, names) in [("/v", "mute\n"), (&volume[..volume.len() - 3], "mute\n"), ("/", "")] {
        let filter = format!("volume={place}");
        let args = ["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"];
        home.mvm(args).run().status(0).stdout(names);
    }
    let mounts = home.mvm(["ps", "-a", "--format", "{{.Mounts}}"]).run();
    mounts.status(0).stdout(format!("{}\n", shared.display()));
    let kept = home.mvm(["inspect", "-f", "{{.HostConfig.LogConfig.Type}}", "mute"]).run();
    kept.status(0).stdout("none\n");
    home.mvm(["logs", "mute"]).run().one_error("the output of mute is not kept");
    home.mvm(["rm", "-f", "-v", "mute", "absent"]).run().status(0).stdout("mute\n");
    home.mvm(["rm", "mute"]).run().one_error("no such VM: mute");
    assert!(home.vms().is_empty());
}
