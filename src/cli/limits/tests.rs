// SPDX-License-Identifier: Apache-2.0
//! From words to limits.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: LimitArgs,
}

fn args(words: &[&str]) -> LimitArgs {
    let words = ["test"].iter().chain(words);
    Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args
}

fn limits(words: &[&str]) -> Result<Limits> {
    args(words).limits(&Mounts::default())
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(limits(&[]).unwrap(), Limits::default());
    let harmless = ["--init", "--ipc", "private", "--userns=host", "--memory-swap", "-1"];
    assert_eq!(limits(&harmless).unwrap(), Limits::default());
}

#[test]
fn dockers_words() {
    let limits = limits(&[
        "--pids-limit=50",
        "--ulimit",
        "nofile=10:20",
        "--shm-size=1g",
        "--tmpfs",
        "/run",
        "--read-only",
        "--add-host=db:10.0.0.5",
        "--dns=9.9.9.9",
        "--dns-search",
        "a.example",
        "--dns-opt",
        "ndots:2",
        "--group-add",
        "audio",
        "--sysctl",
        "net.ipv4.ip_forward = 1",
        "--cap-drop=all",
        "--cap-add",
        "net_admin",
        "--security-opt",
        "no-new-privileges",
    ])
    .unwrap();
    assert_eq!((limits.pids, limits.shm_bytes, limits.read_only), (Some(50), Some(1 << 30), true));
    assert_eq!((limits.ulimits[0].soft, limits.tmpfs[0].target.as_str()), (10, "/run"));
    assert_eq!((limits.dns[0].as_str(), limits.dns_options[0].as_str()), ("9.9.9.9", "ndots:2"));
    assert_eq!(limits.sysctls["net.ipv4.ip_forward"], "1");
    assert_eq!(limits.capabilities(), 1 << 12);
    assert_eq!((limits.groups, limits.no_new_privileges), (vec!["audio".into()], Some(true)));
}

#[test]
fn they_are_shown_as_docker_shows_them() {
    let words = ["--cap-add=net_admin", "--tmpfs=/t:exec", "--security-opt=no-new-privileges"];
    let mut config = serde_json::json!({});
    describe(&limits(&words).unwrap(), &mut config);
    assert_eq!(config["CapAdd"], serde_json::json!(["CAP_NET_ADMIN"]));
    assert_eq!(config["Tmpfs"], serde_json::json!({"/t": "exec"}));
    assert_eq!(config["SecurityOpt"][0], "no-new-privileges=true");
    assert_eq!(config["ShmSize"], 64 << 20);
    assert!(config["CapDrop"].is_null() && config["PidsLimit"].is_null());
}

#[test]
fn no_limit_has_several_names() {
    for (text, expected) in [("-1", None), ("0", None), ("-7", None), ("4194304", Some(1 << 22))] {
        assert_eq!(limits(&["--pids-limit", text]).unwrap().pids, expected, "{text}");
    }
    assert_eq!(limits(&["--shm-size", "0"]).unwrap().shm_bytes, None);
}

#[test]
fn what_means_nothing_in_a_vm_is_explained() {
    for line in [
        &["--ipc", "host"][..],
        &["--pid=host"],
        &["--userns", "private"],
        &["--device", "/etc/passwd"],
        &["--storage-opt", "size=1g"],
        &["--memory-swap", "1g"],
        &["--cpuset-cpus", "0"],
        &["--oom-kill-disable"],
        &["--oom-score-adj", "-500"],
        &["--security-opt", "seccomp=x.json"],
        &["--sysctl", "x"],
        &["--sysctl", "x=1"],
        &["--sysctl", "a..b=1"],
        &["--sysctl", "a b.c=1"],
        &["--pids-limit", "5000000"],
    ] {
        assert!(limits(line).unwrap_err().hint.is_some(), "{line:?}");
    }
    for line in [
        &["--ulimit", "x=1"][..],
        &["--cap-add", "x"],
        &["--shm-size", "-1"],
        &["--shm-size", "x"],
        &["--pids-limit", "x"],
    ] {
        assert!(Line::try_parse_from(["test"].iter().chain(line)).is_err(), "{line:?}");
    }
}

#[test]
fn labels_of_flags_win_over_those_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("labels");
    std::fs::write(&file, "a=file\nb=file\nalone\n").unwrap();
    let file = file.to_str().unwrap();
    let labels = args(&["-l", "a=flag", "--label", "x", "--label-file", file]).labels().unwrap();
    let labels: Vec<_> = labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(labels, [("a", "flag"), ("alone", ""), ("b", "file"), ("x", "")]);
    assert!(args(&["--label", "=x"]).labels().is_err());
    assert!(args(&["--label", &"x".repeat(300_000)]).labels().is_err());
}
