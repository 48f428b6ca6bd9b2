// SPDX-License-Identifier: Apache-2.0
//! Names of commands: their groups in `mvm help`, other names that people type,
//! and what to say of those that there are not.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use clap::{CommandFactory, builder::StyledStr};

use super::Cli;
use super::complete::Candidate;
use crate::error::Failure;
use crate::similar;

/// Every command has its place here; a test sees to it.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Common commands",
        &["run", "exec", "ps", "logs", "stop", "rm", "ssh", "cp", "pull", "images"],
    ),
    (
        "Virtual machines",
        &[
            "create",
            "start",
            "restart",
            "kill",
            "wait",
            "attach",
            "console",
            "stream",
            "inspect",
            "rename",
            "top",
            "stats",
            "ssh-config",
        ],
    ),
    ("Images", &["image", "tag", "rmi", "history", "save", "load"]),
    ("Registries", &["push", "login", "logout"]),
    ("This machine", &["doctor", "system", "config", "completion", "version", "help"]),
];

/// Docker's commands about containers, which are ours about VMs.
const CONTAINER: &[&str] = &[
    "attach", "cp", "create", "exec", "inspect", "kill", "logs", "rename", "restart", "rm", "run",
    "start", "stats", "stop", "top", "wait",
];

/// Docker's commands that are none here: why, and what to do.
const ABSENT: &[(&[&str], &str, &str)] = &[
    (
        &["build", "buildx", "builder", "bake"],
        "mvm runs images and builds none",
        "build with docker, podman or buildah, then: docker save NAME | mvm load",
    ),
    (
        &["container", "vm"],
        "VMs are what mvm's commands are about",
        "leave the word out: mvm ps, mvm run, mvm rm; mvm system prune removes those that ended",
    ),
    (&["compose"], "mvm has no compose", "start each with mvm run -d, in a script"),
    (
        &["swarm", "service", "stack", "node", "secret"],
        "mvm runs VMs on this machine only, and has no daemon",
        "mvm run -d",
    ),
    (
        &["network"],
        "mvm has no named networks",
        "mvm run --network none or user: docs/NETWORKING.md",
    ),
    (&["volume"], "mvm has no named volumes", "share a directory: mvm run -v /on/host:/in/vm"),
    (
        &["commit", "diff", "export", "import"],
        "a VM's disk stays with its VM, and becomes no image",
        "mvm cp takes files out; an image comes from a directory by mvm run dir:ROOTFS",
    ),
    (&["pause", "unpause"], "VMs cannot be paused", "mvm stop, then mvm start, keeps its disk"),
    (&["port"], "no port of a VM is published", "mvm exec and mvm ssh reach into it"),
    (&["update"], "a VM keeps what it was made with", "mvm create another from the same image"),
    (&["info"], "it is in several places", "mvm version, mvm doctor and mvm system df"),
    (&["search"], "registries are not searched", "mvm pull takes a name"),
    (
        &["context", "plugin", "manifest", "trust", "checkpoint", "events"],
        "that is of Docker's daemon",
        "mvm help lists what there is",
    ),
];

/// The same words with our names of commands, where there are others.
pub fn canonical(mut words: Vec<OsString>) -> Vec<OsString> {
    let at = |words: &[OsString], at: usize| {
        words.get(at).and_then(|word| word.to_str()).map(str::to_owned)
    };
    let flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let first = 1 + words.iter().skip(1).take_while(|word| flag(word)).count();
    let Some(name) = at(&words, first) else { return words };
    match (name.as_str(), at(&words, first + 1).as_deref()) {
        ("ls" | "list", _) => words[first] = "ps".into(),
        ("container" | "vm", Some("ls" | "list" | "ps")) => {
            words.splice(first..first + 2, ["ps".into()]);
        }
        ("container" | "vm", Some("remove")) => {
            words.splice(first..first + 2, ["rm".into()]);
        }
        ("container" | "vm", Some(of)) if CONTAINER.contains(&of) => {
            words.remove(first);
        }
        _ => {}
    }
    words
}

/// `help NAME` is `NAME --help`. What follows a name is no argument of it.
pub fn asking_for_help(words: Vec<OsString>) -> Vec<OsString> {
    let program = words.first().cloned().unwrap_or_else(|| "mvm".into());
    if words.len() < 2 {
        return vec![program, "--help".into()];
    }
    if words[1] != *"help" {
        return words;
    }
    let named = words.get(2).and_then(|name| Some((name, super::command(name)?.0)));
    let mut asked = vec![program];
    asked.extend(words.get(2).cloned());
    if let Some((_, command)) = &named {
        asked.extend(words.get(3).filter(|_| command.has_subcommands()).cloned());
    }
    asked.push("--help".into());
    asked
}

