// SPDX-License-Identifier: Apache-2.0
//! A VM's second name. The record of a VM that runs is its monitor's to write,
//! so a new name stands beside it, in `names/.ID`, and wins over the record's
//! own. An entry `names/NAME` counts only if its VM bears that name: what a
//! kill in the middle of a rename leaves is seen as stale and taken away.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use super::list::Row;
use super::reading::read_small;
use super::vms::{is_id, name_in_use};
use super::{Dirs, Found, VmStore, ignore_missing, replace_file_with, validate_name};
use crate::error::{Failure, Result};

impl VmStore {
    /// Gives a VM another name, running or not. The old one is free after that.
    pub fn rename(&self, found: &Found, name: &str) -> Result<()> {
        validate_name(name)?;
        let _commit = self.commit_lock()?;
        let id = &found.record.id;
        // As it is now that nobody else can rename it.
        let record = self.read(id)?.record;
        if record.name == name {
            return Err(Failure::new(format!("VM {name} has that name already")));
        }
        let durability = record.durability();
        if let Some(owner) = self.try_name(name, id, durability)? {
            return Err(name_in_use(name, &owner));
        }
        replace_file_with(&second_name(&self.dirs, id), name.as_bytes(), durability)
            .map_err(|e| self.unwritable(e))?;
        ignore_missing(fs::remove_file(self.names().join(&record.name)))
            .map_err(|e| self.unwritable(e))?;
        match self.record_path(id).exists() {
            true => Ok(()),
            // Removed meanwhile, and its names before it had these.
            false => {
                self.forget_names(id, name);
                Err(Failure::new(format!("VM {} was removed meanwhile", record.name)))
            }
        }
    }

    /// Takes the names of a VM away that is being removed.
    pub(super) fn forget_names(&self, id: &str, of_record: &str) {
        let second = second_name(&self.dirs, id);
        let renamed = renamed(&self.dirs, id);
        for name in [Some(of_record), renamed.as_deref()].into_iter().flatten() {
            let path = self.names().join(name);
            if read_small(&path).as_deref() == Some(id) {
                let _ = fs::remove_file(&path);
            }
        }
        if renamed.is_some() {
            let _ = fs::remove_file(second);
        }
    }

    /// Takes away those of the directory's `entries` that stand for none of `all`
    /// VMs, or for one that has another name.
    pub(super) fn sweep_names(&self, all: &[impl Row], entries: &[String]) {
        let names: HashSet<&str> = all.iter().map(Row::name).collect();
        let known = |entry: &str| match entry.strip_prefix('.') {
            // Few have a second name.
            Some(id) => all.iter().any(|vm| vm.id() == id),
            None => names.contains(entry),
        };
        let stale = |entry: &str| match entry.strip_prefix('.') {
            Some(id) => !is_id(id) || !self.record_path(id).exists(),
            None => match read_small(&self.names().join(entry)) {
                Some(id) if is_id(&id) && self.record_path(&id).exists() => {
                    self.read(&id).is_ok_and(|found| found.record.name != entry)
                }
                Some(_) => validate_name(entry).is_ok(),
                None => false,
            },
        };
        let strangers: Vec<&String> = entries.iter().filter(|entry| !known(entry)).collect();
        if strangers.is_empty() {
            return;
        }
        // Whoever takes a name holds this until the VM has it.
        let Ok(_commit) = self.commit_lock() else { return };
        for name in strangers.into_iter().filter(|name| stale(name)) {
            let _ = fs::remove_file(self.names().join(name));
        }
    }
}

/// The name that a VM was given after it was made.
pub(super) fn renamed(dirs: &Dirs, id: &str) -> Option<String> {
    read_small(&second_name(dirs, id)).filter(|name| validate_name(name).is_ok())
}

fn second_name(dirs: &Dirs, id: &str) -> PathBuf {
    dirs.vms().join("names").join(format!(".{id}"))
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests::{finished, record, store};
    use super::*;
    use crate::state::{Claim, Phase};

    fn entries(store: &VmStore) -> Vec<String> {
        let entries = fs::read_dir(store.names()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_name_counts_and_the_old_one_is_free() {
        let (_home, dirs, store) = store();
        let mut web = store.create(record(&dirs, "web")).unwrap();
        web.record.phase = Phase::Running;
        web.save().unwrap();
        let id = web.record.id.clone();
        let mut other = store.create(record(&dirs, "other")).unwrap();
        finished(&mut other);
        let found = store.find("web").unwrap();
        for bad in ["-x", "other", "web", "a/b", ""] {
            assert!(store.rename(&found, bad).is_err(), "{bad}");
        }
        store.rename(&found, "site").unwrap();
        // Whoever holds the record in memory writes the old name.
        finished(&mut web);
        assert!(store.find("web").is_err());
        assert_eq!(store.find("site").unwrap().record.id, id);
        assert_eq!(store.read(&id).unwrap().record.name, "site");
        assert!(store.create(record(&dirs, "site")).is_err());
        let mut third = store.create(record(&dirs, "web")).unwrap();
        finished(&mut third);
        store.rename(&store.find("site").unwrap(), "back").unwrap();
        assert_eq!(
            entries(&store),
            [format!(".{id}"), "back".into(), "other".into(), "web".into()]
        );
        // It goes with both names, whatever its monitor knows.
        Claim::remove(web).unwrap();
        assert_eq!(entries(&store), ["other", "web"]);
    }

    #[test]
    fn a_rename_that_was_killed_has_happened_or_not() {
        let (_home, dirs, store) = store();
        let mut web = store.create(record(&dirs, "web")).unwrap();
        finished(&mut web);
        let id = web.record.id.clone();
        // After the first step: the new name is taken, the old one counts.
        fs::write(store.names().join("site"), &id).unwrap();
        assert!(store.find("site").is_err());
        assert_eq!(store.find("web").unwrap().record.name, "web");
        assert_eq!(store.list().unwrap().len(), 1);
        assert_eq!(entries(&store), ["web"]);
        // After the second: the new name counts, the old one is not free yet.
        fs::write(store.names().join("site"), &id).unwrap();
        fs::write(second_name(&dirs, &id), "site").unwrap();
        assert!(store.find("web").is_err());
        assert_eq!(store.find("site").unwrap().record.id, id);
        assert!(store.check_name_is_free("web").is_ok());
        store.list().unwrap();
        assert_eq!(entries(&store), [format!(".{id}"), "site".into()]);
        // Nonsense there is no name.
        fs::write(second_name(&dirs, &id), "../../x").unwrap();
        assert_eq!(store.read(&id).unwrap().record.name, "web");
        drop(web);
        store.remove(&store.read(&id).unwrap()).unwrap();
        fs::write(store.names().join("web"), &id).unwrap();
        fs::write(second_name(&dirs, &id), "site").unwrap();
        store.list().unwrap();
        assert_eq!(entries(&store), Vec::<String>::new());
    }
}
