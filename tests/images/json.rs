// SPDX-License-Identifier: Apache-2.0
//! docs/JSON.md is what is printed: every field of every document is in its
//! table, and every row is a field. The VM is made and not started.

use std::collections::BTreeMap;
use std::fs;

use mvm::state::{Dirs, Phase, VmStore};
use serde_json::Value;

use crate::support::Home;

/// The rows of one table.
struct Table {
    title: String,
    /// Names with their types and notes.
    rows: BTreeMap<String, (String, String)>,
}

fn tables() -> Vec<Table> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/JSON.md")).unwrap();
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            tables.push(Table { title: title.replace('`', ""), rows: BTreeMap::new() });
        } else if let (Some(row), Some(table)) = (line.strip_prefix("| `"), tables.last_mut()) {
            let (name, rest) = row.split_once('`').unwrap();
            let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
            let cells = (cells[1].to_owned(), cells[2].to_owned());
            assert!(table.rows.insert(name.to_owned(), cells).is_none(), "{name} twice");
        }
    }
    tables
}

/// Collects the fields of a document, with a value of each.
fn fields(table: &Table, value: &Value, name: &str, found: &mut BTreeMap<String, Vec<Value>>) {
    let is_map = table.rows.get(name).is_some_and(|(kind, _)| kind == "map");
    match value {
        Value::Object(map) if !is_map => {
            for (field, value) in map {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                fields(table, value, &name, found);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().for_each(|value| fields(table, value, &format!("{name}[]"), found));
        }
        // Of which elements nothing is known.
        Value::Array(list) if list.is_empty() && !table.rows.contains_key(name) => {}
        _ => found.entry(name.to_owned()).or_default().push(value.clone()),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match value {
        Value::Null => kind.ends_with("or null"),
        Value::Bool(_) => kind == "boolean",
        Value::Number(_) => kind.starts_with("number"),
        Value::String(_) => kind.starts_with("text") || kind == "time",
        Value::Array(_) => kind.starts_with("list of texts"),
        Value::Object(_) => kind == "map",
    }
}

/// A store with an image and a VM that has all that a VM can have.
fn furnished() -> Home {
    let home = Home::new();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("bin/x"), "x").unwrap();
    let image = format!("dir:{}", root.display());
    let volume = format!("{}:/data:ro", root.display());
    let line = [
        "create",
        "-q",
        "--name",
        "web",
        "-v",
        &volume,
        "--tmpfs",
        "/t",
        "--device",
        "/dev/fuse",
        "--ulimit",
        "nofile=10:20",
        "--add-host",
        "a:1.2.3.4",
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "x",
        "--dns-option",
        "ndots:2",
        "--group-add",
        "7",
        "--sysctl",
        "net.core.somaxconn=9",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "CHOWN",
        "--security-opt",
        "no-new-privileges",
        "--pids-limit",
        "9",
        "--label",
        "a=b",
        "--stop-timeout",
        "3",
        &image,
        "/bin/x",
    ];
    home.mvm(line).run().status(0);
    home
}

#[test]
fn every_field_that_is_printed_is_documented() {
    let home = furnished();
    let id = home.mvm(["images", "-q"]).run().status(0).stdout_text().trim().to_owned();
    let vm = VmStore::new(&Dirs::under(home.path())).find("web").unwrap();
    assert_eq!(vm.phase(), Phase::Created);
    // Something that `verify` has to tell of.
    fs::remove_file(&vm.record.image.layers[0]).unwrap();
    for table in tables() {
        let line: Vec<&str> = table.title.split(' ').skip(1).collect();
        let line = match line.as_slice() {
            ["inspect"] => vec!["inspect", "web"],
            ["image", "inspect"] => vec!["image", "inspect", &id],
            ["history", ..] => [line.as_slice(), &[id.as_str()]].concat(),
            ["image", "verify", ..] => [line.as_slice(), &["all"]].concat(),
            ["ps", ..] => [line.as_slice(), &["-a", "-s"]].concat(),
            ["stats", ..] => [line.as_slice(), &["-a", "--no-stream"]].concat(),
            _ => line,
        };
        let output = home.mvm(&line).run();
        let text = output.stdout_text();
        let documents: Vec<Value> = match serde_json::from_str(&text) {
            Ok(Value::Array(list)) => list,
            Ok(one) => vec![one],
            Err(_) => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        };
        assert!(!documents.is_empty(), "{line:?}: {}", output.stderr_text());
        let mut found = BTreeMap::new();
        documents.iter().for_each(|document| fields(&table, document, "", &mut found));
        for (name, values) in &found {
            let row = table.rows.get(name);
            let (kind, _) = row.unwrap_or_else(|| panic!("{}: no row {name}", table.title));
            for value in values {
                assert!(is_of(kind, value), "{}: {name} is {kind}, not {value}", table.title);
            }
        }
        for (name, (_, what)) in &table.rows {
            let may_miss = what.contains("absent");
            assert!(found.contains_key(name) || may_miss, "{}: {name} is not there", table.title);
        }
    }
}
