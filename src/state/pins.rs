// SPDX-License-Identifier: Apache-2.0
//! What VMs keep from being collected, and what dead ones left beside their
//! directories. A record that cannot be read is an error here: nobody knows what
//! it keeps.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::VmStore;
use crate::error::{Failure, Result};

/// What a VM holds on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The VM's name.
    pub vm: String,
    /// The ID of its image.
    pub image: String,
    /// Disk images that it has open or will open.
    pub layers: Vec<PathBuf>,
}

impl VmStore {
    /// The pins of every VM, dead ones included. Records of a later version of
    /// mvm count, too.
    pub fn pins(&self) -> Result<Vec<Pin>> {
        let mut pins = Vec::new();
        for id in self.ids()? {
            let path = self.record_path(&id);
            match fs::read(&path) {
                // Empty after a power cut: its VM never ran, or is gone.
                Ok(text) if text.is_empty() => {}
                Ok(text) => pins.push(pin(&text).ok_or_else(|| unreadable(&path))?),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Failure::cannot(format!("read {}", path.display()), error));
                }
            }
        }
        Ok(pins)
    }

    /// Directories of sockets whose VM is gone.
    pub fn stray_runtime_dirs(&self) -> Result<Vec<PathBuf>> {
        let parent = self.runtime();
        let entries = match fs::read_dir(parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Failure::cannot(format!("read {}", parent.display()), error));
            }
        };
        let names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        // Read after them: a VM's directory is there before its sockets'.
        let ids = self.ids()?;
        let stray = |name: &&String| {
            name.len() == 12
                && name.bytes().all(|b| b.is_ascii_hexdigit())
                && !ids.iter().any(|id| id.starts_with(name.as_str()))
        };
        Ok(names.iter().filter(stray).map(|name| parent.join(name)).collect())
    }
}

fn pin(text: &[u8]) -> Option<Pin> {
    let record: Value = serde_json::from_slice(text).ok()?;
    let layers = record["image"]["layers"].as_array()?;
    Some(Pin {
        vm: record["name"].as_str()?.to_owned(),
        image: record["image"]["id"].as_str()?.to_owned(),
        layers: layers
            .iter()
            .map(|layer| layer.as_str().map(PathBuf::from))
            .collect::<Option<_>>()?,
    })
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(format!("cannot read {}: it is no record of a VM", path.display())).hint(
        "nothing is removed while nobody knows what this VM needs; remove its directory if it is not needed",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Dirs;
    use super::*;

    fn vm(dirs: &Dirs, digit: char, record: &str) {
        let directory = dirs.vm(&digit.to_string().repeat(64));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("vm.json"), record).unwrap();
    }

    #[test]
    fn records_of_any_version_pin() {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(home.path());
        let store = VmStore::new(&dirs);
        assert_eq!(store.pins().unwrap(), []);
        vm(&dirs, 'a', r#"{"schema":99,"name":"n","image":{"id":"i","layers":["/x/y.img"]}}"#);
        vm(&dirs, 'b', "");
        let expected = Pin { vm: "n".into(), image: "i".into(), layers: vec!["/x/y.img".into()] };
        assert_eq!(store.pins().unwrap(), [expected]);
        vm(&dirs, 'c', "{");
        assert!(store.pins().unwrap_err().message.contains("no record"));
    }

    #[test]
    fn sockets_of_the_dead_are_found() {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(home.path());
        let store = VmStore::new(&dirs);
        vm(&dirs, 'a', "{}");
        for name in ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "other", "bus"] {
            fs::create_dir_all(dirs.runtime.join(name)).unwrap();
        }
        assert_eq!(store.stray_runtime_dirs().unwrap(), [dirs.runtime.join("bbbbbbbbbbbb")]);
    }
}
