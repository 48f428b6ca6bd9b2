// SPDX-License-Identifier: Apache-2.0
//! What is offered for unfinished lines, without a store.

use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

/// The line up to the cursor.
fn offered(line: &str) -> (Vec<String>, Files) {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let answer = answer(&words);
    (answer.candidates.into_iter().map(|candidate| candidate.value).collect(), answer.files)
}

fn values(line: &str) -> Vec<String> {
    offered(line).0
}

#[test]
fn every_command_and_every_flag_is_offered() {
    let mut program = Cli::command();
    program.build();
    let names = values("mvm ");
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(names.iter().any(|name| name == command.get_name()), "{}", command.get_name());
        flags(&format!("mvm {}", command.get_name()), command);
    }
}

fn flags(line: &str, command: &clap::Command) {
    let offered = values(&format!("{line} -"));
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let Some(name) = arg.get_long() else { continue };
        let is_it = |flag: &String| flag.trim_end_matches('=') == format!("--{name}");
        assert!(offered.iter().any(is_it), "{line} --{name}: {offered:?}");
    }
    if command.has_subcommands() {
        let names = values(&format!("{line} "));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            assert!(names.iter().any(|name| name == inner.get_name()), "{line}");
            flags(&format!("{line} {}", inner.get_name()), inner);
        }
    }
}

#[test]
fn values_are_of_their_flag() {
    for (line, expected) in [
        ("mvm run --backend ", &["auto", "libkrun", "qemu"][..]),
        ("mvm run --backend=li", &["--backend=libkrun"]),
        ("mvm -v run --pull n", &["never"]),
        ("mvm run -it --network u", &["user"]),
        ("mvm run -itm 5 --log-driver n", &["none"]),
        ("mvm run -m 512m --pull a", &["always"]),
        ("mvm kill -s TER", &["TERM"]),
        ("mvm kill --signal=SIGTER", &["--signal=SIGTERM"]),
        ("mvm run --log-opt ", &["max-size=", "max-file="]),
        ("mvm ps --filter status=ru", &["status=running"]),
        ("mvm run --sig-proxy=f", &["--sig-proxy=false"]),
        ("mvm image r", &["rm"]),
        ("mvm imag", &["images", "image"]),
        ("mvm config g", &["get"]),
        ("mvm config set mem", &["memory"]),
        ("mvm help sys", &["system"]),
        ("mvm doctor --form", &["--format"]),
        ("mvm completion ba", &["bash"]),
        // What follows the image is the guest's.
        ("mvm run image --back", &[]),
        ("mvm run -- image -", &[]),
        ("mvm exec web l", &[]),
        // Nobody knows.
        ("mvm run --nope x", &[]),
        ("mvm nope ", &[]),
        ("mvm run -e NOT_SET_ANYWHERE=", &[]),
        ("mvm run -u ", &[]),
        ("mvm image nope ", &[]),
    ] {
        assert_eq!(values(line), expected, "{line}");
    }
    // A flag that was given is not offered again, if once is enough.
    assert!(!values("mvm run --rm --").contains(&"--rm".to_owned()));
    assert!(values("mvm run --env A=1 --").contains(&"--env".to_owned()));
}

#[test]
fn files_are_the_shells() {
    for (line, files) in [
        ("mvm load -i ", Files::All),
        ("mvm run --env-file=", Files::All),
        ("mvm run -v ", Files::All),
        ("mvm run oci:", Files::All),
        ("mvm cp ", Files::All),
        ("mvm cp web:/etc", Files::None),
        ("mvm run ", Files::None),
        ("mvm run -w ", Files::None),
        ("mvm save -o x -", Files::None),
    ] {
        assert_eq!(offered(line).1, files, "{line}");
    }
}

#[test]
fn nothing_that_is_typed_is_a_panic() {
    for line in [
        "",
        "mvm",
        "mvm -",
        "mvm --",
        "mvm -- ",
        "mvm --=",
        "mvm run --=",
        "mvm run -é",
        "mvm run --é=",
        "mvm - - -",
        "mvm help help ",
        "mvm image image image ",
        "mvm run --backend",
        "mvm container ",
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for count in [0, 1, words.len(), words.len() + 3] {
            let _ = answer(&pad(&words, count));
        }
    }
    assert_eq!(main(&[]), ExitCode::SUCCESS);
    assert_eq!(main(&["x".into()]), ExitCode::SUCCESS);
}

#[test]
fn what_a_shell_would_read_otherwise_is_left_out() {
    let candidates = ["web", "a b", "$(x)", "x;y", ":x", "", "é", "a\tb"];
    let answer = Answer {
        candidates: candidates.map(|value| Candidate::new(value, "one\ntwo\u{1b}")).into(),
        files: Files::None,
    };
    assert_eq!(printed(answer), "web\tonetwo\n:\n");
}
