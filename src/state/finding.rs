// SPDX-License-Identifier: Apache-2.0
//! How a person's word (name, ID, prefix) finds a VM.

use std::collections::BTreeSet;

use super::reading::{RECORD, read_small};
use super::vms::{is_id, name_in_use};
use super::{Found, VmStore};
use crate::error::{Failure, Result};
use crate::similar;

/// Shortest ID prefix that names a VM.
const MIN_PREFIX: usize = 3;

impl VmStore {
    /// Finds VMs by exact ID, name, or unique ID prefix; duplicates dropped,
    /// order kept. One result, with its word, for each that repeats no earlier VM.
    pub fn resolve(&self, words: &[String]) -> Vec<Result<(String, Found)>> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for word in words {
            match self.find(word) {
                Ok(vm) if !seen.insert(vm.record.id.clone()) => {}
                other => found.push(other.map(|vm| (word.clone(), vm))),
            }
        }
        found
    }

    /// Refuses a name that a VM has; the word that counts is `create`'s.
    pub fn check_name_is_free(&self, name: &str) -> Result<()> {
        match self.by_name(name).map(|id| self.read(&id)) {
            Some(Ok(found)) if !self.is_garbage(&found) => Err(name_in_use(name, &found.record.id)),
            _ => Ok(()),
        }
    }

    pub fn find(&self, word: &str) -> Result<Found> {
        self.look_up(word)?.ok_or_else(|| {
            let near = similar::did_you_mean(word, self.known_names());
            Failure::new(format!("no such VM: {word}"))
                .hint(near.unwrap_or_else(|| "mvm ps -a lists the VMs there are".into()))
        })
    }

    /// As `find`, where there need not be one.
    pub fn look_up(&self, word: &str) -> Result<Option<Found>> {
        // Docker shows names with a slash, and takes them so.
        let word = word.strip_prefix('/').unwrap_or(word);
        let id = if is_id(word) && self.dirs.vm(word).join(RECORD).exists() {
            Some(word.to_owned())
        } else if let Some(id) = self.by_name(word) {
            Some(id)
        } else {
            self.by_prefix(word)?
        };
        let Some(id) = id else { return Ok(None) };
        let found = match self.read(&id) {
            Ok(found) => found,
            // It was removed since it was found.
            Err(_) if !self.record_path(&id).exists() => return Ok(None),
            Err(error) => return Err(error),
        };
        if self.is_garbage(&found) {
            let _ = self.remove_files(&id, Some(&found.record));
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn by_name(&self, name: &str) -> Option<String> {
        super::validate_name(name).ok()?;
        let id = read_small(&self.names().join(name))?;
        let other_name = |found: Found| found.record.name != name;
        let exists = is_id(&id) && self.record_path(&id).exists();
        (exists && !self.read(&id).is_ok_and(other_name)).then_some(id)
    }

    fn by_prefix(&self, prefix: &str) -> Result<Option<String>> {
        if prefix.len() < MIN_PREFIX || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut matching = self.ids()?.into_iter().filter(|id| id.starts_with(prefix));
        match (matching.next(), matching.next()) {
            (Some(_), Some(_)) => {
                Err(Failure::new(format!("{prefix} is the start of several IDs"))
                    .hint("give more of the ID, or the name"))
            }
            (one, _) => Ok(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vms::tests::{finished, record, store};

    #[test]
    fn found_by_id_name_and_prefix() {
        let (_home, dirs, store) = store();
        let mut claim = store.create(record(&dirs, "web")).unwrap();
        finished(&mut claim);
        let id = claim.record.id.clone();
        for word in [id.as_str(), "web", "/web", &id[..3], &id[..12]] {
            assert_eq!(store.find(word).unwrap().record.id, id, "{word}");
        }
        for word in ["we", &id[..2], "", "../web", "zzz"] {
            assert!(store.find(word).is_err(), "{word}");
        }
        let words = vec!["web".to_owned(), id, "nope".to_owned()];
        let results = store.resolve(&words);
        assert_eq!(results.len(), 2);
        assert!(results[0].is_ok() && results[1].is_err());
    }
}
