// SPDX-License-Identifier: Apache-2.0
//! Changes of `config.toml` that keep what a person wrote there: comments, order
//! and blanks. The file is replaced whole, or stays as it is.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fs4::FileExt;
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use super::keys::Key;
use crate::cli;
use crate::config::{self, Config};
use crate::error::{Failure, Result};
use crate::state::{Dirs, make_private_dir, replace_file};
use crate::sys;

/// Writes a value that the flag of that name would take.
pub fn set(dirs: &Dirs, key: &Key, values: &[String]) -> Result<()> {
    check(key, values)?;
    change(dirs, |document| {
        let (table, name) = place(document, key.name);
        let mut value = value_of(key, values)?;
        match table.get_mut(name) {
            // Comments around it are the line's, not the old value's.
            Some(old) => {
                if let Some(old) = old.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *old = Item::Value(value);
            }
            None => drop(table.insert(name, Item::Value(value))),
        }
        Ok(())
    })
}

/// Takes a key out; one that is not there is out.
pub fn unset(dirs: &Dirs, key: &Key) -> Result<()> {
    if !Config::path(&dirs.config).exists() {
        return Ok(());
    }
    change(dirs, |document| {
        let (table, name) = place(document, key.name);
        table.remove(name);
        Ok(())
    })
}

/// The value of a key in `text`, as a person would type it.
pub fn value(text: &str, key: &Key) -> Result<Option<String>> {
    let document = parse(text)?;
    let item = key.name.split('.').try_fold(document.as_item(), |item, name| item.get(name));
    let plain = |value: &Value| match value {
        Value::String(text) => text.value().clone(),
        other => other.clone().decorated("", "").to_string(),
    };
    Ok(item.and_then(Item::as_value).map(|value| match value {
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => plain(other),
    }))
}

fn change(dirs: &Dirs, work: impl FnOnce(&mut DocumentMut) -> Result<()>) -> Result<()> {
    let path = Config::path(&dirs.config);
    let failed = |e: std::io::Error| Failure::cannot(format!("write {}", path.display()), e);
    make_private_dir(&dirs.config).map_err(failed)?;
    let _lock = lock(&dirs.config).map_err(failed)?;
    let target = followed(&path).map_err(failed)?;
    let mut document = parse(&config::read(&path)?.unwrap_or_default())?;
    work(&mut document)?;
    let text = document.to_string();
    Config::parse(&path, &text)?;
    replace_file(&target, text.as_bytes()).map_err(failed)
}

/// Two changes at once are one after the other.
fn lock(directory: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    sys::owner_only(&mut options);
    let lock = options.open(directory.join("config.lock"))?;
    FileExt::lock(&lock)?;
    Ok(lock)
}

/// Where a link leads: people keep such files elsewhere.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(path.to_owned()),
        other => other,
    }
}

fn parse(text: &str) -> Result<DocumentMut> {
    text.parse()
        .map_err(|e| Failure::cannot("read config.toml", e).hint("correct it by hand first"))
}

/// The table that a key is in, which is made if it is missing, and its name there.
fn place<'a>(
    document: &'a mut DocumentMut,
    key: &'static str,
) -> (&'a mut dyn TableLike, &'static str) {
    let Some((table, name)) = key.split_once('.') else { return (document.as_table_mut(), key) };
    let item = document.entry(table).or_insert(Item::Table(Table::new()));
    if !item.is_table_like() {
        // The whole was parsed and found wrong before.
        *item = Item::Table(Table::new());
    }
    match item {
        Item::Value(Value::InlineTable(inline)) => (inline, name),
        Item::Table(table) => (table, name),
        _ => unreachable!("made a table above"),
    }
}

fn value_of(key: &Key, values: &[String]) -> Result<Value> {
    if key.name == "log-opt" {
        return Ok(values.iter().collect::<Array>().into());
    }
    let [value] = values else {
        return Err(Failure::new(format!("{} takes one value", key.name)));
    };
    // Numbers stay numbers, for whoever reads the file.
    Ok(match value.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => value.into(),
    })
}

/// Refuses what the flag would.
fn check(key: &Key, values: &[String]) -> Result<()> {
    let Some((command, _)) = cli::command("create".as_ref()) else { return Ok(()) };
    let flag = format!("--{}", key.name);
    if !command.get_arguments().any(|arg| arg.get_long() == Some(key.name)) {
        return Ok(());
    }
    let mut line = vec!["create".to_owned()];
    line.extend(values.iter().map(|value| format!("{flag}={value}")));
    line.push("image".into());
    let refused = |e: clap::Error| {
        let text = e.render().to_string();
        let text = text.lines().next().unwrap_or_default();
        Failure::new(text.strip_prefix("error: ").unwrap_or(text)).hint(key.about)
    };
    command.try_get_matches_from(line).map(drop).map_err(refused)
}
