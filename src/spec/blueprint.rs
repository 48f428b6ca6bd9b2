// SPDX-License-Identifier: Apache-2.0
//! What a VM is started with again: what was asked for and what the image said
//! when it was made, in `spec.json` beside its record. It holds the workload's
//! environment, as Docker's own file does, and is readable by its owner only. A
//! VM that goes with its end has none.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::VmSpec;
use crate::error::{Failure, Result};
use crate::hypervisor::LayerDisk;
use crate::image::ImageConfig;
use crate::state::replace_file;

const FILE: &str = "spec.json";
/// An environment of some MiB, and as much again for 127 layers.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blueprint {
    pub spec: VmSpec,
    pub image: ImageConfig,
    /// Bottom first.
    pub layers: Vec<LayerDisk>,
}

impl Blueprint {
    /// Writes it into a VM's directory, for good.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(FILE);
        let failed = |e: std::io::Error| Failure::cannot(format!("write {}", path.display()), e);
        let text = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        replace_file(&path, &text).map_err(failed)
    }

    /// Reads that of a VM; `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE);
        let failed = |why: String| Failure::cannot(format!("read {}", path.display()), why);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e.to_string())),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(|e| failed(e.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(failed(format!("it has more than {} MiB", MAX_BYTES >> 20)));
        }
        serde_json::from_slice(&text).map(Some).map_err(|e| failed(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::spec;

    #[test]
    fn it_comes_back_as_it_was_byte_for_byte() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Blueprint::read(directory.path()).unwrap().is_none());
        let mut vm = spec().vm;
        let every_byte: Vec<u8> = (1..=255).collect();
        vm.arguments = vec![every_byte.clone(), b"plain".to_vec(), Vec::new()];
        vm.env = vec![[b"A=".as_slice(), &every_byte].concat()];
        vm.entrypoint = Some(every_byte);
        let layer = LayerDisk { path: "/layer".into(), implied_dirs: vec![vec![0xff, b'/']] };
        let image = ImageConfig { env: vec!["B=2".into()], ..ImageConfig::default() };
        let blueprint = Blueprint { spec: vm, image, layers: vec![layer] };
        blueprint.write(directory.path()).unwrap();
        let again = Blueprint::read(directory.path()).unwrap().unwrap();
        assert_eq!(again.spec, blueprint.spec);
        assert_eq!(again.image, blueprint.image);
        assert_eq!(again.layers[0].implied_dirs, blueprint.layers[0].implied_dirs);
    }

    #[test]
    fn half_of_it_is_an_error_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), "{\"spec\":").unwrap();
        let error = Blueprint::read(directory.path()).unwrap_err();
        assert!(error.message.contains(FILE), "{error}");
    }
}
