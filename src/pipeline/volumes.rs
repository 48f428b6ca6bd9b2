// SPDX-License-Identifier: Apache-2.0
//! Volumes as shares of a hypervisor: a directory is one by itself as long as
//! there are slots; files, and what is too much, come together in shares that
//! are made of parts. Of these there are four at most: those of files, which a
//! guest must not cache as it does directories, and those that are read-only,
//! stand apart.

use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};
use crate::hypervisor::{Capabilities, Share, ShareKind, VmError};
use crate::spec::{Volume, VolumeSource};

/// Beside the VM's disk: where shares of parts are made.
const DIRECTORY: &str = "volumes";

/// What the hypervisor shares, and what the guest is told of it.
pub struct Shares {
    pub host: Vec<Share>,
    pub guest: Vec<mvm_proto::Share>,
}

/// `directory` is the VM's own. A source that is gone is an error.
pub fn shares(volumes: &[Volume], capabilities: Capabilities, directory: &Path) -> Result<Shares> {
    let mut shared = Vec::new();
    for volume in volumes {
        if let VolumeSource::Host(source) = &volume.source {
            shared.push((volume, source, is_directory(source)?));
        }
    }
    let too_many = too_many(&shared, capabilities.max_shares);
    let mut shares = Shares { host: Vec::new(), guest: Vec::new() };
    for (index, (volume, source, is_directory)) in shared.into_iter().enumerate() {
        let read_only = volume.read_only;
        let (tag, name) = match too_many || !is_directory {
            true => {
                let tag = match (is_directory, read_only) {
                    (true, false) => "directories",
                    (true, true) => "directories-ro",
                    (false, false) => "files",
                    (false, true) => "files-ro",
                };
                let name = shares.add_part(source, tag, read_only, directory);
                (tag.to_owned(), name)
            }
            false => {
                let tag = format!("v{index}");
                shares.host.push(Share::new(&tag, source.clone(), read_only));
                (tag, String::new())
            }
        };
        shares.guest.push(mvm_proto::Share {
            tag,
            name,
            target: volume.target.clone(),
            read_only,
            file: !is_directory,
            kind: kind(capabilities.share_kind).into(),
            ..Default::default()
        });
    }
    let own = volumes.iter().filter(|volume| volume.source == VolumeSource::OwnDisk);
    shares.guest.extend(own.map(|volume| mvm_proto::Share {
        target: volume.target.clone(),
        kind: mvm_proto::ShareKind::OWN_DISK.into(),
        ..Default::default()
    }));
    Ok(shares)
}

/// Whether the directories and one or two shares of files are too many.
fn too_many(shared: &[(&Volume, &PathBuf, bool)], slots: usize) -> bool {
    let directories = shared.iter().filter(|(_, _, is_directory)| *is_directory).count();
    let has = |read_only: bool| {
        shared.iter().any(|(volume, _, is_dir)| !is_dir && volume.read_only == read_only)
    };
    directories + usize::from(has(false)) + usize::from(has(true)) > slots
}

fn kind(kind: ShareKind) -> mvm_proto::ShareKind {
    match kind {
        ShareKind::NineP => mvm_proto::ShareKind::NINE_P,
        ShareKind::VirtioFs => mvm_proto::ShareKind::VIRTIO_FS,
    }
}

impl Shares {
    /// Its name in there.
    fn add_part(&mut self, source: &Path, tag: &str, read_only: bool, directory: &Path) -> String {
        let at = self.host.iter().position(|share| share.tag == tag).unwrap_or_else(|| {
            let path = directory.join(DIRECTORY).join(tag);
            self.host.push(Share::new(tag, path, read_only));
            self.host.len() - 1
        });
        let parts = &mut self.host[at].parts;
        parts.push(source.to_owned());
        (parts.len() - 1).to_string()
    }
}

fn is_directory(source: &Path) -> Result<bool> {
    let gone = || Failure::from(VmError::ShareGone(source.to_owned()));
    // A guest that may write to a directory could have put a link below it.
    if source.canonicalize().map_err(|_| gone())? != source {
        return Err(VmError::ShareMoved(source.to_owned()).into());
    }
    let found = source.metadata().map_err(|_| gone())?;
    match found.is_dir() || found.is_file() {
        true => Ok(found.is_dir()),
        false => Err(Failure::new(format!(
            "the volume {} is neither a directory nor a file any more",
            source.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 4;

    fn planned(directories: usize, files: usize) -> (Vec<(String, usize)>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let top = home.path().canonicalize().unwrap();
        let volume = |(index, name): (usize, &str)| {
            let path = top.join(format!("{name}{index}"));
            match name {
                "f" => std::fs::write(&path, "").unwrap(),
                _ => std::fs::create_dir(&path).unwrap(),
            }
            Volume {
                source: VolumeSource::Host(path),
                target: format!("/{name}{index}").into_bytes(),
                read_only: index % 2 == 1,
            }
        };
        let names = [["d"].repeat(directories), ["f"].repeat(files)].concat();
        let volumes: Vec<Volume> = names.into_iter().enumerate().map(volume).collect();
        let capabilities = Capabilities { max_shares: SLOTS, ..Capabilities::default() };
        let shares = shares(&volumes, capabilities, Path::new("/vm")).unwrap();
        assert!(shares.host.len() <= SLOTS);
        assert_eq!(shares.guest.len(), directories + files);
        let host = shares.host.iter().map(|share| (share.tag.clone(), share.parts.len()));
        let guest = shares.guest.iter().map(|share| format!("{}/{}", share.tag, share.name));
        (host.collect(), guest.collect())
    }

    #[test]
    fn directories_are_shares_of_their_own_while_there_are_slots() {
        assert_eq!(planned(0, 0).1, [""; 0]);
        assert_eq!(planned(4, 0).1, ["v0/", "v1/", "v2/", "v3/"]);
        assert_eq!(planned(5, 0).0, [("directories".into(), 3), ("directories-ro".into(), 2)]);
        assert_eq!(planned(20, 0).1[19], "directories-ro/9");
    }

    #[test]
    fn files_share_one_or_two() {
        assert_eq!(planned(0, 1).1, ["files/0"]);
        assert_eq!(planned(3, 1).1, ["v0/", "v1/", "v2/", "files-ro/0"]);
        assert_eq!(planned(2, 9).1[..4], ["v0/", "v1/", "files/0", "files-ro/0"]);
        let crowded = planned(3, 2);
        assert_eq!(crowded.1[..3], ["directories/0", "directories-ro/0", "directories/1"]);
        assert_eq!((crowded.0.len(), crowded.1[4].as_str()), (4, "files/0"));
    }

    #[test]
    fn what_is_gone_is_named() {
        let volume = |source| Volume { source, target: b"/x".to_vec(), read_only: false };
        let gone = [volume(VolumeSource::Host("/no/such/file".into()))];
        let error = shares(&gone, Capabilities::default(), Path::new("/vm")).err().unwrap();
        assert!(error.message.contains("/no/such/file") && error.hint.is_some(), "{error}");
        let own = [volume(VolumeSource::OwnDisk)];
        let shares = shares(&own, Capabilities::default(), Path::new("/vm")).unwrap();
        assert!(shares.host.is_empty());
        assert_eq!(shares.guest.len(), 1);
    }
}
