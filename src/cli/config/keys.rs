// SPDX-License-Identifier: Apache-2.0
//! The keys of `config.toml` that are defaults of flags, or limits. Tables of
//! registries are described in docs/REGISTRIES.md.

use crate::config::{Config, Text};
use crate::error::Result;
use crate::state::Dirs;

pub struct Key {
    pub name: &'static str,
    /// What holds if nobody says anything; nothing: mvm finds out.
    pub default: Option<&'static str>,
    /// Variables that win over the file.
    pub variables: &'static [&'static str],
    pub about: &'static str,
}

const fn key(name: &'static str, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, default, variables: &[], about }
}

/// In the order of the alphabet.
pub const KEYS: [Key; 17] = [
    Key {
        variables: &["MVM_BACKEND"],
        ..key("backend", Some("auto"), "hypervisor: auto, libkrun or qemu")
    },
    key("boot-timeout", None, "seconds that a guest may take to boot; 30, emulated 180"),
    key("cpus", Some("1"), "CPUs of a VM"),
    key("detach-keys", Some("ctrl-p,ctrl-q"), "keys that leave a terminal"),
    key("disk", Some("64g"), "largest size of a VM's own disk"),
    key("images.max-layer-entries", Some("10000000"), "entries of one layer"),
    key("images.max-layer-gib", Some("64"), "GiB of one layer, uncompressed"),
    Key { variables: &["MVM_KERNEL"], ..key("kernel", None, "guest kernel: docs/KERNEL.md") },
    key("log-driver", Some("local"), "whether output is kept: local or none"),
    key("log-opt", None, "how much of it: max-size=SIZE, max-file=NUMBER"),
    key("memory", Some("512"), "RAM of a VM in MiB, or with a unit"),
    key("network", Some("none"), "none or user"),
    key("pids-limit", None, "processes and threads in a VM"),
    Key {
        variables: &["MVM_DEFAULT_PLATFORM", "DOCKER_DEFAULT_PLATFORM"],
        ..key("platform", None, "platform to choose from an image for several")
    },
    key("pull", Some("missing"), "when to pull an image: missing, always or never"),
    key("shm-size", Some("64m"), "size of /dev/shm"),
    key("stop-timeout", None, "seconds from the stop signal to SIGKILL; 10"),
];

/// What the file has for flags of `run` and `create`, unless a variable says
/// something else: names of flags, and values.
pub fn defaults(dirs: &Dirs) -> Result<Vec<(&'static str, Vec<String>)>> {
    let config = Config::of(dirs)?;
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let free = |name: &str| {
        let key = KEYS.iter().find(|key| key.name == name);
        key.is_none_or(|key| !key.variables.iter().any(is_set))
    };
    let said = |(name, text): (&'static str, &Option<Text>)| Some((name, text.clone()?.0));
    Ok(config.flags().into_iter().filter_map(said).filter(|(name, _)| free(name)).collect())
}

/// The same definition, with other defaults.
pub fn apply(
    mut command: clap::Command,
    defaults: Vec<(&'static str, Vec<String>)>,
) -> clap::Command {
    for (name, values) in defaults {
        // clap's definitions live as long as the program.
        let values: Vec<&'static str> = values.into_iter().map(|value| &*value.leak()).collect();
        command = command.mut_args(|arg| match arg.get_long() == Some(name) {
            true => arg.default_values(&values),
            false => arg,
        });
    }
    command
}
