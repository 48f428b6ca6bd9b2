// SPDX-License-Identifier: Apache-2.0
//! `mvm ps`: columns, filters, formats. The VMs are records without a machine.

use mvm::state::{ExitRecord, Phase, now_ms};
use serde_json::json;

use crate::vms::vm;
use crate::{Lab, need};

#[test]
fn ps_shows_what_is_asked_for_as_docker_does() {
    let lab = need!(Lab::new());
    let app = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let base = lab.pulled("base", 2, &[("/etc/two", "2")]);
    let mut made = Vec::new();
    for (at, (name, image, phase, code)) in [
        ("old", &base, Phase::Exited, Some(137)),
        ("new", &base, Phase::Created, None),
        ("web", &app, Phase::Running, None),
        ("dead", &app, Phase::Running, None),
        ("web-2", &app, Phase::Exited, Some(0)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut claim = vm(&lab, name, image);
        let record = &mut claim.record;
        record.phase = phase;
        record.created_ms = now_ms() - 3_600_000 * (24 - at as u64);
        record.started_ms = Some(now_ms() - 180_500);
        record.command = vec!["sh".into(), "-c".into(), "sleep 1000; echo".into()];
        record.labels =
            [("at".to_owned(), at.to_string()), ("all".to_owned(), String::new())].into();
        record.exit = code.map(|code| ExitRecord {
            code,
            signal: None,
            oom_killed: false,
            finished_ms: now_ms() - 7_200_500,
            error: None,
        });
        claim.save().unwrap();
        made.push(claim);
    }
    // One runs; nobody holds the others.
    let ids: Vec<String> = made.iter().map(|claim| claim.record.id.clone()).collect();
    let running = made.swap_remove(2);
    drop(made);
    let short = |at: usize| ids[at][..12].to_owned();

    // The whole table, to the byte.
    let format = r"table {{.ID}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
    let table = lab.mvm(&["ps", "-a", "--format", format]);
    let mut lines =
        format!("{:<15}{:<25}{:<15}{:<27}NAMES\n", "VM ID", "COMMAND", "CREATED", "STATUS");
    for (at, hours, status, name) in [
        (4, 20, "Exited (0) 2 hours ago", "web-2"),
        (3, 21, "Dead", "dead"),
        (2, 22, "Up 3 minutes", "web"),
        (1, 23, "Created", "new"),
        (0, 24, "Exited (137) 2 hours ago", "old"),
    ] {
        let command = "\"sh -c 'sleep 1000; …\"";
        let ago = format!("{hours} hours ago");
        lines += &format!("{:<15}{command:<25}{ago:<15}{status:<27}{name}\n", short(at));
    }
    table.status(0).stdout(&lines);
    let head =
        |args: &[&str]| lab.mvm(args).status(0).stdout_text().lines().next().unwrap().to_owned();
    let columns = |args: &[&str]| head(args).split("  ").filter(|c| !c.is_empty()).count();
    assert_eq!((columns(&["ps"]), columns(&["ps", "-s"])), (6, 7));
    lab.mvm(&["ps", "--no-trunc"]).status(0).stdout_has(&ids[2]).stdout_has("sleep 1000; echo'\"");
    lab.mvm(&["ps", "-s"]).status(0).stdout_has("(virtual ");

    let names = |args: &[&str]| {
        let output = lab.mvm(&[&["ps", "--format", "{{.Names}}"], args].concat());
        output.status(0).stdout_text().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    for (args, expected) in [
        (&[][..], &["web"][..]),
        (&["-a"], &["web-2", "dead", "web", "new", "old"]),
        (&["-l"], &["web-2"]),
        (&["-n", "2"], &["web-2", "dead"]),
        (&["-n", "-1"], &["web"]),
        (&["-a", "-f", "name=web"], &["web-2", "web"]),
        (&["-a", "-f", "name=^/?web$"], &["web"]),
        (&["-a", "-f", "name=new", "-f", "name=old"], &["new", "old"]),
        (&["-a", "-f", "id=PREFIX"], &["old"]),
        (&["-f", "status=exited"], &["web-2", "old"]),
        (&["-f", "status=created", "-f", "status=dead"], &["dead", "new"]),
        (&["-f", "status=paused"], &[]),
        (&["-a", "-f", "exited=137"], &["old"]),
        (&["-a", "-f", "exited=0", "-f", "name=old"], &[]),
        (&["-a", "-f", "ancestor=BASE"], &["new", "old"]),
        (&["-a", "-f", "ancestor=APP-ID"], &["web-2", "dead", "web"]),
        (&["-a", "-f", "ancestor=nobody"], &[]),
        (&["-a", "-f", "before=web"], &["new", "old"]),
        (&["-a", "-f", "since=web"], &["web-2", "dead"]),
        (&["-a", "-f", "label=at=1"], &["new"]),
        (&["-f", "label=all"], &["web"]),
        (&["-a", "-f", "label=all", "-f", "label=at=0"], &["old"]),
        (&["-f", "network=none"], &["web"]),
        (&["-f", "network=user"], &[]),
    ] {
        let app_id = lab.id(&app);
        let filled: Vec<String> = args
            .iter()
            .map(|arg| {
                arg.replace("PREFIX", &format!("^{}", &ids[0][..8]))
                    .replace("BASE", &base)
                    .replace("APP-ID", app_id.trim_start_matches("sha256:").split_at(12).0)
            })
            .collect();
        let filled: Vec<&str> = filled.iter().map(String::as_str).collect();
        assert_eq!(names(&filled), expected, "{args:?}");
    }
    for bad in ["color=red", "name=(", "status=happy", "exited=x", "name"] {
        lab.mvm(&["ps", "-f", bad]).status(1).one_error("");
    }
    lab.mvm(&["ps", "-a", "-f", "before=none"]).status(1).one_error("no such VM: none");

    let row = lab.mvm(&["ps", "-s", "--format", "json"]).json();
    assert_eq!((&row["name"], &row["labels"]["at"]), (&json!("web"), &json!("2")));
    assert!(row["size"].is_u64());
    let format = "{{.Labels}} {{.State}} [{{.Ports}}]";
    lab.mvm(&["ps", "--format", format]).stdout("all=,at=2 running []\n");

    // Labels choose what is pruned, too.
    let prune = |filter: &str| lab.mvm(&["system", "prune", "-f", "--filter", filter]);
    prune("label=at=0").status(0).stdout_has(&ids[0]).stdout_lacks(&ids[1]);
    prune("label!=all").status(0).stdout_lacks("Deleted VMs");
    drop(running);
}

/// What was made in the future is young, and no more.
#[test]
fn a_clock_that_was_set_back_is_survived() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let mut claim = vm(&lab, "early", &name);
    for far in [now_ms() + 1_000_000_000, u64::MAX] {
        claim.record.created_ms = far;
        claim.record.started_ms = Some(far);
        claim.save().unwrap();
        let format = "{{.RunningFor}}, {{.Status}}";
        let shown = lab.mvm(&["ps", "--format", format]);
        shown.status(0).stdout("Less than a second ago, Up Less than a second\n");
        lab.mvm(&["ps", "-s"]).status(0).stderr_lacks("panicked");
        lab.mvm(&["inspect", "early"]).status(0).stderr_lacks("panicked");
    }
}