/// Why there is no such command.
pub fn unknown(name: &OsStr) -> Failure {
    let name = name.to_string_lossy();
    let absent = ABSENT.iter().find(|(names, _, _)| names.contains(&&*name));
    if let Some((_, why, hint)) = absent {
        return Failure::new(format!("there is no command {name:?}: {why}")).hint(*hint);
    }
    let known = GROUPS.iter().flat_map(|(_, names)| names.iter().copied());
    let known = known.filter(|name| super::command(name.as_ref()).is_some());
    let hint = similar::nearest(&name, known).map_or_else(
        || "mvm help lists the commands".into(),
        |near| format!("did you mean mvm {near}?"),
    );
    Failure::new(format!("there is no command {name:?}")).hint(hint)
}

/// All commands, in the order of `mvm help`.
pub fn all() -> Vec<Candidate> {
    let program = Cli::command();
    let about = |name: &&str| {
        let command = program.find_subcommand(name)?;
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        Some(Candidate::new(*name, about))
    };
    GROUPS.iter().flat_map(|(_, names)| names.iter()).filter_map(about).collect()
}

/// The whole program, with its commands in groups.
pub fn program() -> clap::Command {
    let program = Cli::command();
    let help = help(&program);
    program.override_help(help)
}

fn help(program: &clap::Command) -> StyledStr {
    let styles = program.get_styles();
    let (head, name) = (styles.get_header(), styles.get_literal());
    let mut text = String::new();
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "{about}\n\n{head}Usage:{head:#} {name}mvm{name:#} [OPTIONS] COMMAND");
    for (title, names) in GROUPS {
        let _ = writeln!(text, "\n{head}{title}:{head:#}");
        for command in names.iter().filter_map(|name| program.find_subcommand(name)) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name}{:<11}{name:#} {about}", command.get_name());
        }
    }
    let _ = write!(
        text,
        "\n{head}Options:{head:#}\n  \
         {name}-v{name:#}, {name}--verbose{name:#}   Say where the time goes; twice: say what is done\n  \
         {name}-h{name:#}, {name}--help{name:#}      Print help\n  \
         {name}-V{name:#}, {name}--version{name:#}   Print version\n\n\
         {name}mvm help COMMAND{name:#} says more of one. Begin with: {name}mvm run --rm -it IMAGE{name:#}\n"
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_command_has_one_place_in_the_help() {
        let mut placed: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        placed.sort_unstable();
        let count = placed.len();
        placed.dedup();
        assert_eq!(placed.len(), count, "a command is in two groups");
        let program = Cli::command();
        let help = super::help(&program).to_string();
        for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(placed.contains(&name), "{name} is in no group of GROUPS");
            assert!(help.contains(&format!("\n  {name} ")), "{name}: {help}");
        }
        let widest = help.lines().map(str::len).max();
        assert!(widest < Some(100), "{help}");
    }

    #[test]
    fn dockers_names_are_understood() {
        for (typed, meant) in [
            ("mvm ls -a", "mvm ps -a"),
            ("mvm container ls", "mvm ps"),
            ("mvm -v container run x ls", "mvm -v run x ls"),
            ("mvm container remove x", "mvm rm x"),
            ("mvm container prune", "mvm container prune"),
            ("mvm image ls", "mvm image ls"),
            ("mvm run ls", "mvm run ls"),
            ("mvm container", "mvm container"),
        ] {
            assert_eq!(canonical(words(typed)), words(meant), "{typed}");
        }
        for (typed, meant) in [
            ("mvm help", "mvm --help"),
            ("mvm", "mvm --help"),
            ("mvm help run x", "mvm run --help"),
            ("mvm help image rm x", "mvm image rm --help"),
            ("mvm help nope", "mvm nope --help"),
            ("mvm run help", "mvm run help"),
        ] {
            assert_eq!(asking_for_help(words(typed)), words(meant), "{typed}");
        }
    }

    #[test]
    fn what_there_is_not_is_explained() {
        for (name, hint) in [
            ("build", "docker save NAME | mvm load"),
            ("compose", "mvm run -d"),
            ("exce", "did you mean mvm exec?"),
            ("xyzzy", "mvm help"),
        ] {
            let failure = unknown(name.as_ref());
            assert!(failure.hint.unwrap().contains(hint), "{name}");
        }
        // None of them is one of ours by now.
        for name in ABSENT.iter().flat_map(|(names, _, _)| names.iter()) {
            assert!(super::super::command(name.as_ref()).is_none(), "{name} is a command");
        }
    }
}
