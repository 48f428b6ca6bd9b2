// SPDX-License-Identifier: Apache-2.0
//! A look at each of all VMs, on several threads.

use std::collections::HashSet;
use std::io;
use std::num::NonZero;
use std::thread;
use std::time::SystemTime;

use super::index::Entry;
use super::locks::is_locked_in;
use super::reading::{RECORD, check_schema, other_vm, read_text, unreadable};
use super::rename::renamed;
use super::{Found, Listed, Phase, Record, Summary, VmStore};
use crate::error::Result;
use crate::sys::{Folder, Stamp};

/// VMs for which another thread is worth its start.
const EACH: usize = 100;
const MAX_THREADS: usize = 8;

/// What one record led to.
pub(super) enum Seen<T> {
    Vm(T),
    /// It is not asked for.
    Passed,
    /// Made half and given up, or asked to vanish and its monitor died.
    Garbage(Box<Found>),
    Unreadable(String),
}

/// What was seen of a VM for a list, and what of that an index is to keep.
pub(super) struct Look {
    pub seen: Seen<Listed>,
    pub kept: Kept,
}

/// What an index is to have of a VM.
pub(super) enum Kept {
    /// What it has.
    Same,
    New(Entry<'static>),
    /// Nothing: there is no record, or its times cannot tell it from the next.
    Nothing,
}

/// What a thread uses again and again.
#[derive(Default)]
pub(super) struct Scratch {
    path: String,
    text: Vec<u8>,
}

/// What is the same for all VMs of a list.
pub(super) struct Survey<'a> {
    store: &'a VmStore,
    vms: Folder,
    /// VMs that have a second name, if that is known.
    renamed: Option<HashSet<&'a str>>,
    /// Sockets of dead VMs are taken away.
    tidies: bool,
    began: SystemTime,
}

impl<'a> Survey<'a> {
    /// `names` are the entries of the directory of names; `began` is now, or
    /// earlier.
    pub fn of(
        store: &'a VmStore,
        names: Option<&'a [String]>,
        tidies: bool,
        began: SystemTime,
    ) -> io::Result<Self> {
        let second = |names: &'a [String]| {
            names.iter().filter_map(|entry| entry.strip_prefix('.')).collect()
        };
        Ok(Self {
            store,
            vms: Folder::open(&store.dirs.vms())?,
            renamed: names.map(second),
            tidies,
            began,
        })
    }

    /// A VM with all that this version knows of it.
    pub fn whole(&self, id: &str, scratch: &mut Scratch) -> Seen<Found> {
        let mut found = || {
            let path = self.store.record_path(id);
            self.read(id, scratch)?;
            let mut record =
                check_schema(&path, Record::shown(&scratch.text), |record| record.schema)?;
            if record.id != id {
                return Err(other_vm(id));
            }
            self.rename(id, &mut record.name);
            match is_locked_in(&self.vms, id) {
                true => Ok(Seen::Vm(Found { record, alive: true })),
                false => self.again(id),
            }
        };
        or_unreadable(found())
    }

    /// What lists show of a VM: from its `entry` of an index, if that is right,
    /// or from its record. Of those that are not up, nothing, if `up` is asked for.
    pub fn shown(&self, id: &str, entry: Option<&Entry>, up: bool, scratch: &mut Scratch) -> Look {
        let right = entry.filter(|entry| self.is_of_record(entry, id, scratch));
        if right.is_some_and(|entry| up && !asks_for_a_look(entry.phase, entry.auto_remove)) {
            return Look { seen: Seen::Passed, kept: Kept::Same };
        }
        if let Some(summary) = right.and_then(Entry::summary) {
            return Look { seen: or_unreadable(self.listed(id, summary)), kept: Kept::Same };
        }
        let (summary, kept) = match self.summary(id, scratch) {
            Ok(read) => read,
            Err(failure) => {
                return Look { seen: Seen::Unreadable(failure.message), kept: Kept::Nothing };
            }
        };
        if up && !asks_for_a_look(summary.phase, summary.auto_remove) {
            return Look { seen: Seen::Passed, kept };
        }
        Look { seen: or_unreadable(self.listed(id, summary)), kept }
    }

    fn is_of_record(&self, entry: &Entry, id: &str, scratch: &mut Scratch) -> bool {
        self.vms.stamp(record_in(id, &mut scratch.path)).is_ok_and(|stamp| stamp == entry.stamp)
    }

    /// What a record says, and what an index is to have of it.
    fn summary(&self, id: &str, scratch: &mut Scratch) -> Result<(Summary, Kept)> {
        let path = self.store.record_path(id);
        let stamp = self.read(id, scratch)?;
        let parsed = serde_json::from_slice(&scratch.text);
        let summary = check_schema(&path, parsed, |summary: &Summary| summary.schema)?;
        if summary.id != id {
            return Err(other_vm(id));
        }
        let kept = match stamp.is_settled(self.began) {
            true => Entry::of(&summary, stamp).map_or(Kept::Nothing, Kept::New),
            false => Kept::Nothing,
        };
        Ok((summary, kept))
    }

    /// Reads a record's text. The stamp is that of the file which was read.
    fn read(&self, id: &str, scratch: &mut Scratch) -> Result<Stamp> {
        let file = self.vms.file(record_in(id, &mut scratch.path));
        let path = || self.store.record_path(id);
        let stamp = |file: &std::fs::File| crate::sys::stamp(file);
        let file = file.map_err(|e| unreadable(&path(), e))?;
        let stamp = stamp(&file).map_err(|e| unreadable(&path(), e))?;
        read_text(&path(), file, &mut scratch.text)?;
        Ok(stamp)
    }

    fn listed(&self, id: &str, mut summary: Summary) -> Result<Seen<Listed>> {
        self.rename(id, &mut summary.name);
        let look = asks_for_a_look(summary.phase, summary.auto_remove);
        let alive = look && is_locked_in(&self.vms, id);
        let may_have_sockets = self.tidies && summary.phase == Phase::Dead;
        // A record that was read before its lock was found free may be older
        // than that.
        if look && !alive || may_have_sockets {
            return Ok(match self.again(id)? {
                Seen::Vm(Found { record, alive }) => {
                    let alive = alive && asks_for_a_look(record.phase, record.auto_remove);
                    Seen::Vm(Listed { vm: Box::new(record.into()), alive })
                }
                Seen::Garbage(found) => Seen::Garbage(found),
                Seen::Unreadable(why) => Seen::Unreadable(why),
                Seen::Passed => Seen::Passed,
            });
        }
        Ok(Seen::Vm(Listed { vm: Box::new(summary), alive }))
    }

    fn again(&self, id: &str) -> Result<Seen<Found>> {
        let found = self.store.read(id)?;
        if self.store.is_garbage(&found) {
            return Ok(Seen::Garbage(Box::new(found)));
        }
        if self.tidies && found.phase() == Phase::Dead {
            self.store.tidy(&found);
        }
        Ok(Seen::Vm(found))
    }

    /// Gives a VM its second name, if it has one.
    fn rename(&self, id: &str, name: &mut String) {
        if self.renamed.as_ref().is_none_or(|ids| ids.contains(id))
            && let Some(second) = renamed(&self.store.dirs, id)
        {
            *name = second;
        }
    }
}

