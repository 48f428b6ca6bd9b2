// SPDX-License-Identifier: Apache-2.0
//! `-v` and `--mount`, with Docker's notations and rules.

mod fields;
mod source;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::Args;
use serde_json::{Value, json};

use crate::error::{Failure, Result};
use crate::spec::{MAX_VOLUMES, Volume, VolumeSource, clean_target};
use fields::Mount;

#[derive(Debug, Args)]
pub struct VolumeArgs {
    /// Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the
    /// VM that can be written to
    #[arg(short, long, value_name = "SOURCE:TARGET[:ro]")]
    volume: Vec<OsString>,
    /// The same in words: type=bind,source=/on/host,target=/in/vm[,readonly],
    /// or type=tmpfs,target=/in/vm
    #[arg(long, value_name = "KEY=VALUE,...")]
    mount: Vec<OsString>,
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    pub volumes: Vec<Volume>,
    /// As `--tmpfs` takes them: PATH:OPTIONS.
    pub tmpfs: Vec<String>,
}

impl VolumeArgs {
    pub fn mounts(&self) -> Result<Mounts> {
        let mut mounts = Mounts::default();
        for text in &self.volume {
            mounts.volumes.push(volume(text)?);
        }
        for text in &self.mount {
            match fields::mount(text)? {
                Mount::Volume(volume) => mounts.volumes.push(volume),
                Mount::Tmpfs(tmpfs) => mounts.tmpfs.push(tmpfs),
            }
        }
        let count = mounts.volumes.len() + mounts.tmpfs.len();
        if count > MAX_VOLUMES {
            return Err(Failure::new(format!("{count} volumes; {MAX_VOLUMES} at most"))
                .hint("share a directory that holds many"));
        }
        let mut targets = BTreeSet::new();
        let of_tmpfs = mounts.tmpfs.iter().filter_map(|text| text.split(':').next());
        let of_volumes = mounts.volumes.iter().map(|volume| volume.target.as_slice());
        for target in of_volumes.chain(of_tmpfs.map(str::as_bytes)) {
            if !targets.insert(target) {
                let target = String::from_utf8_lossy(target);
                return Err(Failure::new(format!("duplicate mount point: {target}"))
                    .hint("one volume for each path in the VM"));
            }
        }
        Ok(mounts)
    }
}

/// `SOURCE:TARGET[:MODE,...]`, or `TARGET`.
fn volume(text: &OsStr) -> Result<Volume> {
    let shown = text.to_string_lossy();
    let invalid = |why: &str| {
        Failure::new(format!("invalid volume {shown:?}: {why}"))
            .hint("-v /on/host:/in/vm[:ro], or -v /in/vm for a place on the VM's own disk")
    };
    let text = text.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
    let parts = split(text);
    if parts.iter().any(|part| part.is_empty()) {
        return Err(invalid("there is nothing before, after or between its colons"));
    }
    let (from, to, mode) = match parts[..] {
        [to] => (None, to, ""),
        [_, "ro" | "rw" | "z" | "Z"] => return Err(invalid("it has a mode and no source")),
        [from, to] => (Some(from), to, ""),
        [from, to, mode] => (Some(from), to, mode),
        _ => return Err(invalid("it has more than three parts")),
    };
    let target = clean_target(to).map_err(|why| invalid(&why))?;
    let read_only = read_only(mode).map_err(|why| invalid(&why))?;
    let source = match from {
        Some(from) => source::of_volume(from)?,
        None => VolumeSource::OwnDisk,
    };
    Ok(Volume { source, target, read_only })
}

/// Splits at colons, but not at the one of `C:\`.
fn split(text: &str) -> Vec<&str> {
    let drive = cfg!(windows) && text.as_bytes().get(1) == Some(&b':');
    let skip = if drive { 2 } else { 0 };
    let Some(end) = text[skip..].find(':') else { return vec![text] };
    let mut parts = vec![&text[..skip + end]];
    parts.extend(text[skip + end + 1..].split(':'));
    parts
}

/// Docker's modes of a bind: what has no meaning here changes nothing.
fn read_only(mode: &str) -> std::result::Result<bool, String> {
    let (mut read_only, mut said) = (false, false);
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        match word {
            "ro" | "rw" if said => return Err(format!("{mode:?} says it twice")),
            "ro" | "rw" => (read_only, said) = (word == "ro", true),
            // The guest has no labels, and one way to keep a share consistent.
            "z" | "Z" | "cached" | "delegated" | "consistent" | "private" | "rprivate" => {}
            "shared" | "rshared" | "slave" | "rslave" => {
                return Err(format!("no mount comes into a VM later, as {word:?} asks for"));
            }
            "nocopy" => return Err("\"nocopy\" goes with named volumes only".into()),
            other => return Err(format!("unknown mode {other:?}")),
        }
    }
    Ok(read_only)
}

/// `Mounts` of Docker's inspect.
pub fn document(volumes: &[Volume]) -> Value {
    volumes
        .iter()
        .map(|volume| {
            let (kind, source, propagation) = match &volume.source {
                VolumeSource::Host(path) => ("bind", path.display().to_string(), "rprivate"),
                VolumeSource::OwnDisk => ("volume", String::new(), ""),
            };
            json!({
                "Type": kind,
                "Source": source,
                "Destination": String::from_utf8_lossy(&volume.target),
                "Mode": if volume.read_only { "ro" } else { "" },
                "RW": !volume.read_only,
                "Propagation": propagation,
            })
        })
        .collect()
}

/// `HostConfig.Binds` of Docker's inspect.
pub fn binds(volumes: &[Volume]) -> Value {
    let bind = |volume: &Volume| {
        let VolumeSource::Host(source) = &volume.source else { return None };
        let mode = if volume.read_only { ":ro" } else { "" };
        let target = String::from_utf8_lossy(&volume.target);
        Some(format!("{}:{target}{mode}", source.display()))
    };
    volumes.iter().filter_map(bind).collect()
}

#[cfg(test)]
mod tests;
