// SPDX-License-Identifier: Apache-2.0
//! All VMs at once. A thousand records are to be listed while a person does not
//! notice: nothing is asked of a VM that its record answers, and several
//! threads ask.

use std::collections::HashSet;
use std::fs;
use std::num::NonZero;
use std::thread;

use serde::Deserialize;

use super::locks::is_locked_in;
use super::reading::{check_schema, other_vm, read_text_in};
use super::rename::renamed;
use super::{Found, Phase, Record, VmStore};
use crate::error::Result;
use crate::sys::Folder;

/// VMs for which another thread is worth its start.
const EACH: usize = 100;
const MAX_THREADS: usize = 8;

/// What is wanted of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survey {
    /// All VMs, and of each whether someone holds it.
    Exact,
    /// All VMs as they are shown: of one that has ended or was never started
    /// nobody asks whether it is held.
    Shown,
    /// Those whose record does not say that they have ended or never began.
    Up,
}

/// What of a record says whether the rest is of interest.
#[derive(Deserialize)]
struct Glance {
    phase: Phase,
    auto_remove: bool,
}

/// What one record led to.
enum Seen {
    Vm(Box<Found>),
    /// It is not asked for.
    Passed,
    /// Made half and given up, or asked to vanish and its monitor died.
    Garbage(Box<Found>),
    Unreadable(String),
}

impl VmStore {
    /// Every VM, oldest first. Leftovers of killed processes are taken away.
    pub fn list(&self) -> Result<Vec<Found>> {
        self.tidied(Survey::Exact)
    }

    /// As `list`, to be shown: `alive` is false of VMs that have ended, or were
    /// never started, without a look.
    pub fn list_shown(&self) -> Result<Vec<Found>> {
        self.tidied(Survey::Shown)
    }

    /// As `list_shown`, of VMs whose record has them come up, or run.
    pub fn list_up(&self) -> Result<Vec<Found>> {
        self.tidied(Survey::Up)
    }

    /// As `list_shown`, and changes nothing: no lock is waited for, and what
    /// cannot be read is left out.
    pub fn peek(&self) -> Vec<Found> {
        self.peeked(Survey::Shown)
    }

    /// As `peek`, of what `list_up` gives.
    pub fn peek_up(&self) -> Vec<Found> {
        self.peeked(Survey::Up)
    }

    /// Names that VMs have or had.
    pub fn known_names(&self) -> Vec<String> {
        self.name_entries().into_iter().filter(|name| !name.starts_with('.')).collect()
    }

    fn peeked(&self, survey: Survey) -> Vec<Found> {
        let Ok(ids) = self.ids() else { return Vec::new() };
        let seen = self.survey(&ids, survey, &self.name_entries());
        let vms = seen.into_iter().filter_map(|(_, seen)| match seen {
            Seen::Vm(found) => Some(*found),
            _ => None,
        });
        oldest_first(vms.collect())
    }

    fn tidied(&self, survey: Survey) -> Result<Vec<Found>> {
        let ids = self.ids()?;
        let names = self.name_entries();
        let mut all = Vec::new();
        for (id, seen) in self.survey(&ids, survey, &names) {
            match seen {
                Seen::Vm(found) => {
                    if found.phase() == Phase::Dead {
                        self.tidy(&found);
                    }
                    all.push(*found);
                }
                Seen::Passed => {}
                Seen::Garbage(found) => {
                    let _ = self.remove_files(&id, Some(&found.record));
                }
                Seen::Unreadable(_) if !self.has_record(&id) => self.sweep_recordless(&id),
                Seen::Unreadable(why) => tracing::warn!(vm = %id, "{why}"),
            }
        }
        // Whose names are strange shows only who has read all.
        if survey != Survey::Up {
            self.sweep_names(&all, &names);
        }
        Ok(oldest_first(all))
    }

    fn survey(
        &self,
        ids: &[String],
        survey: Survey,
        names: &HashSet<String>,
    ) -> Vec<(String, Seen)> {
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (ids.len() / EACH).clamp(1, cpus.min(MAX_THREADS));
        let renamed: HashSet<&str> =
            names.iter().filter_map(|entry| entry.strip_prefix('.')).collect();
        let Ok(folder) = Folder::open(&self.dirs.vms()) else { return Vec::new() };
        let see = |ids: &[String]| -> Vec<(String, Seen)> {
            let mut text = Vec::new();
            let see = |id: &String| {
                let seen = self.see(&folder, id, survey, &renamed, &mut text);
                (id.clone(), seen.unwrap_or_else(|failure| Seen::Unreadable(failure.message)))
            };
            ids.iter().map(see).collect()
        };
        if threads == 1 {
            return see(ids);
        }
        let part = ids.len().div_ceil(threads);
        thread::scope(|scope| {
            let mut parts = ids.chunks(part);
            let own = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || see(part))).collect();
            let mut all = see(own);
            for other in others {
                all.extend(other.join().unwrap_or_default());
            }
            all
        })
    }

    fn see(
        &self,
        vms: &Folder,
        id: &str,
        survey: Survey,
        second_names: &HashSet<&str>,
        text: &mut Vec<u8>,
    ) -> Result<Seen> {
        let path = self.record_path(id);
        read_text_in(vms, id, &path, text)?;
        if survey == Survey::Up
            && let Ok(glance) = serde_json::from_slice::<Glance>(text)
            && !asks_for_a_look(glance.phase, glance.auto_remove)
        {
            return Ok(Seen::Passed);
        }
        let mut record = check_schema(&path, Record::shown(text))?;
        if record.id != id {
            return Err(other_vm(id));
        }
        if second_names.contains(id) {
            record.name = renamed(&self.dirs, id).unwrap_or(record.name);
        }
        let look = survey == Survey::Exact || asks_for_a_look(record.phase, record.auto_remove);
        let alive = look && is_locked_in(vms, id);
        // A record that was read before its lock was found free may be older
        // than that.
        match look && !alive {
            true => self.again(id),
            false => Ok(Seen::Vm(Box::new(Found { record, alive }))),
        }
    }

    fn again(&self, id: &str) -> Result<Seen> {
        let found = Box::new(self.read(id)?);
        Ok(if self.is_garbage(&found) { Seen::Garbage(found) } else { Seen::Vm(found) })
    }

    /// What stands in the directory of names.
    fn name_entries(&self) -> HashSet<String> {
        let entries = fs::read_dir(self.names()).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }
}

/// Whether the lock has to say what is true, whatever the record says.
fn asks_for_a_look(phase: Phase, auto_remove: bool) -> bool {
    match phase {
        Phase::Creating | Phase::Starting | Phase::Running => true,
        Phase::Exited | Phase::Dead => auto_remove,
        Phase::Created => false,
    }
}

fn oldest_first(mut all: Vec<Found>) -> Vec<Found> {
    all.sort_by(|a, b| {
        (a.record.created_ms, &a.record.id).cmp(&(b.record.created_ms, &b.record.id))
    });
    all
}
