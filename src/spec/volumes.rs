// SPDX-License-Identifier: Apache-2.0
//! What is mounted in a VM beside its root.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{VmSpec, bytes};
use crate::error::{Failure, Result};
use crate::image::ImageConfig;

/// More than anyone wants, and no more than the guest is told in one message.
pub const MAX_VOLUMES: usize = 256;
/// PATH_MAX of the guest, without the NUL.
const MAX_PATH: usize = 4095;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub source: VolumeSource,
    /// Absolute and clean, not the root.
    #[serde(with = "bytes")]
    pub target: Vec<u8>,
    pub read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeSource {
    /// A directory or a file of the host: absolute, free of links, UTF-8. It was
    /// there when the VM was made.
    Host(PathBuf),
    /// A directory of the VM's own disk, with what the image has in it: Docker's
    /// anonymous volume. It goes with the VM.
    OwnDisk,
}

/// A path in the VM as the guest is told it: without `.`, `..` and needless
/// slashes. Why it cannot be one of a volume.
pub fn clean_target(text: &str) -> std::result::Result<Vec<u8>, String> {
    if !text.starts_with('/') {
        return Err(format!("the path in the VM, {text:?}, is not absolute"));
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        return Err("the VM's root cannot be a volume".into());
    }
    let clean = format!("/{}", parts.join("/"));
    match clean.len() <= MAX_PATH {
        true => Ok(clean.into_bytes()),
        false => Err(format!("the path in the VM is longer than {MAX_PATH} bytes")),
    }
}

impl VmSpec {
    /// Its volumes and, where the root cannot be written to, those that the
    /// image names: elsewhere these are as good as any directory.
    pub fn all_volumes(&self, image: &ImageConfig) -> Result<Vec<Volume>> {
        let mut volumes = self.volumes.clone();
        if !self.limits.read_only {
            return Ok(volumes);
        }
        for path in &image.volumes {
            let target = clean_target(path)
                .map_err(|why| Failure::new(format!("the image's volume {path:?}: {why}")))?;
            let of_tmpfs = self.limits.tmpfs.iter().any(|tmpfs| tmpfs.target.as_bytes() == target);
            if !of_tmpfs && !volumes.iter().any(|volume| volume.target == target) {
                let source = VolumeSource::OwnDisk;
                volumes.push(Volume { source, target, read_only: false });
            }
        }
        match volumes.len() {
            ..=MAX_VOLUMES => Ok(volumes),
            count => Err(Failure::new(format!("{count} volumes; {MAX_VOLUMES} at most"))
                .hint("the image names some; without --read-only it needs none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::spec;

    #[test]
    fn an_images_volumes_can_be_written_to_under_a_read_only_root() {
        let mut vm = spec().vm;
        let own = |target: &str| Volume {
            source: VolumeSource::OwnDisk,
            target: target.into(),
            read_only: false,
        };
        vm.volumes = vec![own("/given")];
        let image = ImageConfig {
            volumes: vec!["/given/".into(), "/data".into()],
            ..ImageConfig::default()
        };
        assert_eq!(vm.all_volumes(&image).unwrap(), [own("/given")]);
        vm.limits.read_only = true;
        assert_eq!(vm.all_volumes(&image).unwrap(), [own("/given"), own("/data")]);
        for bad in ["data", "/", "/a/.."] {
            let image = ImageConfig { volumes: vec![bad.into()], ..ImageConfig::default() };
            assert!(vm.all_volumes(&image).unwrap_err().message.contains(bad));
        }
        let volumes = (0..MAX_VOLUMES).map(|n| format!("/{n}")).collect();
        let image = ImageConfig { volumes, ..ImageConfig::default() };
        assert!(vm.all_volumes(&image).unwrap_err().message.contains("257 volumes"));
    }
}
