// SPDX-License-Identifier: Apache-2.0
//! From a request to a VM on disk: image, record, and what later starts need.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Host, Timed};
use crate::config::Config;
use crate::copy;
use crate::error::{Failure, Result};
use crate::hypervisor::LayerDisk;
use crate::image::{
    Image, LayerImage, LoadOptions, Progress, PullOptions, PullPolicy, Reference, Source, Store,
};
use crate::spec::{Blueprint, RunSpec};
use crate::ssh;
use crate::state::{Claim, Dirs, ImageRecord, Phase, Record, SCHEMA, VmStore, now_ms, random_id};

/// Bytes of a command in its record. The blueprint has all of them.
const MAX_SHOWN: usize = 256 << 10;

/// A VM that exists and was never started.
pub struct Created {
    pub claim: Claim,
    pub blueprint: Blueprint,
    /// It was given files that are not on its disk yet.
    pub injects: bool,
    cidfile: Option<PathBuf>,
    /// Holds the collector off: from the record on, that pins the layers.
    _image: Image,
}

/// Pulls the image and makes the VM's record. On an error nothing is left.
pub async fn create(
    dirs: &Dirs,
    spec: RunSpec,
    host: &Host,
    progress: Arc<dyn Progress>,
) -> Result<Created> {
    let vms = VmStore::new(dirs);
    vms.check_name_is_free(&spec.name)?;
    let image = {
        let _phase = Timed::begin("image");
        pull(dirs, &spec, progress).await?
    };
    let claim = vms.create(record(dirs, &spec, &image, host)?)?;
    if let Err(failure) = copy::write_injected(&spec.inject, claim.directory()) {
        claim.remove()?;
        return Err(failure);
    }
    let layer = |layer: &LayerImage| LayerDisk {
        path: layer.path.clone(),
        implied_dirs: layer.implied_dirs.clone(),
    };
    let layers = image.layers.iter().map(layer).collect();
    // One that goes with its end may never be asked for them: then they are made.
    if !claim.record.auto_remove
        && let Err(failure) = ssh::Keys::ensure(claim.directory())
    {
        claim.remove()?;
        return Err(failure);
    }
    let blueprint = Blueprint { spec: spec.vm, image: image.config.clone(), layers };
    let injects = !spec.inject.is_empty();
    Ok(Created { claim, blueprint, injects, cidfile: spec.cidfile, _image: image })
}

impl Created {
    /// Writes what a start needs that this process will not do.
    pub fn keep(&self) -> Result<()> {
        self.blueprint.write(self.claim.directory())
    }

    /// The last thing, when nothing else can fail: the file is not taken back.
    pub fn write_cidfile(&self) -> Result<()> {
        self.cidfile.as_deref().map_or(Ok(()), |path| write_cidfile(path, &self.claim))
    }
}

fn write_cidfile(path: &Path, claim: &Claim) -> Result<()> {
    let written = File::options()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(claim.record.id.as_bytes()));
    written.map_err(|e| {
        let failure = Failure::cannot(format!("write the VM's ID to {}", path.display()), &e);
        match e.kind() {
            ErrorKind::AlreadyExists => failure.hint("it may be another VM's; remove it first"),
            _ => failure,
        }
    })
}

/// Resolve, pull, verify, convert; nothing to do when it is cached.
async fn pull(dirs: &Dirs, spec: &RunSpec, progress: Arc<dyn Progress>) -> Result<Image> {
    let store = Store::open(&dirs.data)?;
    let options = PullOptions {
        policy: spec.pull,
        platform: spec.platform.clone(),
        progress,
        ..Config::of(dirs)?.pull_options()
    };
    let name = match &spec.source {
        Source::Name(name) => name,
        Source::Local(source) => {
            let options = LoadOptions { pull: options, ..LoadOptions::default() };
            return Ok(store.load_one(source, &options).await?.image);
        }
    };
    if is_image_id(name)
        && spec.pull != PullPolicy::Always
        && let Ok(image) = store.resolve(name)
    {
        return Ok(image);
    }
    let reference: Reference = name.parse()?;
    Ok(store.pull(&reference, &options).await?)
}

/// Whether a word may be the ID of an image, or the start of one, as well as a
/// reference.
fn is_image_id(word: &str) -> bool {
    let digits = word.strip_prefix("sha256:").unwrap_or(word);
    (3..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn record(dirs: &Dirs, spec: &RunSpec, image: &Image, host: &Host) -> Result<Record> {
    let vm = &spec.vm;
    let command = vm.command(&image.config)?;
    let mut labels = image.config.labels.clone();
    labels.extend(spec.labels.clone());
    Ok(Record {
        schema: SCHEMA,
        id: random_id()?,
        name: spec.name.clone(),
        created_ms: now_ms(),
        image: ImageRecord {
            reference: shown(spec, image),
            id: image.id.to_string(),
            manifest_digest: image.manifest_digest.to_string(),
            layers: image.layers.iter().map(|layer| layer.path.clone()).collect(),
        },
        command: readable(&command),
        backend: host.backend.backend().name().into(),
        user: vm.user.clone().unwrap_or_else(|| image.config.user.clone()),
        vcpus: vm.vcpus(),
        memory_mib: vm.memory_mib,
        network: vm.network.name().into(),
        auto_remove: spec.auto_remove,
        labels,
        unlogged: vm.log.is_none(),
        phase: Phase::Creating,
        has_disk: false,
        started_ms: None,
        exit: None,
        dirs: dirs.clone(),
        monitor_pid: None,
        other: serde_json::Map::new(),
    })
}

/// A command for people: its first words, to a length that a record can hold
/// however they are escaped there.
fn readable(command: &[Vec<u8>]) -> Vec<String> {
    let mut room = MAX_SHOWN;
    let mut words = Vec::new();
    for word in command {
        if word.len() > room {
            words.push("…".to_owned());
            break;
        }
        room -= word.len();
        words.push(String::from_utf8_lossy(word).into_owned());
    }
    words
}

/// What `mvm ps` calls the image: as it was typed, but for a file the name that
/// it has now, and for stdin at least the ID.
fn shown(spec: &RunSpec, image: &Image) -> String {
    match (&spec.source, &image.reference) {
        (Source::Local(_), Some(reference)) => reference.familiar(),
        (Source::Local(source), None) if source.is_stdin() => image.id.short().to_owned(),
        _ => spec.image.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_shown_in_part() {
        let word = |byte, length| vec![byte; length];
        assert_eq!(readable(&[word(b'a', 2), word(0xff, 1)]), ["aa", "\u{fffd}"]);
        let long = [word(b'a', 1), word(1, MAX_SHOWN), word(b'b', 1)];
        assert_eq!(readable(&long), ["a", "…"]);
        assert_eq!(readable(&[word(1, MAX_SHOWN)])[0].len(), MAX_SHOWN);
    }
}
