// SPDX-License-Identifier: Apache-2.0
//! All VMs at once. A thousand are to be listed while a person does not notice:
//! what lists show comes from an index where that is right, nothing is asked of
//! a VM that its record answers, and several threads ask.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use super::index::{self, Entry, Index, Known};
use super::survey::{Seen, Survey, each};
use super::{Found, Listed, Shelf, Summary, VmStore};
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
    pub fn list_shown<'a>(&self, shelf: &'a mut Shelf) -> Result<Vec<Listed<'a>>> {
        self.listed(Which::All, SystemTime::now(), shelf)
    }

    /// As `list_shown`, of VMs whose record has them come up, or run.
    pub fn list_up<'a>(&self, shelf: &'a mut Shelf) -> Result<Vec<Listed<'a>>> {
        self.listed(Which::Up, SystemTime::now(), shelf)
    }

    /// As `list_shown`, and changes nothing: no lock is waited for, and what
    /// cannot be read is left out.
    pub fn peek<'a>(&self, shelf: &'a mut Shelf) -> Vec<Listed<'a>> {
        self.seen(Which::All, None, shelf).unwrap_or_default()
    }

    /// As `peek`, of what `list_up` gives.
    pub fn peek_up<'a>(&self, shelf: &'a mut Shelf) -> Vec<Listed<'a>> {
        self.seen(Which::Up, None, shelf).unwrap_or_default()
    }

    /// Names that VMs have or had.
    pub fn known_names(&self) -> Vec<String> {
        self.name_entries().into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    /// `now` says which records are too young for the index.
    pub(super) fn listed<'a>(
        &self,
        which: Which,
        now: SystemTime,
        shelf: &'a mut Shelf,
    ) -> Result<Vec<Listed<'a>>> {
        self.seen(which, Some(now), shelf)
    }

    /// What lists show. Who says what time it is tidies.
    fn seen<'a>(
        &self,
        which: Which,
        tidied: Option<SystemTime>,
        shelf: &'a mut Shelf,
    ) -> Result<Vec<Listed<'a>>> {
        let up = which == Which::Up;
        let began = tidied.unwrap_or_else(SystemTime::now);
        let Shelf { index: bytes, read } = shelf;
        *bytes = index::load(&self.index_path());
        // Where there is an index there are many VMs.
        let (ids, names) = match (up, bytes.is_empty()) {
            // Of few of them each is asked whether it has a second name.
            (true, _) => (self.ids(), None),
            (false, true) => (self.ids(), Some(self.name_entries())),
            (false, false) => thread::scope(|scope| {
                let names = scope.spawn(|| self.name_entries());
                (self.ids(), names.join().ok())
            }),
        };
        let ids = ids?;
        let Ok(survey) = Survey::of(self, names.as_deref(), tidied.is_some(), began) else {
            return Ok(Vec::new());
        };
        let index = Index::parse(bytes, &self.dirs.vms());
        let known = each(&ids, |id, scratch| survey.known(id, &index, scratch));
        let known: Vec<Known> = known.into_iter().map(|k| k.unwrap_or(Known::Nothing)).collect();
        let (mut all, others) = unchanged(&survey, &index, ids.iter().zip(&known), up);
        let looks = each(&others, |(id, entry), scratch| survey.shown(id, *entry, up, scratch));
        let (seen, new): (Vec<_>, Vec<_>) =
            looks.into_iter().map(|look| look.map(|look| (look.seen, look.new)).unzip()).unzip();
        let shown = match tidied {
            Some(_) => {
                let new = new.into_iter().flatten().flatten().collect();
                index.renew(&self.index_path(), &self.dirs.vms(), &known, new);
                self.kept(others.iter().map(|(id, _)| *id).zip(seen))
            }
            None => seen.into_iter().flatten().filter_map(Seen::vm).collect(),
        };
        let (summaries, alive): (_, Vec<bool>) =
            shown.into_iter().map(|shown| (shown.summary, shown.alive)).unzip();
        *read = summaries;
        let read = read.iter().map(Summary::borrowed).zip(alive);
        all.extend(read.map(|(vm, alive)| Listed { vm, alive }));
        // Whose names are strange shows only who has read all.
        if let Some(names) = names.as_ref().filter(|_| tidied.is_some()) {
            self.sweep_names(&all, names);
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

impl Row for Listed<'_> {
    fn id(&self) -> &str {
        self.vm.id
    }

    fn name(&self) -> &str {
        self.vm.name
    }

    fn created_ms(&self) -> u64 {
        self.vm.created_ms
    }
}

/// VMs of which the index says all, and those that are to be looked at.
fn unchanged<'a, 'b>(
    survey: &Survey,
    index: &'b Index<'a>,
    vms: impl Iterator<Item = (&'b String, &'b Known)>,
    up: bool,
) -> (Vec<Listed<'a>>, Vec<(&'b String, Option<&'b Entry<'a>>)>) {
    let room = if up { 0 } else { vms.size_hint().0 };
    let (mut all, mut others) = (Vec::with_capacity(room), Vec::new());
    for (id, known) in vms {
        let entry = index.entry(*known);
        match entry.filter(|entry| survey.is_enough(id, entry)) {
            Some(_) if up => {}
            Some(entry) => match entry.summary() {
                Some(vm) => all.push(Listed { vm, alive: false }),
                None => others.push((id, None)),
            },
            None => others.push((id, entry)),
        }
    }
    (all, others)
}

fn oldest_first<T: Row>(mut all: Vec<T>) -> Vec<T> {
    all.sort_by(|a, b| (a.created_ms(), a.id()).cmp(&(b.created_ms(), b.id())));
    all
}
