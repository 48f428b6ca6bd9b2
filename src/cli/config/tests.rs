// SPDX-License-Identifier: Apache-2.0
//! Keys, their documents, and changes of the file.

use std::fs;

use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

fn dirs() -> (tempfile::TempDir, Dirs) {
    let home = tempfile::tempdir().unwrap();
    let dirs = Dirs::under(home.path());
    (home, dirs)
}

fn set(dirs: &Dirs, key: &str, values: &[&str]) -> Result<()> {
    let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    edit::set(dirs, find(key)?, &values)
}

#[test]
fn every_key_is_a_flag_or_a_limit_and_is_documented() {
    let create = Cli::command().find_subcommand("create").unwrap().clone();
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIG.md"));
    let document = document.unwrap();
    assert!(KEYS.is_sorted_by_key(|key| key.name));
    for key in &KEYS {
        let is_flag = create.get_arguments().any(|arg| arg.get_long() == Some(key.name));
        assert!(is_flag || key.name.contains('.') || key.name == "detach-keys", "{}", key.name);
        let row = format!("| `{}` |", key.name);
        let row = document.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("docs/CONFIG.md has no row {}", key.name));
        if let Some(default) = key.default {
            assert!(row.contains(&format!("`{default}`")), "{row}: {default}");
        }
        for variable in key.variables {
            assert!(row.contains(variable), "{row}: {variable}");
        }
    }
    // And no row is of a key that there is not.
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    for (name, _) in rows {
        let known = name.starts_with("MVM_") || name.chars().all(|c| c.is_uppercase() || c == '_');
        assert!(known || find(name).is_ok(), "docs/CONFIG.md: {name}");
    }
    for (name, _) in Config::default().flags() {
        assert!(find(name).is_ok(), "{name} is in no row of KEYS");
    }
}

/// Names of variables among what is quoted in a source file, but for its tests.
fn variables_in(source: &str) -> impl Iterator<Item = &str> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = source.lines().filter(|line| !line.contains("env!("));
    let words = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    words.filter(|word| {
        let ours = ["MVM_", "DOCKER_", "REGISTRY_", "CONTAINERS_"];
        word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            && (ours.iter().any(|start| word.starts_with(start)) || word.ends_with("_PROXY"))
    })
}

#[test]
fn every_variable_is_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut read = std::collections::BTreeSet::new();
    let mut left = vec![root.join("src"), root.join("runner/src")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path
                .components()
                .any(|part| ["tests", "tests.rs"].map(AsRef::as_ref).contains(&part.as_os_str()))
        {
            let source = fs::read_to_string(path).unwrap();
            read.extend(variables_in(&source).map(str::to_owned));
        }
    }
    // Of our own tests.
    read.retain(|name| !name.starts_with("MVM_TEST_") && name != "MVM_BLESS");
    let document = fs::read_to_string(root.join("docs/CONFIG.md")).unwrap();
    let (_, table) = document.split_once("\n## Variables\n").unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let documented: std::collections::BTreeSet<String> = cells
        .flat_map(|cell| cell.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .filter(|name| name != "NO_COLOR")
        .collect();
    assert_eq!(read, documented);
}

#[test]
fn a_default_is_what_the_flag_says() {
    let create = Cli::command().find_subcommand("create").unwrap().clone();
    for key in &KEYS {
        let arg = create.get_arguments().find(|arg| arg.get_long() == Some(key.name));
        let Some(arg) = arg else { continue };
        let of_flag: Vec<_> =
            arg.get_default_values().iter().map(|v| v.to_str().unwrap()).collect();
        if !of_flag.is_empty() {
            assert_eq!(of_flag, [key.default.unwrap()], "{}", key.name);
        }
    }
}

#[test]
fn a_change_keeps_what_a_person_wrote() {
    let (_home, dirs) = dirs();
    let path = Config::path(&dirs.config);
    set(&dirs, "memory", &["2g"]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "memory = \"2g\"\n");
    let written = "# mine\nmemory = 512 # enough\n\n[registries.\"r:5000\"]\ninsecure = true\n";
    fs::write(&path, written).unwrap();
    set(&dirs, "memory", &["1g"]).unwrap();
    set(&dirs, "images.max-layer-gib", &["100"]).unwrap();
    set(&dirs, "log-opt", &["max-size=1m", "max-file=3"]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# mine\nmemory = \"1g\" # enough\n"), "{text}");
    assert!(text.contains("[registries.\"r:5000\"]\ninsecure = true\n"), "{text}");
    let value = |key: &str| setting(&dirs, find(key).unwrap()).unwrap();
    assert_eq!(value("memory").value.unwrap(), "1g");
    assert_eq!(value("images.max-layer-gib").value.unwrap(), "100");
    assert_eq!(value("log-opt").value.unwrap(), "max-size=1m max-file=3");
    assert_eq!(value("cpus").origin, "default");
    edit::unset(&dirs, find("memory").unwrap()).unwrap();
    edit::unset(&dirs, find("pull").unwrap()).unwrap();
    assert_eq!(value("memory").origin, "default");
    assert_eq!(value("log-opt").origin, path.display().to_string());
}

#[test]
fn what_a_flag_would_refuse_is_not_written() {
    let (_home, dirs) = dirs();
    for (key, value) in [
        ("memory", "much"),
        ("backend", "vmware"),
        ("network", "bridge"),
        ("detach-keys", "ctrl-"),
        ("images.max-layer-gib", "-1"),
        ("cpus", "0"),
        ("pull", "x"),
    ] {
        let failure = set(&dirs, key, &[value]).unwrap_err();
        assert!(failure.hint.is_some(), "{key}: {failure}");
    }
    assert_eq!(set(&dirs, "memry", &["1"]).unwrap_err().hint.unwrap(), "did you mean memory?");
    assert!(set(&dirs, "memory", &["1g", "2g"]).is_err());
    assert!(!Config::path(&dirs.config).exists());
}

#[test]
#[cfg(unix)]
fn a_file_that_is_kept_elsewhere_stays_there() {
    let (home, dirs) = dirs();
    let elsewhere = home.path().join("dotfiles.toml");
    fs::write(&elsewhere, "cpus = 2\n").unwrap();
    fs::create_dir_all(&dirs.config).unwrap();
    std::os::unix::fs::symlink(&elsewhere, Config::path(&dirs.config)).unwrap();
    set(&dirs, "memory", &["1g"]).unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "cpus = 2\nmemory = \"1g\"\n");
    assert!(Config::path(&dirs.config).is_symlink());
}

#[test]
fn the_file_is_the_flags_default_and_a_flag_wins() {
    let (_home, dirs) = dirs();
    set(&dirs, "memory", &["2g"]).unwrap();
    set(&dirs, "log-opt", &["max-file=7"]).unwrap();
    let matches = |line: &[&str]| {
        let (command, _) = crate::cli::command("run".as_ref()).unwrap();
        let command = keys::apply(command, defaults(&dirs).unwrap());
        command.try_get_matches_from(line).unwrap()
    };
    let memory = |line: &[&str]| *matches(line).get_one::<u64>("memory").unwrap();
    assert_eq!(memory(&["run", "image"]), 2048);
    assert_eq!(memory(&["run", "-m", "128", "image"]), 128);
    let options = |line: &[&str]| -> Vec<String> {
        matches(line).get_many::<String>("log_opt").unwrap().cloned().collect()
    };
    assert_eq!(options(&["run", "image"]), ["max-file=7"]);
    assert_eq!(options(&["run", "--log-opt", "max-size=1m", "image"]), ["max-size=1m"]);
}
