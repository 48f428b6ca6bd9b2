// SPDX-License-Identifier: Apache-2.0
//! A look at each of all VMs, on several threads.

use std::collections::HashSet;
use std::io;
use std::num::NonZero;
use std::thread;
use std::time::SystemTime;

use super::index::{Entry, Index, Known};
use super::locks::is_locked_in;
use super::reading::{RECORD, check_schema, other_vm, read_text, unreadable};
use super::rename::renamed;
use super::{Found, Phase, Record, Summary, VmStore};
use crate::error::Result;
use crate::sys::{self, Folder, Stamp};

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

impl<T> Seen<T> {
    pub fn vm(self) -> Option<T> {
        match self {
            Self::Vm(vm) => Some(vm),
            Self::Passed | Self::Garbage(_) | Self::Unreadable(_) => None,
        }
    }
}

/// What was seen of a VM for a list.
pub(super) struct Look {
    pub seen: Seen<Shown>,
    /// What an index is to have of it: nothing if the record is too young to be
    /// told from the next.
    pub new: Option<Entry<'static>>,
}

/// What is shown of a VM; `alive` is what its lock says, if it was asked.
pub(super) struct Shown {
    pub summary: Summary,
    pub alive: bool,
}

/// What a thread uses again and again.
pub(super) struct Scratch {
    path: String,
    text: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { path: String::with_capacity(128), text: Vec::new() }
    }
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

    /// What an index has of a VM. Asks for a stamp, and allocates nothing: all
    /// that a thread of its own does for most VMs.
    pub fn known(&self, id: &str, index: &Index, scratch: &mut Scratch) -> Known {
        index.look_up(id, || self.vms.stamp(record_in(id, &mut scratch.path)).ok())
    }

    /// Whether an entry, of a record that did not change, is all there is to say.
    pub fn is_enough(&self, id: &str, entry: &Entry) -> bool {
        let may_have_sockets = self.tidies && entry.phase == Phase::Dead;
        let renamed = self.renamed.as_ref().is_some_and(|ids| ids.contains(id));
        !asks_for_a_look(entry.phase, entry.auto_remove) && !may_have_sockets && !renamed
    }

    /// What lists show of a VM: from its `entry` of an index, which is right, or
    /// from its record. Of those that are not up, nothing, if `up` is asked for.
    pub fn shown(&self, id: &str, entry: Option<&Entry>, up: bool, scratch: &mut Scratch) -> Look {
        let read = match entry.and_then(Entry::summary) {
            Some(summary) => Ok((summary, None)),
            None => self.summary(id, scratch),
        };
        let (summary, new) = match read {
            Ok(read) => read,
            Err(failure) => return Look { seen: Seen::Unreadable(failure.message), new: None },
        };
        let seen = match up && !asks_for_a_look(summary.phase, summary.auto_remove) {
            true => Seen::Passed,
            false => or_unreadable(self.listed(id, summary)),
        };
        Look { seen, new }
    }

    /// What a record says, and what an index is to have of it.
    fn summary(
        &self,
        id: &str,
        scratch: &mut Scratch,
    ) -> Result<(Summary, Option<Entry<'static>>)> {
        let path = self.store.record_path(id);
        let stamp = self.read(id, scratch)?;
        let parsed = serde_json::from_slice(&scratch.text);
        let summary = check_schema(&path, parsed, |summary: &Summary| summary.schema)?;
        if summary.id != id {
            return Err(other_vm(id));
        }
        let settled = stamp.is_settled(self.began);
        let new = settled.then(|| Entry::of(&summary, stamp)).flatten();
        Ok((summary, new))
    }

    /// Reads a record's text. The stamp is that of the file which was read.
    fn read(&self, id: &str, scratch: &mut Scratch) -> Result<Stamp> {
        let file = self.vms.file(record_in(id, &mut scratch.path));
        let path = || self.store.record_path(id);
        let file = file.map_err(|e| unreadable(&path(), e))?;
        let stamp = sys::stamp(&file).map_err(|e| unreadable(&path(), e))?;
        read_text(&path(), file, &mut scratch.text)?;
        Ok(stamp)
    }

    fn listed(&self, id: &str, mut summary: Summary) -> Result<Seen<Shown>> {
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
                    Seen::Vm(Shown { summary: record.into(), alive })
                }
                Seen::Garbage(found) => Seen::Garbage(found),
                Seen::Unreadable(why) => Seen::Unreadable(why),
                Seen::Passed => Seen::Passed,
            });
        }
        Ok(Seen::Vm(Shown { summary, alive }))
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

/// Looks at each; `None` where that ended in a panic.
pub(super) fn each<I: Sync, T: Send>(
    all: &[I],
    look: impl Fn(&I, &mut Scratch) -> T + Sync,
) -> Vec<Option<T>> {
    let cpus = || thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let threads = match all.len() / EACH {
        0 | 1 => 1,
        worth => worth.min(cpus()),
    };
    let mut seen: Vec<Option<T>> = all.iter().map(|_| None).collect();
    let look = |all: &[I], seen: &mut [Option<T>], scratch: &mut Scratch| {
        for (one, seen) in all.iter().zip(seen) {
            *seen = Some(look(one, scratch));
        }
    };
    // Memory that another thread allocates comes a page at a time.
    let mut scratches: Vec<Scratch> = (0..threads).map(|_| Scratch::default()).collect();
    let part = all.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let mut parts = all.chunks(part).zip(seen.chunks_mut(part)).zip(&mut scratches);
        let own = parts.next();
        let look = &look;
        let start = |((all, seen), scratch)| scope.spawn(move || look(all, seen, scratch));
        let others: Vec<_> = parts.map(start).collect();
        if let Some(((all, seen), scratch)) = own {
            look(all, seen, scratch);
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
