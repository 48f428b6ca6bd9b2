// SPDX-License-Identifier: Apache-2.0
//! The words of `--mount`: comma-separated values, as of RFC 4180, each of them
//! KEY=VALUE.

use std::ffi::OsStr;
use std::path::Path;

use super::source;
use crate::error::{Failure, Result};
use crate::spec::{Volume, VolumeSource, clean_target};

pub enum Mount {
    Volume(Volume),
    /// As `--tmpfs` takes it.
    Tmpfs(String),
}

/// What the words say, before they are put together.
#[derive(Default)]
struct Words {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    tmpfs: Vec<String>,
    /// A key that goes with one type only, and which.
    bound: Vec<(&'static str, String)>,
}

pub fn mount(text: &OsStr) -> Result<Mount> {
    let shown = text.to_string_lossy();
    let invalid = |why: String| {
        Failure::new(format!("invalid mount {shown:?}: {why}"))
            .hint("--mount type=bind,source=/on/host,target=/in/vm[,readonly]")
    };
    let text = text.to_str().ok_or_else(|| invalid("it is not UTF-8".into()))?;
    let words = split(text).and_then(read).map_err(invalid)?;
    let kind = words.kind.as_deref().unwrap_or("volume");
    if let Some((of, key)) = words.bound.iter().find(|(of, _)| *of != kind) {
        return Err(invalid(format!("{key} goes with type={of}")));
    }
    let target = words.target.ok_or_else(|| invalid("it has no target".into()))?;
    let target = clean_target(&target).map_err(invalid)?;
    let source = match (kind, words.source) {
        ("bind", Some(source)) if !source.is_empty() => {
            VolumeSource::Host(source::existing(Path::new(&source))?)
        }
        ("bind", _) => return Err(invalid("it has no source".into())),
        ("tmpfs", Some(_)) => return Err(invalid("a tmpfs has no source".into())),
        ("tmpfs", None) => {
            let mut options = words.tmpfs;
            options.extend(words.read_only.then(|| "ro".to_owned()));
            let target = String::from_utf8_lossy(&target).into_owned();
            return match (options.is_empty(), target.contains(':')) {
                (_, true) => Err(invalid("a tmpfs cannot have a colon in its path".into())),
                (true, false) => Ok(Mount::Tmpfs(target)),
                (false, false) => Ok(Mount::Tmpfs(format!("{target}:{}", options.join(",")))),
            };
        }
        ("volume", Some(name)) if !name.is_empty() => {
            return Err(source::named(&name).hint("type=bind shares a directory or a file"));
        }
        ("volume", _) if words.read_only => {
            return Err(invalid("what is on the VM's own disk has no use for readonly".into()));
        }
        ("volume", _) => VolumeSource::OwnDisk,
        (other, _) => {
            return Err(invalid(format!("type {other:?} is none of bind, tmpfs, volume")));
        }
    };
    Ok(Mount::Volume(Volume { source, target, read_only: words.read_only }))
}

fn read(fields: Vec<String>) -> std::result::Result<Words, String> {
    let mut words = Words::default();
    for field in fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.to_ascii_lowercase(), None),
        };
        words.add(&key, value, &field)?;
    }
    Ok(words)
}

impl Words {
    fn add(
        &mut self,
        key: &str,
        value: Option<String>,
        field: &str,
    ) -> std::result::Result<(), String> {
        if matches!(key, "readonly" | "ro") {
            self.read_only = match value {
                Some(value) => {
                    boolean(&value).ok_or(format!("invalid value for {key}: {value}"))?
                }
                None => true,
            };
            return Ok(());
        }
        if matches!(key, "bind-nonrecursive" | "volume-nocopy") && value.is_none() {
            return Err(format!("{key} has no meaning for a VM"));
        }
        let Some(value) = value else {
            return Err(format!("{field:?} must be a key=value pair"));
        };
        match key {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "source" | "src" => self.source = Some(value),
            "target" | "dst" | "destination" => self.target = Some(value),
            "consistency" => {}
            "bind-propagation" if matches!(&*value, "private" | "rprivate") => {
                self.bound.push(("bind", key.into()));
            }
            "bind-recursive" if matches!(&*value, "enabled" | "readonly") => {
                self.bound.push(("bind", key.into()));
            }
            "tmpfs-size" => self.of_tmpfs(key, format!("size={value}")),
            "tmpfs-mode" => self.of_tmpfs(key, format!("mode={value}")),
            "bind-propagation" | "bind-recursive" | "bind-nonrecursive" | "volume-driver"
            | "volume-label" | "volume-nocopy" | "volume-opt" | "volume-subpath" => {
                return Err(format!("{field} has no meaning for a VM"));
            }
            _ => return Err(format!("unexpected key {key:?} in {field:?}")),
        }
        Ok(())
    }

    fn of_tmpfs(&mut self, key: &str, option: String) {
        self.bound.push(("tmpfs", key.to_owned()));
        self.tmpfs.push(option);
    }
}

/// As Go reads one.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Fields between commas; one in quotes has its commas, and quotes doubled.
pub fn split(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if field.is_empty() {
            return Err("there is nothing between its commas".into());
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something follows a closing quote".into()),
        }
    }
}

fn unquote(text: &str) -> std::result::Result<(String, &str), String> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let end = rest.find('"').ok_or("a quote is not closed")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => rest = next,
            None => return Ok((field, rest)),
        }
        field.push('"');
    }
}
