// SPDX-License-Identifier: Apache-2.0
//! Locks of VMs. A VM is alive as long as someone holds its lock: its maker
//! first, then its monitor, which inherits the lock.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use super::reading::{RECORD, record_of};
use super::{Dirs, Record, VmStore, replace_file_with};
use crate::error::{Failure, Result};
use crate::sys::{self, Folder};

pub(super) const LOCK: &str = "lock";

/// A VM that this process holds the lock of.
#[derive(Debug)]
pub struct Claim {
    pub record: Record,
    pub(super) directory: PathBuf,
    pub(super) lock: File,
}

impl VmStore {
    /// Whether someone holds the VM's lock.
    pub fn is_alive(&self, id: &str) -> bool {
        is_locked(&self.dirs.vm(id))
    }

    /// Takes a VM that nobody holds, to start it. `None` when someone has it:
    /// it runs, or is about to, or is being removed.
    pub fn claim(&self, id: &str) -> Result<Option<Claim>> {
        let directory = self.dirs.vm(id);
        let gone = || Failure::new(format!("VM {} was removed meanwhile", &id[..id.len().min(12)]));
        let lock = match open_present_lock(&directory) {
            Ok(lock) => lock,
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(gone()),
            Err(e) => return Err(self.unwritable(e)),
        };
        if !take(&lock) {
            return Ok(None);
        }
        // Whoever removed it held the lock until the record was gone.
        match directory.join(RECORD).exists() {
            true => Claim::inherit(&self.dirs, id, lock).map(Some),
            false => Err(gone()),
        }
    }
}

impl Claim {
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Commits the record as it is now.
    pub fn save(&self) -> Result<()> {
        write(&self.directory, &self.record)
    }

    /// The lock, for the monitor to inherit.
    pub fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// What the monitor does with the lock that it inherited.
    pub fn inherit(dirs: &Dirs, id: &str, lock: File) -> Result<Self> {
        let directory = dirs.vm(id);
        let record = record_of(dirs, id)?;
        Ok(Self { record, directory, lock })
    }

    /// Removes the VM, its lock last.
    pub fn remove(self) -> Result<()> {
        VmStore::new(&self.record.dirs).remove_files(&self.record.id, Some(&self.record))
    }
}

/// Commits a VM's record. The caller holds the VM's lock.
pub(super) fn write(directory: &Path, record: &Record) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(record).map_err(|e| Failure::cannot("write a record", e))?;
    let path = directory.join(RECORD);
    replace_file_with(&path, &text, record.durability())
        .map_err(|e| Failure::cannot(format!("write {}", path.display()), e))
}

pub(super) fn open_lock(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    sys::owner_only(&mut options);
    options.open(directory.join(LOCK))
}

/// A lock that is there: to make one would bring a removed VM's directory back.
pub(super) fn open_present_lock(directory: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(directory.join(LOCK))
}

/// Takes a VM's lock. Who only looks whether it is held (`is_locked`) has it for
/// an instant, too, which is no reason to fail.
pub(super) fn take(lock: &File) -> bool {
    const LOOKS: u32 = 20;
    const LOOK: Duration = Duration::from_millis(2);
    for _ in 0..LOOKS {
        if FileExt::try_lock(lock).is_ok() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

/// Whether a process holds the VM's lock.
pub(super) fn is_locked(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| is_held(&lock))
}

/// As `is_locked`, of the VM with this ID in the directory of all.
pub(super) fn is_locked_in(vms: &Folder, id: &str) -> bool {
    vms.file(&format!("{id}/{LOCK}")).is_ok_and(|lock| is_held(&lock))
}

fn is_held(lock: &File) -> bool {
    matches!(FileExt::try_lock_shared(lock), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests::{record, store};
    use crate::state::Phase;

    #[test]
    fn a_held_vm_is_alive_and_cannot_be_removed() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        claim.record.phase = Phase::Running;
        claim.save().unwrap();
        let found = store.find("web").unwrap();
        assert!(found.alive);
        assert!(store.remove(&found).is_err());
        let inherited = claim.lock().unwrap();
        drop(claim);
        assert!(store.find("web").unwrap().alive, "the inherited lock counts");
        drop(inherited);
        assert_eq!(store.find("web").unwrap().phase(), Phase::Dead);
    }

    #[test]
    fn one_of_two_starts_gets_the_vm_and_a_removed_one_nobody() {
        let (_home, dirs, store) = store();
        let mut made = store.create(record(&dirs, "web")).unwrap();
        made.record.phase = Phase::Created;
        made.record.auto_remove = true;
        made.save().unwrap();
        let id = made.record.id.clone();
        assert!(store.claim(&id).unwrap().is_none(), "its maker has it");
        drop(made);
        assert_eq!(store.list().unwrap().len(), 1, "it is to go with its end, not before");
        let mut claim = store.claim(&id).unwrap().unwrap();
        assert!(store.claim(&id).unwrap().is_none());
        claim.record.phase = Phase::Starting;
        claim.record.auto_remove = false;
        claim.save().unwrap();
        drop(claim);
        // Its starter was killed: its disk is not lost.
        let found = store.find("web").unwrap();
        assert_eq!(found.phase(), Phase::Dead);
        store.remove(&found).unwrap();
        assert!(store.claim(&id).unwrap_err().message.contains("removed"));
        assert!(!dirs.vm(&id).exists());
    }
}