/// Looks at each VM; `None` where that ended in a panic.
pub(super) fn each<T: Send>(
    ids: &[String],
    look: impl Fn(&str, &mut Scratch) -> T + Sync,
) -> Vec<Option<T>> {
    let cpus = || thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let threads = match ids.len() / EACH {
        0 | 1 => 1,
        worth => worth.min(cpus()),
    };
    let mut seen: Vec<Option<T>> = ids.iter().map(|_| None).collect();
    let look = |ids: &[String], seen: &mut [Option<T>]| {
        let mut scratch = Scratch::default();
        for (id, seen) in ids.iter().zip(seen) {
            *seen = Some(look(id, &mut scratch));
        }
    };
    if threads == 1 {
        look(ids, &mut seen);
        return seen;
    }
    let part = ids.len().div_ceil(threads);
    thread::scope(|scope| {
        let mut parts = ids.chunks(part).zip(seen.chunks_mut(part));
        let own = parts.next();
        let look = &look;
        let others: Vec<_> =
            parts.map(|(ids, seen)| scope.spawn(move || look(ids, seen))).collect();
        if let Some((ids, seen)) = own {
            look(ids, seen);
        }
        for other in others {
            let _ = other.join();
        }
    });
    seen
}

/// Whether the lock has to say what is true, whatever the record says.
fn asks_for_a_look(phase: Phase, auto_remove: bool) -> bool {
    match phase {
        Phase::Creating | Phase::Starting | Phase::Running => true,
        Phase::Exited | Phase::Dead => auto_remove,
        Phase::Created => false,
    }
}

/// The path of a record below the directory of VMs.
fn record_in<'a>(id: &str, path: &'a mut String) -> &'a str {
    path.clear();
    path.push_str(id);
    path.push('/');
    path.push_str(RECORD);
    path
}

fn or_unreadable<T>(seen: Result<Seen<T>>) -> Seen<T> {
    seen.unwrap_or_else(|failure| Seen::Unreadable(failure.message))
}
