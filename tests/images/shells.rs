// SPDX-License-Identifier: Apache-2.0
//! People in shells: a line is begun, the tab key struck, and what is there then
//! is seen. The VMs are records without a machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use mvm::state::{Claim, Phase};

use crate::support::Terminal;
use crate::vms::vm;
use crate::{Lab, need};

const COMPLETIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/completions");

/// Lines with a tab at their end, and what they become.
fn lines(image: &str) -> Vec<(String, String)> {
    let half = &image[..image.len() - 3];
    [
        ("mvm stop w", "mvm stop web-1.a"),
        ("mvm start w", "mvm start worker_2"),
        ("mvm rm -f wo", "mvm rm -f worker_2"),
        ("mvm insp", "mvm inspect"),
        ("mvm cp web", "mvm cp web-1.a:"),
        ("mvm run --back", "mvm run --backend"),
        ("mvm run --backend=li", "mvm run --backend=libkrun"),
        ("mvm run -it --rm --pull ne", "mvm run -it --rm --pull never"),
        ("mvm image hist", "mvm image history"),
        ("mvm history 127", &format!("mvm history {image}")),
        (&format!("mvm history {half}"), &format!("mvm history {image}")),
        ("mvm kill -s SIGTER", "mvm kill -s SIGTERM"),
        ("mvm config set mem", "mvm config set memory"),
        ("mvm load -i an-arch", "mvm load -i an-archive.tar"),
        ("mvm run --env-file=an-arch", "mvm run --env-file=an-archive.tar"),
    ]
    .map(|(typed, becomes)| (typed.to_owned(), becomes.to_owned()))
    .into()
}

/// A store with an image and two VMs, and a place to type in.
struct Desk {
    lab: Lab,
    image: String,
    /// Its lock makes it run.
    _web: Claim,
    place: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self, String> {
        let lab = Lab::new()?;
        let image = lab.pulled("app:1.2", 1, &[("/etc/one", "1")]);
        let web = vm(&lab, "web-1.a", &image);
        let mut worker = vm(&lab, "worker_2", &image);
        worker.record.phase = Phase::Exited;
        worker.save().unwrap();
        let place = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_mvm"), place.path().join("mvm")).unwrap();
        fs::write(place.path().join("an-archive.tar"), "").unwrap();
        Ok(Self { lab, image, _web: web, place })
    }

    fn shell(&self, command: &mut Command) -> Terminal {
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.place.path().display()))
            .env("MVM_HOME", self.lab.home.path())
            .env("HOME", self.place.path())
            .env("INPUTRC", "/dev/null")
            .env("TERM", "dumb")
            .env_remove("MVM_BACKEND");
        Terminal::start(command, 50, 200)
    }

    /// Types each line and the tab, and has the shell print what stands there.
    fn type_all(&self, terminal: &mut Terminal, go: &str) {
        terminal.line(&format!("cd {} && {go}", self.place.path().display()), "ready\r\n");
        for (typed, becomes) in lines(&self.image) {
            // To the line's beginning, so that it is printed, not run.
            terminal.types(format!("{typed}\t\x01echo '' [ \x05 ]\r"));
            terminal.shows(format!("[ {becomes} ]"));
        }
        terminal.types("exit\r");
        terminal.ends_with(0);
    }
}

fn there(shell: &str) -> Result<Command, String> {
    let found = Command::new(shell).arg("--version").output().is_ok();
    found.then(|| Command::new(shell)).ok_or_else(|| format!("{shell} is not installed"))
}

#[test]
fn bash_completes_names() {
    let desk = need!(Desk::new());
    let mut bash = need!(there("bash"));
    let mut terminal = desk.shell(bash.args(["--norc", "--noprofile", "-i"]));
    desk.type_all(&mut terminal, &format!("source {COMPLETIONS}/mvm.bash && echo ready"));
}

#[test]
fn bash_finds_them_as_they_are_installed() {
    let desk = need!(Desk::new());
    let loader = Path::new("/usr/share/bash-completion/bash_completion");
    let installed = loader.exists().then_some(()).ok_or("bash-completion is not installed");
    need!(installed);
    let directory = desk.place.path().join("share/completions");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(Path::new(COMPLETIONS).join("mvm.bash"), directory.join("mvm")).unwrap();
    let mut bash = need!(there("bash"));
    bash.env("BASH_COMPLETION_USER_DIR", desk.place.path().join("share"));
    let mut terminal = desk.shell(bash.args(["--norc", "--noprofile", "-i"]));
    desk.type_all(&mut terminal, &format!("source {} && echo ready", loader.display()));
}

#[test]
fn zsh_completes_names() {
    let desk = need!(Desk::new());
    let mut zsh = need!(there("zsh"));
    let mut terminal = desk.shell(zsh.args(["-f", "-i"]));
    let go = format!(
        "bindkey -e; fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; echo ready"
    );
    desk.type_all(&mut terminal, &go);
}

#[test]
fn fish_and_zsh_take_the_scripts_that_are_read_at_once() {
    let desk = need!(Desk::new());
    let ask = |command: &mut Command| {
        let output = command
            .env("MVM_HOME", desk.lab.home.path())
            .env("HOME", desk.place.path())
            .env("PATH", desk.place.path().display().to_string() + ":/usr/bin:/bin")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut fish = need!(there("fish"));
    let script =
        "mvm completion fish | source; complete -C 'mvm stop w'; complete -C 'mvm run --backend=q'";
    let offered = ask(fish.args(["--no-config", "-c", script]));
    let first: Vec<&str> =
        offered.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
    assert_eq!(first, ["web-1.a", "--backend=qemu"], "{offered}");
    let mut zsh = need!(there("zsh"));
    let script =
        "autoload -Uz compinit; compinit -u -D; source <(mvm completion zsh); print $_comps[mvm]";
    assert_eq!(ask(zsh.args(["-f", "-c", script])), "_mvm\n");
}
