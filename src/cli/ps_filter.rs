// SPDX-License-Identifier: Apache-2.0
//! `ps --filter`, with Docker's rules: values of one key are alternatives, keys
//! are conditions, but each label must be there.

use regex_lite::Regex;

use super::filter::{Label, key_and_value, label};
use crate::error::{Failure, Result};
use crate::image::{Reference, Store};
use crate::spec::{Blueprint, Volume, VolumeSource};
use crate::state::{Dirs, Listed, Phase, VmStore};

/// Docker's words for what a VM can be; ours is never some of them.
const STATES: [&str; 7] =
    ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

/// What VMs have to be.
#[derive(Debug, Default)]
pub struct Filters {
    ids: Vec<Regex>,
    names: Vec<Regex>,
    labels: Vec<Label>,
    states: Vec<String>,
    codes: Vec<i64>,
    ancestors: Vec<String>,
    before: Vec<String>,
    since: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

impl Filters {
    /// Reads `KEY=VALUE`s.
    pub fn parse(filters: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        for filter in filters {
            let (key, value) = key_and_value(filter)?;
            parsed.add(key, value)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "id" => self.ids.push(pattern(value)?),
            "name" => self.names.push(pattern(value)?),
            "label" => self.labels.push(label(value)),
            "status" if STATES.contains(&value) => self.states.push(value.to_owned()),
            "status" => {
                return Err(Failure::new(format!("a VM is never {value:?}"))
                    .hint(format!("a status is one of {}", STATES.join(", "))));
            }
            "exited" => self.codes.push(value.parse().map_err(|_| {
                Failure::new(format!("{value:?} is no exit code")).hint("exited=137")
            })?),
            "ancestor" => self.ancestors.push(value.to_owned()),
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "volume" => self.volumes.push(value.to_owned()),
            "network" => self.networks.push(value.to_owned()),
            _ => {
                return Err(Failure::new(format!("unknown filter {key:?}")).hint(
                    "there are id, name, label, status, exited, ancestor, before, since, \
                     volume and network",
                ));
            }
        }
        Ok(())
    }

    /// Whether VMs are asked for by what they are, running or not.
    pub fn wants_all(&self) -> bool {
        !self.states.is_empty()
    }

    /// Those that fit.
    pub fn apply<'a>(&self, dirs: &Dirs, vms: Vec<Listed<'a>>) -> Result<Vec<Listed<'a>>> {
        let store = VmStore::new(dirs);
        let made = |name: &String| store.find(name).map(|vm| (vm.record.created_ms, vm.record.id));
        let before = self.before.iter().map(made).collect::<Result<Vec<_>>>()?;
        let since = self.since.iter().map(made).collect::<Result<Vec<_>>>()?;
        let ancestors = self.ancestors(dirs)?;
        let fits = |vm: &Listed| {
            let record = &vm.vm;
            any(&self.ids, |id| id.is_match(record.id))
                && any(&self.names, |name| {
                    name.is_match(record.name) || name.is_match(&format!("/{}", record.name))
                })
                && self.labels.iter().all(|(name, value)| {
                    let there = record.labels.get(name);
                    there.is_some_and(|there| value.as_ref().is_none_or(|v| v == there))
                })
                && any(&self.states, |state| *state == super::ps::state(vm))
                && any(&self.codes, |code| exit_code(vm) == Some(*code))
                && any(&self.networks, |network| *network == record.network)
                && any(&self.volumes, |volume| has_volume(dirs, vm, volume))
                && any(&ancestors, |ancestor| ancestor.is_of(vm))
                && before.iter().all(|(time, id)| age(vm) < (*time, id))
                && since.iter().all(|(time, id)| age(vm) > (*time, id))
        };
        Ok(vms.into_iter().filter(fits).collect())
    }

    fn ancestors(&self, dirs: &Dirs) -> Result<Vec<Ancestor>> {
        if self.ancestors.is_empty() {
            return Ok(Vec::new());
        }
        let store = Store::open(&dirs.data)?;
        let ancestor = |name: &String| Ancestor {
            id: store.resolve(name).ok().map(|image| image.id.to_string()),
            reference: name.parse().ok(),
            name: name.clone(),
        };
        Ok(self.ancestors.iter().map(ancestor).collect())
    }
}

/// An image that a VM may be made from.
struct Ancestor {
    name: String,
    /// Of the image that has this name or ID now.
    id: Option<String>,
    reference: Option<Reference>,
}

impl Ancestor {
    fn is_of(&self, vm: &Listed) -> bool {
        let image = &vm.vm.image;
        let named = || {
            let reference = image.reference.parse::<Reference>().ok();
            reference.is_some() && reference == self.reference
        };
        // A VM may outlive its image, and an image its name.
        self.id.as_deref() == Some(image.id) || self.name == image.id || named()
    }
}

/// Whether a directory or file of the host is shared with a VM, or something is
/// mounted there in it. Of a VM with `--rm` that is not kept.
fn has_volume(dirs: &Dirs, vm: &Listed, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    volumes(dirs, vm).iter().any(|volume| {
        let from = match &volume.source {
            VolumeSource::Host(path) => path.as_os_str() == place,
            VolumeSource::OwnDisk => false,
        };
        from || volume.target == place.as_bytes()
    })
}

/// What a VM that is kept was made with.
pub fn volumes(dirs: &Dirs, vm: &Listed) -> Vec<Volume> {
    let blueprint = Blueprint::read(&dirs.vm(vm.vm.id));
    blueprint.ok().flatten().map(|blueprint| blueprint.spec.volumes).unwrap_or_default()
}

/// Older ones first.
fn age<'a>(vm: &Listed<'a>) -> (u64, &'a str) {
    (vm.vm.created_ms, vm.vm.id)
}

fn exit_code(vm: &Listed) -> Option<i64> {
    let ended = matches!(vm.phase(), Phase::Exited | Phase::Dead);
    vm.vm.exit.as_ref().filter(|_| ended).map(|exit| i64::from(exit.code))
}

/// No condition, or one that holds.
fn any<T>(values: &[T], holds: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(holds)
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|e| {
        Failure::new(format!("invalid pattern {text:?}: {e}")).hint("it is a regular expression")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused() {
        let parse = |text: &str| Filters::parse(&[text.to_owned()]);
        for bad in ["id", "id=(", "status=happy", "exited=x", "color=red", "=x", "health=none"] {
            assert!(parse(bad).unwrap_err().hint.is_some(), "{bad}");
        }
        for good in ["id=ab", "name=^/?web$", "label=a", "label=a=b", "status=paused", "exited=-1"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
    }
}
