// SPDX-License-Identifier: Apache-2.0
//! Garbage collection. Each module takes its lock, reads, decides, and only then
//! changes anything; one whose lock is busy is left out and says so.

use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Failure, Result};
use crate::image::{self, Exclusive, Plan, Scope, Store, Usage};
use crate::state::{Dirs, Found, Phase, VmStore};

/// One kind of garbage.
pub trait Module {
    /// Keeps others from changing what is read, until it is dropped.
    type Guard;
    /// What was decided.
    type Plan;

    /// For messages, in the plural.
    fn name(&self) -> &'static str;
    /// `None` if somebody else is at it.
    fn lock(&self) -> Result<Option<Self::Guard>>;
    /// Reads and decides. Changes nothing.
    fn plan(&self, guard: &Self::Guard) -> Result<Self::Plan>;
    /// Does what was decided.
    fn change(&self, guard: Self::Guard, plan: Self::Plan) -> Result<Freed>;
}

/// What a module removed.
#[derive(Clone, Debug, Default)]
pub struct Freed {
    /// Names of what went, for people.
    pub names: Vec<String>,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// Runs one module. When it is busy, or cannot tell what is garbage, a warning
/// says so and nothing is removed: garbage is no reason to fail.
pub fn run(module: &impl Module) -> Result<Freed> {
    let Some(guard) = module.lock()? else {
        eprintln!(
            "warning: {} are in use by another mvm; what is not needed stays\n\
             hint: `mvm system prune` takes it later",
            module.name()
        );
        return Ok(Freed::default());
    };
    match module.plan(&guard) {
        Ok(plan) => module.change(guard, plan),
        Err(failure) => {
            eprintln!("warning: no {} are removed: {failure}", module.name());
            if let Some(hint) = failure.hint {
                eprintln!("hint: {hint}");
            }
            Ok(Freed::default())
        }
    }
}

/// What the VMs of this user need of the store.
pub fn usage(dirs: &Dirs) -> Result<Usage> {
    let mut usage = Usage::default();
    for pin in VmStore::new(dirs).pins()? {
        usage.add(&pin.vm, &pin.image, pin.layers.iter().map(PathBuf::as_path));
    }
    Ok(usage)
}

/// Blobs and layers that neither an image nor a VM needs, and what is left of
/// pulls that ended early.
pub struct Images<'a> {
    /// Where the VMs are.
    pub dirs: &'a Dirs,
    /// The store.
    pub store: &'a Store,
    /// Everything, or what one image left.
    pub scope: Scope,
}

impl Module for Images<'_> {
    type Guard = Exclusive;
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "images"
    }

    fn lock(&self) -> Result<Option<Exclusive>> {
        Ok(self.store.exclusive()?)
    }

    fn plan(&self, guard: &Exclusive) -> Result<Plan> {
        // The records are read under the lock: a run holds it shared until its
        // own is written.
        Ok(self.store.plan(guard, &self.scope, &usage(self.dirs)?)?)
    }

    fn change(&self, guard: Exclusive, plan: Plan) -> Result<Freed> {
        let image::Freed { layers, bytes, .. } = self.store.sweep(guard, plan)?;
        Ok(Freed { names: layers.iter().map(ToString::to_string).collect(), bytes })
    }
}

/// VMs that have ended, with their disks.
pub struct Vms<'a> {
    /// Where they are.
    pub dirs: &'a Dirs,
    /// Only those made before.
    pub until: Option<SystemTime>,
    /// Only those with the labels asked for.
    pub chosen: &'a dyn Fn(&Found) -> bool,
}

impl Module for Vms<'_> {
    /// Each VM has a lock of its own, taken when it is removed.
    type Guard = ();
    type Plan = Vec<Found>;

    fn name(&self) -> &'static str {
        "VMs"
    }

    fn lock(&self) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn plan(&self, (): &()) -> Result<Vec<Found>> {
        let old = |vm: &Found| {
            self.until.is_none_or(|until| {
                let made = SystemTime::UNIX_EPOCH
                    .checked_add(std::time::Duration::from_millis(vm.record.created_ms));
                made.is_some_and(|made| made < until)
            })
        };
        let ended = |vm: &Found| matches!(vm.phase(), Phase::Created | Phase::Exited | Phase::Dead);
        let vms = VmStore::new(self.dirs).list()?;
        Ok(vms
            .into_iter()
            .filter(|vm| !vm.alive && ended(vm) && old(vm) && (self.chosen)(vm))
            .collect())
    }

    fn change(&self, (): (), plan: Vec<Found>) -> Result<Freed> {
        let store = VmStore::new(self.dirs);
        let mut freed = Freed::default();
        for vm in plan {
            let bytes = image::allocated_bytes(&self.dirs.vm(&vm.record.id));
            match store.remove(&vm) {
                Ok(()) => {
                    freed.names.push(vm.record.id);
                    freed.bytes += bytes;
                }
                Err(failure) => eprintln!("warning: {failure}"),
            }
        }
        Ok(freed)
    }
}

/// Directories of sockets of VMs that are gone.
pub struct RunDirs<'a>(pub &'a Dirs);

impl Module for RunDirs<'_> {
    /// A VM's directory is there before that of its sockets, and goes after it.
    type Guard = ();
    type Plan = Vec<PathBuf>;

    fn name(&self) -> &'static str {
        "directories of sockets"
    }

    fn lock(&self) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn plan(&self, (): &()) -> Result<Vec<PathBuf>> {
        VmStore::new(self.0).stray_runtime_dirs()
    }

    fn change(&self, (): (), plan: Vec<PathBuf>) -> Result<Freed> {
        for directory in plan {
            std::fs::remove_dir_all(&directory)
                .map_err(|e| Failure::cannot(format!("remove {}", directory.display()), e))?;
        }
        Ok(Freed::default())
    }
}
