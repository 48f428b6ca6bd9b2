// SPDX-License-Identifier: Apache-2.0
//! All VMs at once. A thousand are to be listed while a person does not notice:
//! what lists show comes from an index where that is right, nothing is asked of
//! a VM that its record answers, and several threads ask.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use super::index::{self, Index};
use super::survey::{Look, Seen, Survey, each};
use super::{Found, Listed, VmStore};
use crate::error::Result;

/// Which VMs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those whose record does not say that they have ended or never began.
    Up,
}

/// What a list has of a VM.
pub(super) trait Row {
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn created_ms(&self) -> u64;
}

impl VmStore {
    /// Every VM, oldest first, and of each whether someone holds it. Leftovers
    /// of killed processes are taken away.
    pub fn list(&self) -> Result<Vec<Found>> {
        let ids = self.ids()?;
        let entries = self.name_entries();
        let Ok(survey) = Survey::of(self, Some(&entries), true, SystemTime::now()) else {
            return Ok(Vec::new());
        };
        let seen = each(&ids, |id, scratch| survey.whole(id, scratch));
        let all = self.kept(ids.iter().zip(seen));
        self.sweep_names(&all, &entries);
        Ok(oldest_first(all))
    }

    /// As `list`, what is shown of them: `alive` is false of VMs that have
    /// ended, or were never started, without a look.
    pub fn list_shown(&self) -> Result<Vec<Listed>> {
        self.listed(Which::All, SystemTime::now())
    }

    /// As `list_shown`, of VMs whose record has them come up, or run.
    pub fn list_up(&self) -> Result<Vec<Listed>> {
        self.listed(Which::Up, SystemTime::now())
    }

    /// As `list_shown`, and changes nothing: no lock is waited for, and what
    /// cannot be read is left out.
    pub fn peek(&self) -> Vec<Listed> {
        self.peeked(Which::All)
    }

    /// As `peek`, of what `list_up` gives.
    pub fn peek_up(&self) -> Vec<Listed> {
        self.peeked(Which::Up)
    }

    /// Names that VMs have or had.
    pub fn known_names(&self) -> Vec<String> {
        self.name_entries().into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    fn peeked(&self, which: Which) -> Vec<Listed> {
        let (Ok(ids), entries) = (self.ids(), self.entries_for(which)) else { return Vec::new() };
        let Ok(survey) = Survey::of(self, entries.as_deref(), false, SystemTime::now()) else {
            return Vec::new();
        };
        let bytes = index::load(&self.index_path());
        let index = Index::parse(&bytes, &self.dirs.vms());
        let looks =
            each(&ids, |id, scratch| survey.shown(id, index.get(id), which == Which::Up, scratch));
        let vms = looks.into_iter().flatten().filter_map(|look| match look.seen {
            Seen::Vm(vm) => Some(vm),
            _ => None,
        });
        oldest_first(vms.collect())
    }

    /// `now` says which records are too young for the index.
    pub(super) fn listed(&self, which: Which, now: SystemTime) -> Result<Vec<Listed>> {
        let ids = self.ids()?;
        let entries = self.entries_for(which);
        let Ok(survey) = Survey::of(self, entries.as_deref(), true, now) else {
            return Ok(Vec::new());
        };
        let bytes = index::load(&self.index_path());
        let index = Index::parse(&bytes, &self.dirs.vms());
        let looks =
            each(&ids, |id, scratch| survey.shown(id, index.get(id), which == Which::Up, scratch));
        index.renew(&self.index_path(), &self.dirs.vms(), ids.iter().zip(&looks));
        let seen = looks.into_iter().map(|look| look.map(|look: Look| look.seen));
        let all = self.kept(ids.iter().zip(seen));
        // Whose names are strange shows only who has read all.
        if let Some(entries) = &entries {
            self.sweep_names(&all, entries);
        }
        Ok(oldest_first(all))
    }

    /// The VMs among what was seen. What is none is taken away.
    fn kept<'a, T>(&self, seen: impl Iterator<Item = (&'a String, Option<Seen<T>>)>) -> Vec<T> {
        let mut all = Vec::new();
        for (id, seen) in seen {
            match seen {
                Some(Seen::Vm(vm)) => all.push(vm),
                Some(Seen::Passed) | None => {}
                Some(Seen::Garbage(found)) => {
                    let _ = self.remove_files(id, Some(&found.record));
                }
                Some(Seen::Unreadable(_)) if !self.has_record(id) => self.sweep_recordless(id),
                Some(Seen::Unreadable(why)) => tracing::warn!(vm = %id, "{why}"),
            }
        }
        all
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.dirs.cache.join(index::NAME)
    }

    /// Names, for who lists all: of few VMs each is asked whether it has a second one.
    fn entries_for(&self, which: Which) -> Option<Vec<String>> {
        (which == Which::All).then(|| self.name_entries())
    }

    /// What stands in the directory of names.
    fn name_entries(&self) -> Vec<String> {
        let entries = fs::read_dir(self.names()).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }
}

impl Row for Found {
    fn id(&self) -> &str {
        &self.record.id
    }

    fn name(&self) -> &str {
        &self.record.name
    }

    fn created_ms(&self) -> u64 {
        self.record.created_ms
    }
}

impl Row for Listed {
    fn id(&self) -> &str {
        &self.vm.id
    }

    fn name(&self) -> &str {
        &self.vm.name
    }

    fn created_ms(&self) -> u64 {
        self.vm.created_ms
    }
}

fn oldest_first<T: Row>(mut all: Vec<T>) -> Vec<T> {
    all.sort_by(|a, b| (a.created_ms(), a.id()).cmp(&(b.created_ms(), b.id())));
    all
}
