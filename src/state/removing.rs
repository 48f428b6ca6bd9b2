// SPDX-License-Identifier: Apache-2.0
//! VMs that go: removed by someone, or half-made by a process that was killed,
//! which is recognised by its free lock.

use std::fs;
use std::io::{self, ErrorKind};

use fs4::FileExt;

use super::locks::{is_locked, open_present_lock, take, write};
use super::reading::RECORD;
use super::{Found, Phase, Record, VmStore, ignore_missing};
use crate::error::{Failure, Result};

impl VmStore {
    /// Removes a VM that nobody holds. The lock is taken first, so that a VM
    /// that starts meanwhile is never pulled from under its monitor.
    pub fn remove(&self, found: &Found) -> Result<()> {
        let id = &found.record.id;
        let lock = match open_present_lock(&self.dirs.vm(id)) {
            Ok(lock) => lock,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return self.remove_files(id, Some(&found.record));
            }
            Err(e) => return Err(self.unwritable(e)),
        };
        match take(&lock) {
            true => {
                self.doom(id);
                self.remove_files(id, Some(&found.record))
            }
            false if !self.read(id).is_ok_and(|now| now.runs()) => {
                Err(Failure::new(format!("VM {} is in use", found.record.name))
                    .hint("mvm cp, or another command, works in it; try again later"))
            }
            false => Err(Failure::new(format!("VM {} is running", found.record.name))
                .hint(format!("mvm rm -f {}", found.record.name))),
        }
    }

    /// Has a VM's record say that it is to vanish, so that what a kill leaves of
    /// it is garbage. The caller holds its lock.
    fn doom(&self, id: &str) {
        let Ok(Found { mut record, .. }) = self.read(id) else { return };
        if record.auto_remove && record.phase != Phase::Created {
            return;
        }
        (record.auto_remove, record.phase) = (true, Phase::Exited);
        // A disk that is full is no reason to keep it.
        let _ = write(&self.dirs.vm(id), &record);
    }

    /// Made half and given up, or asked to vanish and its monitor died.
    pub(super) fn is_garbage(&self, found: &Found) -> bool {
        !found.alive
            && match found.record.phase {
                Phase::Creating => true,
                Phase::Created => false,
                _ => found.record.auto_remove,
            }
    }

    /// The record goes last but one and the name before it: whatever is left
    /// by a kill in between is garbage to the next `list`.
    pub(super) fn remove_files(&self, id: &str, record: Option<&Record>) -> Result<()> {
        let failed = |e: io::Error| Failure::cannot(format!("remove VM {id}"), e);
        if let Some(record) = record {
            self.forget_names(id, &record.name);
            ignore_missing(fs::remove_dir_all(record.dirs.vm_runtime(id))).map_err(failed)?;
        }
        let directory = self.dirs.vm(id);
        ignore_missing(fs::remove_file(directory.join(RECORD))).map_err(failed)?;
        ignore_missing(fs::remove_dir_all(&directory)).map_err(failed)
    }

    /// Takes away the sockets of a dead VM, unless someone starts it just now.
    pub(super) fn tidy(&self, dead: &Found) {
        let sockets = dead.record.dirs.vm_runtime(&dead.record.id);
        if sockets.exists()
            && let Ok(lock) = open_present_lock(&self.dirs.vm(&dead.record.id))
            && FileExt::try_lock(&lock).is_ok()
        {
            let _ = fs::remove_dir_all(sockets);
        }
    }

    /// A directory with no record: its maker was killed, unless it is at it.
    pub(super) fn sweep_recordless(&self, id: &str) {
        if let Ok(_commit) = self.commit_lock()
            && !is_locked(&self.dirs.vm(id))
            && !self.has_record(id)
        {
            let _ = self.remove_files(id, None);
        }
    }

    /// An empty record is what a power cut may leave of one that was not synced.
    pub(super) fn has_record(&self, id: &str) -> bool {
        fs::metadata(self.dirs.vm(id).join(RECORD)).is_ok_and(|record| record.len() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests::{record, store};
    use super::*;
    use crate::state::random_id;

    #[test]
    fn a_removal_that_was_cut_short_is_finished() {
        for phase in [Phase::Exited, Phase::Created] {
            let (_home, dirs, store) = store();
            let mut made = store.create(record(&dirs, "web")).unwrap();
            made.record.phase = phase;
            made.save().unwrap();
            let (id, directory) = (made.record.id.clone(), made.directory().to_owned());
            drop(made);
            assert_eq!(store.list().unwrap().len(), 1);
            store.doom(&id);
            store.forget_names(&id, "web");
            assert!(store.list().unwrap().is_empty());
            assert!(!directory.exists());
        }
    }

    #[test]
    fn leftovers_of_a_killed_maker_vanish() {
        let (_home, dirs, store) = store();
        let half_made = store.create(record(&dirs, "half")).unwrap();
        let directory = half_made.directory().to_owned();
        assert_eq!(store.list().unwrap().len(), 1);
        drop(half_made);
        assert!(store.list().unwrap().is_empty());
        assert!(!directory.exists());

        let bare = dirs.vm(&random_id().unwrap());
        fs::create_dir_all(&bare).unwrap();
        assert!(store.list().unwrap().is_empty());
        assert!(!bare.exists());
        fs::create_dir_all(&bare).unwrap();
        fs::write(bare.join(RECORD), "").unwrap();
        assert!(store.list().unwrap().is_empty());
        assert!(!bare.exists(), "what a power cut left");
    }
}
