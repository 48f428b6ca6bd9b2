// SPDX-License-Identifier: Apache-2.0
//! Completions and man pages, made from the one definition of each flag. What
//! is checked in under `completions/` and `man/` has to be what is made here;
//! with `MVM_BLESS` set, as `just docs` sets it, it is written anew instead.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};

use super::Cli;

const SHELLS: [Shell; 5] = [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh];

/// `mvm` without what is not for people. The generators of completions take
/// hidden commands for ordinary ones, and clap can add but not remove.
fn published() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("mvm")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().expect("what mvm is for").clone())
        .subcommand_required(true)
        .args(whole.get_arguments().cloned())
        .subcommands(shown.cloned())
}

fn write_completions(directory: &Path) {
    for shell in SHELLS {
        generate_to(shell, &mut published(), "mvm", directory).expect("write completions");
    }
}

fn write_man_pages(directory: &Path) {
    clap_mangen::generate_to(published(), directory).expect("write man pages");
}

fn files(directory: &Path) -> BTreeMap<OsString, String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| (entry.file_name(), fs::read_to_string(entry.path()).expect("read a file")))
        .collect()
}

/// Compares what is checked in with what is made, or replaces it.
fn is_up_to_date(name: &str, write: impl Fn(&Path)) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let made = tempfile::tempdir().unwrap();
    write(made.path());
    let made = files(made.path());
    assert!(!made.is_empty());
    let whole = Cli::command();
    for hidden in whole.get_subcommands().filter(|command| command.is_hide_set()) {
        let shows = |text: &String| text.contains(hidden.get_name());
        assert!(!made.values().any(shows), "{} is in {name}/", hidden.get_name());
    }
    if std::env::var_os("MVM_BLESS").is_some() {
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        for (file, text) in &made {
            fs::write(directory.join(file), text).unwrap();
        }
        return;
    }
    let kept = files(&directory);
    let names = made.keys().chain(kept.keys());
    let stale: Vec<_> = names.filter(|&file| made.get(file) != kept.get(file)).collect();
    assert!(
        stale.is_empty(),
        "{name}/ is not what the command line is: run `just docs`: {stale:?}"
    );
}

#[test]
fn completions_are_up_to_date() {
    is_up_to_date("completions", write_completions);
}

#[test]
fn man_pages_are_up_to_date() {
    is_up_to_date("man", write_man_pages);
}
