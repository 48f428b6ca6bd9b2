// SPDX-License-Identifier: Apache-2.0
//! Man pages, made from the one definition of each flag. What is checked in under
//! `man/` has to be what is made here; with `MVM_BLESS` set, as `just docs` sets
//! it, it is written anew instead. Completions ask mvm itself (`complete`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::CommandFactory;

use super::{Cli, complete};
use crate::hypervisor::libkrun;
use crate::monitor;

fn write_man_pages(directory: &Path) {
    clap_mangen::generate_to(Cli::command(), directory).expect("write man pages");
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
    for own in [libkrun::COMMAND, monitor::COMMAND, complete::COMMAND] {
        assert!(!made.values().any(|text| text.contains(own)), "{own} is in {name}/");
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
fn man_pages_are_up_to_date() {
    is_up_to_date("man", write_man_pages);
}
