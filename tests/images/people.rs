// SPDX-License-Identifier: Apache-2.0
//! What mvm says to people: exit statuses, names that were mistyped, settings,
//! and what a terminal gets that a pipe does not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use mvm::state::Phase;

use crate::support::{Home, Terminal};
use crate::vms::vm;
use crate::{Lab, need};

#[test]
fn statuses_are_what_the_document_says() {
    let home = Home::new();
    for (line, status) in [
        ("", 0),
        ("help", 0),
        ("--help", 0),
        ("help run", 0),
        ("run --help", 0),
        ("--version", 0),
        ("version", 0),
        ("ps -a", 0),
        ("images", 0),
        ("config", 0),
        ("config path", 0),
        ("completion bash", 0),
        ("system check", 0),
        ("wait nobody", 1),
        ("stop nobody", 1),
        ("inspect nobody", 1),
        ("start -a nobody", 1),
        ("attach nobody", 1),
        ("exec nobody true", 1),
        ("rmi nobody", 1),
        ("logs nobody", 1),
        ("config get nobody", 1),
        ("create --pull never nobody", 1),
        ("run --pull never nobody", 125),
        ("nobody", 125),
        ("build .", 125),
        ("ps --nobody", 125),
        ("image nobody", 125),
        ("run --memory much image", 125),
        ("stop", 125),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = home.mvm(&words).run();
        assert_eq!(output.code(), status, "mvm {line}: {}", output.stderr_text());
        // What went wrong is said, and only then.
        let silent = output.stderr_bytes().is_empty();
        assert_eq!(silent, status == 0, "mvm {line}: {}", output.stderr_text());
    }
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/EXIT_CODES.md")).unwrap();
    let named: Vec<(&str, &str)> =
        document.split('`').filter_map(|part| part.split_once(".rs: ")).collect();
    assert!(named.len() >= 10);
    for (file, test) in named {
        let text = fs::read_to_string(root.join(format!("{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{file}.rs has no {test}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = Home::new();
    let mut command = home.mvm(["help"]).command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn mistyped_names_are_guessed() {
    let lab = need!(Lab::new());
    let image = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let _web = vm(&lab, "web", &image);
    let near = image.replace("app", "pap");
    for (line, hint) in [
        (&["stop", "wbe"][..], "hint: did you mean web?"),
        (&["inspect", "wbe"], "hint: did you mean web?"),
        (&["rmi", &near], &format!("hint: did you mean {image}?")),
        (&["inspect", &near], &format!("hint: did you mean {image}?")),
        (&["sotp", "web"], "hint: did you mean mvm stop?"),
        (&["ps", "--al"], "--all"),
        (&["config", "set", "memmory", "1g"], "hint: did you mean memory?"),
        (&["compose", "up"], "hint: start each with mvm run -d"),
        (&["stop", "something-else"], "hint: mvm ps -a lists"),
    ] {
        let output = lab.mvm(line);
        assert_ne!(output.code(), 0);
        output.stderr_has(hint);
    }
}

#[test]
fn settings_are_defaults_of_flags() {
    let home = Home::new();
    let root = home.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("x"), "x").unwrap();
    let mvm = |args: &[&str]| home.mvm(args).run();
    mvm(&["config", "set", "memory", "1g"]).status(0).stdout("");
    mvm(&["config", "set", "cpus", "2"]).status(0);
    mvm(&["config", "get", "memory"]).status(0).stdout("1g\n");
    mvm(&["config", "set", "memory", "lots"]).status(1).one_error("invalid value 'lots'");
    let path = home.path().join("config/config.toml");
    mvm(&["config", "path"]).status(0).stdout(format!("{}\n", path.display()));
    let image = format!("dir:{}", root.display());
    let memory = |args: &[&str]| {
        let made = mvm(&[&["create", "-q"], args, &[&image, "/x"]].concat());
        let id = made.status(0).stdout_text().trim().to_owned();
        let shown = mvm(&["inspect", "-f", "{{.HostConfig.Memory}} {{.Mvm.Vcpus}}", &id]);
        shown.status(0).stdout_text().trim().to_owned()
    };
    assert_eq!(memory(&[]), "1073741824 2");
    assert_eq!(memory(&["-m", "128"]), "134217728 2");
    assert_eq!(memory(&["--cpus", "1"]), "1073741824 1");
    mvm(&["run", "--help"]).status(0).stdout_has("[default: 1g]");
    // A variable wins over the file, and is named.
    mvm(&["config", "set", "backend", "qemu"]).status(0);
    let listed = home.mvm(["config"]).env("MVM_BACKEND", "auto").run();
    let row = |name: &str| {
        let text = listed.stdout_text();
        let row = text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("backend"), ["backend", "auto", "MVM_BACKEND"]);
    assert_eq!(row("memory"), ["memory", "1g", path.to_str().unwrap()]);
    assert_eq!(row("pull"), ["pull", "missing", "default"]);
    // A wrong value in the file is known to be the file's.
    fs::write(&path, "memory = \"lots\"\n").unwrap();
    let output = mvm(&["run", "x"]);
    output.status(125).stderr_has("invalid value 'lots'").stderr_has("config.toml");
    mvm(&["ps"]).status(0);
    fs::write(&path, "memory = [").unwrap();
    mvm(&["run", "x"]).status(125).one_error("config.toml");
    mvm(&["create", "x"]).status(1).one_error("config.toml");
    mvm(&["config", "set", "memory", "1g"]).status(1).one_error("config.toml");
    assert_eq!(fs::read_to_string(&path).unwrap(), "memory = [");
}

#[test]
fn a_terminal_gets_colour_and_a_table_that_fits() {
    let lab = need!(Lab::new());
    let image = lab.pulled("team/application-with-a-name:1", 1, &[("/etc/one", "1")]);
    let mut claim = vm(&lab, "web", &image);
    claim.record.phase = Phase::Running;
    claim.record.command = vec!["/usr/local/bin/a-long-program".into(), "--with-flags".into()];
    claim.save().unwrap();
    let wide = lab.mvm(&["ps"]).status(0).stdout_text();
    let seen = |columns: u16, env: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm"));
        command.args(args).env("MVM_HOME", lab.home.path()).env("TERM", "xterm");
        command.env_remove("NO_COLOR").envs(env.iter().copied());
        let mut terminal = Terminal::start(&command, 24, columns);
        terminal.end_text()
    };
    let plain = seen(250, &[("NO_COLOR", "1")], &["ps"]);
    assert_eq!(plain.replace("\r\n", "\n"), wide);
    assert_eq!(seen(250, &[("TERM", "dumb")], &["ps"]), plain);
    let coloured = seen(250, &[], &["ps"]);
    assert!(coloured.contains("\u{1b}[32mUp "), "{coloured}");
    let narrow = seen(100, &[("NO_COLOR", "1")], &["ps"]);
    let widest = narrow.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 100 && narrow.contains('…') && narrow.contains("web"), "{narrow}");
    assert_eq!(seen(60, &[("NO_COLOR", "1")], &["ps", "--no-trunc"]).matches('…').count(), 0);
    let error = seen(80, &[], &["stop", "nobody"]);
    assert!(error.contains("\u{1b}[31m\u{1b}[1merror:"), "{error}");
}

#[test]
fn completion_makes_nothing_and_is_silent_about_what_is_wrong() {
    let home = Home::new();
    let ask = |directory: &Path, words: &[&str]| {
        let count = words.len().to_string();
        let line = [&["__complete", count.as_str()], words].concat();
        let output = home.mvm(line).env("MVM_HOME", directory).run();
        assert_eq!(output.stderr_text(), "");
        output.status(0).stdout_text()
    };
    let nowhere = home.path().join("nowhere");
    for line in [&["mvm", "stop", ""][..], &["mvm", "run", ""], &["mvm", "config", "set", ""]] {
        assert!(ask(&nowhere, line).ends_with(":\n"), "{line:?}");
    }
    assert!(!nowhere.exists());
    // What others would complain of, or wait for, or tidy.
    let broken = home.path().join("broken");
    let vms = broken.join("data/vms");
    let half = vms.join("a".repeat(64));
    let garbage = vms.join("b".repeat(64));
    fs::create_dir_all(&half).unwrap();
    fs::create_dir_all(&garbage).unwrap();
    fs::write(garbage.join("vm.json"), "{").unwrap();
    fs::create_dir_all(broken.join("data/blobs")).unwrap();
    fs::write(broken.join("data/blobs/index.json"), "{").unwrap();
    for line in [&["mvm", "rm", ""][..], &["mvm", "rmi", ""], &["mvm", "inspect", ""]] {
        assert_eq!(ask(&broken, line), ":\n", "{line:?}");
    }
    assert!(half.exists() && garbage.exists());
}
