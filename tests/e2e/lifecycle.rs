// SPDX-License-Identifier: Apache-2.0
//! Names, lists and removal.

use serde_json::json;

use crate::support::Home;
use crate::{image, need, ready};

#[test]
fn a_running_vm_is_listed_keeps_its_name_and_is_not_removed() {
    let home = need!(ready());
    let busybox = image("busybox");
    let mut running = home
        .mvm(["run", "-i", "--name", "web", &busybox, "sh", "-c", "echo ready; read line; exit 4"])
        .spawn();
    running.wait_for_stdout("ready\n");
    home.mvm(["ps"]).run().status(0).stdout_has("web").stdout_has("busybox");
    home.mvm(["run", "--rm", "--name", "web", &busybox, "true"]).run().fails_with("web");
    home.mvm(["rm", "web"]).run().one_error("web");
    assert_eq!(home.vms().len(), 1);
    let removed = home.mvm(["rm", "--force", "web"]).run();
    removed.status(0);
    running.finish();
    home.is_quiet();
    assert!(home.vms().is_empty());
}

/// What a VM runs on is not collected with the image's name.
#[test]
fn a_vm_goes_on_without_its_image() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = "echo ready; read line; cat /bin/busybox | wc -c; exec ls /bin/busybox";
    let mut running = home.mvm(["run", "--rm", "-i", &busybox, "sh", "-c", script]).spawn();
    running.wait_for_stdout("ready\n");
    home.mvm(["rmi", &busybox]).run().one_error("VM");
    home.mvm(["rmi", "--force", &busybox]).run().status(0);
    home.mvm(["image", "prune", "--all", "--force"]).run().status(0);
    home.mvm(["images", "-q"]).run().stdout_lacks("busybox");
    let mut stdin = running.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"go on\n").expect("write to mvm");
    let output = running.finish();
    output.status(0).stdout_has("/bin/busybox\n");
    home.mvm(["system", "check"]).run().status(0);
}

#[test]
fn signals_reach_a_vm_and_its_end_is_waited_for() {
    let home = need!(ready());
    let busybox = image("busybox");
    let script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.1; done";
    let mut running = home.mvm(["run", "--name", "box", &busybox, "sh", "-c", script]).spawn();
    running.wait_for_stdout("ready\n");
    let state = ["inspect", "-f", "{{.Name}} {{.State.Status}} {{.State.ExitCode}}", "box"];
    home.mvm(state).run().status(0).stdout("/box running 0\n");
    home.mvm(["kill", "-s", "SIGUSR1", "box"]).run().status(0).stdout("box\n");
    running.wait_for_stdout("usr1\n");
    let waiting = home.mvm(["wait", "box"]).spawn();
    home.mvm(["kill", "box"]).run().status(0).stdout("box\n");
    waiting.finish().status(0).stdout("137\n");
    running.finish().status(137).stdout("ready\nusr1\n");
    home.mvm(state).run().status(0).stdout("/box exited 137\n");
    home.mvm(["wait", "box"]).run().status(0).stdout("137\n");
    home.mvm(["kill", "box"]).run().one_error("VM box is not running");
    home.mvm(["kill", "-s", "NOPE", "box"]).run().status(125);
    home.mvm(["inspect", "box", "none"]).run().status(1).stdout_has("/box").stderr_has("none");
    home.mvm(["rm", "box"]).run().status(0);
}

#[test]
fn a_detached_vm_goes_on_by_itself() {
    let home = need!(ready());
    let busybox = image("busybox");
    let cidfile = home.path().join("cid");
    let cidfile = cidfile.to_str().expect("UTF-8");
    // It is said to run when its command does, and no sooner.
    let script = "echo err >&2; echo out; exec sleep 1000";
    let options = ["run", "-d", "--name", "back", "--cidfile", cidfile];
    let output = home.mvm(options).args([&busybox, "sh", "-c", script]).run();
    let [id] = &home.vms()[..] else { panic!("one VM, not {:?}", home.vms()) };
    output.status(0).stdout(format!("{id}\n"));
    assert_eq!(std::fs::read_to_string(cidfile).expect("the ID"), *id);
    home.mvm(["inspect", "-f", "{{.State.Status}}", "back"]).run().stdout("running\n");
    let again = home.mvm(["run", "--cidfile", cidfile, &busybox, "true"]).run();
    again.one_error("cid");
    // That it runs does not say how far it has come.
    let mut following = home.mvm(["logs", "-f", "back"]).spawn();
    following.wait_for_stdout("out\n");
    home.mvm(["stop", "back"]).run().status(0).stdout("back\n");
    following.finish().status(0);
    home.mvm(["wait", "back"]).run().status(0).stdout("143\n");
    home.mvm(["logs", "back"]).run().status(0).stdout("out\n").guest_stderr("err\n");
    home.mvm(["rm", "back"]).run().status(0);
    // Where no VM comes to be, the file is not there either.
    let other = format!("{cidfile}2");
    let template = home.path().join("data/uppers/ext4-2-70.img");
    std::fs::create_dir_all(&template).expect("make a directory");
    let diskless = ["run", "--cidfile", &other, "--disk", "70m", &busybox, "true"];
    home.mvm(diskless).run().fails_with("make the VM's disk");
    assert!(!std::path::Path::new(&other).exists());
    // A command that cannot start is no VM in the background.
    let failed = home.mvm(["run", "-d", "--rm", &busybox, "/nowhere"]).run();
    failed.status(127).stdout("");
    home.is_quiet();
}

#[test]
fn an_ended_vm_stays_until_it_is_removed() {
    let home = need!(ready());
    let busybox = image("busybox");
    home.mvm(["run", "--name", "done", &busybox, "sh", "-c", "exit 9"]).run().status(9);
    home.mvm(["ps"]).run().status(0).stdout_lacks("done");
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("done").stdout_has("9");
    let [id] = &home.vms()[..] else { panic!("one VM, not {:?}", home.vms()) };
    let row = home.mvm(["ps", "-a", "--format", "json"]).run().json();
    assert_eq!((&row["id"], &row["exit_code"]), (&json!(id), &json!(9)), "{row}");
    // A name in use, even by what has ended.
    home.mvm(["run", "--name", "done", &busybox, "true"]).run().fails_with("done");
    // By name, by ID prefix; shorter than three characters names nothing.
    home.mvm(["rm", &id[..2]]).run().one_error(&id[..2]);
    home.mvm(["rm", &id[..12]]).run().status(0);
    assert!(home.vms().is_empty());
    home.mvm(["rm", "done"]).run().one_error("done");
}

#[test]
fn nothing_is_listed_in_a_new_home() {
    let home = Home::new();
    for command in [&["ps"][..], &["ps", "-a"], &["images"]] {
        let output = home.mvm(command.iter().copied()).run();
        output.status(0).stderr_lacks("error");
        assert_eq!(output.stdout_text().lines().count(), 1, "a heading only");
    }
}

#[test]
fn doctor_and_version_answer() {
    let home = need!(ready());
    let output = home.mvm(["doctor"]).run();
    output.stdout_has("qemu").stderr_lacks("panicked");
    home.mvm(["--version"]).run().status(0).stdout(concat!(
        "mvm ",
        env!("CARGO_PKG_VERSION"),
        "\n"
    ));
}
