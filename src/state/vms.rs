// SPDX-License-Identifier: Apache-2.0
//! The directory of VMs: what is where in it, and how a VM gets there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fs4::FileExt;

use super::locks::{LOCK, open_lock, take};
use super::reading::{RECORD, read_small};
use super::{
    Claim, Dirs, Durability, Phase, Record, make_private_dir, random_name, replace_file_with,
};
use crate::error::{Failure, Result};
use crate::sys;

pub struct VmStore {
    pub(super) dirs: Dirs,
}

/// A VM as found on disk; `alive` is what its lock says.
#[derive(Clone, Debug)]
pub struct Found {
    pub record: Record,
    pub alive: bool,
}

impl Found {
    /// Whether it has a monitor, or is about to. Else who holds it, if someone does, works in
    /// one that does not run, as `mvm cp` does.
    pub fn runs(&self) -> bool {
        self.alive && !matches!(self.record.phase, Phase::Created | Phase::Exited | Phase::Dead)
    }

    /// The phase that is true now, whatever a dead monitor wrote.
    pub fn phase(&self) -> Phase {
        self.record.phase.now(self.alive)
    }
}

impl VmStore {
    pub fn new(dirs: &Dirs) -> Self {
        Self { dirs: dirs.clone() }
    }

    /// Reserves ID and name, makes the VM's directory and writes its first
    /// record. An empty `record.name` gets a random one.
    pub fn create(&self, mut record: Record) -> Result<Claim> {
        make_private_dir(&self.names()).map_err(|e| self.unwritable(e))?;
        let _commit = self.commit_lock()?;
        let directory = self.dirs.vm(&record.id);
        make_private_dir(&directory).map_err(|e| self.unwritable(e))?;
        let claim = self.reserve_name(&mut record).and_then(|()| {
            let lock = open_lock(&directory).map_err(|e| self.unwritable(e))?;
            if !take(&lock) {
                return Err(Failure::new("someone else holds the lock of a new VM"));
            }
            let claim = Claim { record, directory: directory.clone(), lock };
            claim.save().map(|()| claim)
        });
        if claim.is_err() {
            let _ = fs::remove_dir_all(&directory);
        }
        claim
    }

    fn reserve_name(&self, record: &mut Record) -> Result<()> {
        let durability = record.durability();
        if !record.name.is_empty() {
            return match self.try_name(&record.name, &record.id, durability)? {
                None => Ok(()),
                Some(owner) => Err(name_in_use(&record.name, &owner)),
            };
        }
        for attempt in 0..100 {
            let name = random_name(attempt)?;
            if self.try_name(&name, &record.id, durability)?.is_none() {
                record.name = name;
                return Ok(());
            }
        }
        Err(Failure::new("found no free name").hint("choose one with --name"))
    }

    /// Takes a name for `id`; `Some(owner)` when a VM that exists has it. Call
    /// under the commit lock.
    pub(super) fn try_name(
        &self,
        name: &str,
        id: &str,
        durability: Durability,
    ) -> Result<Option<String>> {
        let path = self.names().join(name);
        if let Some(owner) = read_small(&path)
            && self.dirs.vm(&owner).join(RECORD).exists()
        {
            let found = self.read(&owner)?;
            match self.is_garbage(&found) {
                true => self.remove_files(&owner, Some(&found.record))?,
                false if found.record.name == name => return Ok(Some(owner)),
                // It has another name by now.
                false => {}
            }
        }
        replace_file_with(&path, id.as_bytes(), durability).map_err(|e| self.unwritable(e))?;
        Ok(None)
    }

    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.dirs.vms()) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Failure::cannot("read the directory of VMs", e)),
        };
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        Ok(names.filter(|n| is_id(n)).collect())
    }

    pub(super) fn record_path(&self, id: &str) -> PathBuf {
        self.dirs.vm(id).join(RECORD)
    }

    pub(super) fn runtime(&self) -> &Path {
        &self.dirs.runtime
    }

    pub(super) fn names(&self) -> PathBuf {
        self.dirs.vms().join("names")
    }

    /// Held for a commit only, never across work.
    pub(super) fn commit_lock(&self) -> Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        sys::owner_only(&mut options);
        let lock = options.open(self.dirs.vms().join(LOCK)).map_err(|e| self.unwritable(e))?;
        FileExt::lock(&lock).map_err(|e| Failure::cannot("lock the directory of VMs", e))?;
        Ok(lock)
    }

    pub(super) fn unwritable(&self, error: io::Error) -> Failure {
        let failure = Failure::cannot(format!("write to {}", self.dirs.vms().display()), &error);
        match error.kind() {
            ErrorKind::StorageFull => failure.hint("free some space there"),
            _ => failure.hint("is it yours and writable? MVM_HOME moves everything elsewhere"),
        }
    }
}

pub(super) fn name_in_use(name: &str, owner: &str) -> Failure {
    let owner = &owner[..owner.len().min(12)];
    Failure::new(format!("the name {name:?} is in use by VM {owner}"))
        .hint(format!("mvm rm {name}, or choose another --name"))
}

pub(super) fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{ExitRecord, ImageRecord, SCHEMA, random_id};
    use super::*;

    pub(in super::super) fn record(dirs: &Dirs, name: &str) -> Record {
        Record {
            schema: SCHEMA,
            id: random_id().unwrap(),
            name: name.into(),
            created_ms: 1,
            image: ImageRecord {
                reference: "busybox".into(),
                id: String::new(),
                manifest_digest: String::new(),
                layers: Vec::new(),
            },
            command: vec!["true".into()],
            backend: "qemu".into(),
            user: "1000".into(),
            vcpus: 1,
            memory_mib: 64,
            network: "none".into(),
            auto_remove: false,
            labels: Default::default(),
            unlogged: false,
            phase: Phase::Creating,
            has_disk: false,
            started_ms: None,
            exit: None,
            dirs: dirs.clone(),
            monitor_pid: None,
            other: serde_json::Map::new(),
        }
    }

    pub(in super::super) fn store() -> (tempfile::TempDir, Dirs, VmStore) {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(home.path());
        let store = VmStore::new(&dirs);
        (home, dirs, store)
    }

    pub(in super::super) fn finished(claim: &mut Claim) {
        claim.record.phase = Phase::Exited;
        claim.record.exit = Some(ExitRecord {
            code: 0,
            signal: None,
            oom_killed: false,
            finished_ms: 2,
            error: None,
        });
        claim.save().unwrap();
    }

    #[test]
    fn a_name_is_held_until_its_vm_goes() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        let error = store.create(record(&dirs, "web")).unwrap_err();
        assert!(error.message.contains("in use"), "{error}");
        drop(claim);
        store.remove(&store.find("web").unwrap()).unwrap();
        assert!(store.create(record(&dirs, "web")).is_ok());
        assert_eq!(store.create(record(&dirs, "")).unwrap().record.name.split('_').count(), 2);
    }

    #[test]
    fn a_stale_name_is_taken_over() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        fs::remove_dir_all(claim.directory()).unwrap();
        assert!(store.create(record(&dirs, "web")).is_ok());
    }
}
