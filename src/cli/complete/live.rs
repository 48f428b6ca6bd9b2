// SPDX-License-Identifier: Apache-2.0
//! Names of what there is: VMs and images. Nothing is made, and no lock waited
//! for; what cannot be read is not there.

use super::Candidate;
use crate::cli::ps;
use crate::image::Store;
use crate::state::{Dirs, Listed, Phase, Shelf, VmStore};

/// Which VMs a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Running,
    Stopped,
}

impl Which {
    fn has(self, vm: &Listed) -> bool {
        let up = matches!(vm.phase(), Phase::Creating | Phase::Starting | Phase::Running);
        match self {
            Self::All => true,
            Self::Running => up,
            Self::Stopped => !up,
        }
    }
}

/// Names; and IDs, where one is being typed.
pub fn vms(which: Which, word: &str) -> Vec<Candidate> {
    let Ok(dirs) = Dirs::from_env() else { return Vec::new() };
    let (store, mut shelf) = (VmStore::new(&dirs), Shelf::default());
    let found = match which {
        Which::Running => store.peek_up(&mut shelf),
        Which::All | Which::Stopped => store.peek(&mut shelf),
    };
    let mut candidates = Vec::new();
    for vm in found.iter().filter(|vm| which.has(vm)) {
        let record = &vm.vm;
        let help = format!("{}, {}", record.image.reference, ps::status(vm));
        if record.name.starts_with(word) {
            candidates.push(Candidate::new(record.name, &help));
        }
        // Who has typed nothing wants a name.
        if !word.is_empty() && record.id.starts_with(word) {
            let short = record.id.get(..word.len().max(12)).unwrap_or(record.id);
            candidates.push(Candidate::new(short, help));
        }
    }
    candidates
}

/// Names with their tags, and IDs where one is being typed.
pub fn images(word: &str) -> Vec<Candidate> {
    let images = Dirs::from_env().ok().and_then(|dirs| Store::open(&dirs.data).ok()?.images().ok());
    let mut candidates = Vec::new();
    for image in images.unwrap_or_default() {
        let (id, size) = (image.id.short(), crate::cli::format::size(image.size));
        if let Some(reference) = &image.reference {
            candidates.push(Candidate::new(reference.familiar(), format!("{id}, {size}")));
        }
        if !word.is_empty() && id.starts_with(word) {
            candidates.push(Candidate::new(id, size));
        }
    }
    candidates.sort();
    candidates.dedup();
    candidates
}

/// Networks of the registries that images came from.
pub fn registries() -> Vec<Candidate> {
    let images = Dirs::from_env().ok().and_then(|dirs| Store::open(&dirs.data).ok()?.images().ok());
    let hosts = images.unwrap_or_default();
    let host = |name: String| name.split_once('/').map(|(host, _)| host.to_owned());
    let mut hosts: Vec<_> = hosts
        .iter()
        .filter_map(|image| host(image.reference.as_ref()?.name()))
        .map(|host| Candidate::new(host, ""))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
