// SPDX-License-Identifier: Apache-2.0
//! Records as they are read from the disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::locks::is_locked;
use super::rename::renamed;
use super::{Dirs, Found, Record, SCHEMA, VmStore};
use crate::error::{Failure, Result};

pub(super) const RECORD: &str = "vm.json";
/// A record is a few KiB; more is not ours.
const MAX_RECORD: u64 = 64 << 20;
/// What most take.
const USUAL_RECORD: usize = 4096;

impl VmStore {
    /// A lone VM as it is now.
    pub fn read(&self, id: &str) -> Result<Found> {
        let directory = self.dirs.vm(id);
        let record = record_of(&self.dirs, id)?;
        if record.id != id {
            return Err(other_vm(id));
        }
        Ok(Found { record, alive: is_locked(&directory) })
    }
}

/// An ID or a name.
pub(super) fn read_small(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    (text.len() <= 128).then_some(text)
}

pub(super) fn record_of(dirs: &Dirs, id: &str) -> Result<Record> {
    let path = dirs.vm(id).join(RECORD);
    let mut record = check_schema(&path, Record::whole(&read_record_text(&path)?), |r| r.schema)?;
    record.name = renamed(dirs, id).unwrap_or(record.name);
    Ok(record)
}

/// The bytes of a record.
fn read_record_text(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(|e| unreadable(path, e))?;
    read_text(path, file, &mut text).map(|()| text)
}

/// Reads a record that is open, to a place that is used again.
pub(super) fn read_text(path: &Path, file: File, text: &mut Vec<u8>) -> Result<()> {
    read_all(file, text).map_err(|e| unreadable(path, e))?;
    match text.len() as u64 > MAX_RECORD {
        true => Err(unreadable(path, format!("more than {MAX_RECORD} bytes are no record"))),
        false => Ok(()),
    }
}

/// A record that is whole ends so: nobody asks again, a thousand times, whether
/// there is more.
const END: &[u8] = b"}";

fn read_all(mut file: File, text: &mut Vec<u8>) -> io::Result<()> {
    text.resize(USUAL_RECORD, 0);
    let length = file.read(text)?;
    text.truncate(length);
    if length == USUAL_RECORD || !text.ends_with(END) {
        file.take(MAX_RECORD + 1).read_to_end(text)?;
    }
    Ok(())
}

/// A record that this version can use.
pub(super) fn check_schema<T>(
    path: &Path,
    parsed: serde_json::Result<T>,
    schema: impl Fn(&T) -> u32,
) -> Result<T> {
    let record = parsed.map_err(|e| unreadable(path, e))?;
    let schema = schema(&record);
    if schema > SCHEMA {
        let why = format!("it is of schema {schema}, of a newer mvm");
        return Err(unreadable(path, why).hint("use that mvm, or remove the VM with it"));
    }
    Ok(record)
}

pub(super) fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::cannot(format!("read {}", path.display()), why)
}

pub(super) fn other_vm(id: &str) -> Failure {
    Failure::new(format!("the record in {id} names another VM"))
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests::{finished, record, store};
    use super::*;

    #[test]
    fn unknown_fields_survive_and_newer_schemas_are_left_alone() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        claim.record.other.insert("later".into(), 7.into());
        finished(&mut claim);
        let again = store.find("web").unwrap();
        assert_eq!(again.record.other["later"], 7);
        claim.record.schema = SCHEMA + 1;
        claim.save().unwrap();
        let error = store.find("web").unwrap_err();
        assert!(error.message.contains("newer mvm"), "{error}");
        fs::write(claim.directory().join(RECORD), b"{\"schema\":").unwrap();
        assert!(store.find("web").is_err());
        assert!(store.list().unwrap().is_empty());
        assert!(claim.directory().exists(), "what cannot be read is kept");
    }
}
