// SPDX-License-Identifier: Apache-2.0
//! What values a flag or an argument can have: by its own list where it has
//! one, else by the name of its value and by the command.

use clap::Arg;

use super::live::{self, Which};
use super::{Answer, Candidate, Files};
use crate::cli::{config, names};
use crate::spec::signal;

/// What kind of thing a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nothing,
    Vms(Which),
    Images,
    /// A VM's name and a colon, or a file of the host.
    Copy,
    /// A VM, else an image.
    Either,
    Registries,
    Files,
    Directories,
    Signals,
    Variables,
    VmFilters,
    ImageFilters,
    PruneFilters,
    ConfigKeys,
    Commands,
    /// One of these.
    Words(&'static [&'static str]),
}

const FORMATS: &[&str] = &["table", "json"];
const BOOLEANS: &[&str] = &["true", "false"];

/// The kind of a value, the `at`th of its argument.
pub fn kind(path: &[String], arg: &Arg, at: usize) -> Kind {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name);
    let positional = arg.is_positional();
    // What comes after the first word is the guest's.
    if positional && arg.is_trailing_var_arg_set() && at > 0 {
        return Kind::Nothing;
    }
    match (path.as_slice(), arg.get_id().as_str()) {
        (["cp"], _) if positional => return Kind::Copy,
        (["inspect"], _) if positional => return Kind::Either,
        (["login" | "logout"], _) if positional => return Kind::Registries,
        (["config", ..], "key") => return Kind::ConfigKeys,
        (["help"], _) => return Kind::Commands,
        (["ps"], "filter") => return Kind::VmFilters,
        ([.., "prune"], "filter") => return Kind::PruneFilters,
        (_, "filter") => return Kind::ImageFilters,
        (_, "format") => return Kind::Words(FORMATS),
        (_, "signal" | "stop_signal") => return Kind::Signals,
        (_, "env") => return Kind::Variables,
        (_, "platform") => return Kind::Words(&["linux/amd64", "linux/arm64"]),
        (_, "log_opt") => return Kind::Words(&["max-size=", "max-file="]),
        (_, "detach_keys") => return Kind::Words(&["ctrl-p,ctrl-q"]),
        (_, "security_opt") => {
            return Kind::Words(&["no-new-privileges", "systempaths=unconfined"]);
        }
        (_, "add_host") => return Kind::Words(&["host.docker.internal:host-gateway"]),
        (_, "mount") => return Kind::Words(&["type=bind,source=", "type=tmpfs,target="]),
        (_, "secret") => return Kind::Words(&["id="]),
        (_, "device") => return Kind::Words(&["/dev/fuse", "/dev/net/tun"]),
        (_, "ulimit") => return Kind::Words(&["core=", "fsize=", "memlock=", "nofile=", "nproc="]),
        (_, "cap_add" | "cap_drop") => return Kind::Words(CAPABILITIES),
        (_, "volume" | "inject") => return Kind::Files,
        _ => {}
    }
    match name {
        "VM" if positional => Kind::Vms(which(&path)),
        "IMAGE" | "SOURCE" | "TARGET" | "REFERENCE" | "REPOSITORY[:TAG]" if positional => {
            Kind::Images
        }
        "FILE" | "PATH" => Kind::Files,
        "DIR" if matches!(arg.get_id().as_str(), "workdir") => Kind::Nothing,
        "DIR" | "DIRECTORY" => Kind::Directories,
        "BOOL" => Kind::Words(BOOLEANS),
        _ => Kind::Nothing,
    }
}

/// Which VMs the command is for.
fn which(path: &[&str]) -> Which {
    match path {
        ["start"] => Which::Stopped,
        [
            "stop" | "kill" | "exec" | "attach" | "wait" | "console" | "top" | "stats" | "ssh"
            | "stream",
        ] => Which::Running,
        _ => Which::All,
    }
}

/// Docker's usual ones; mvm knows the rest, too.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RESOURCE",
    "SYS_TIME",
];

/// All that a value may be, of which `word` is typed.
pub fn of(path: &[String], arg: &Arg, at: usize, word: &str) -> Answer {
    let listed = arg.get_possible_values();
    if !listed.is_empty() {
        let shown = listed.iter().filter(|value| !value.is_hide_set());
        let help = |text: Option<&clap::builder::StyledStr>| {
            text.map(ToString::to_string).unwrap_or_default()
        };
        let candidates = shown.map(|v| Candidate::new(v.get_name(), help(v.get_help()))).collect();
        return Answer { candidates, files: Files::None };
    }
    let (candidates, files) = match kind(path, arg, at) {
        Kind::Nothing => (Vec::new(), Files::None),
        Kind::Vms(which) => (live::vms(which, word), Files::None),
        Kind::Images => (live::images(word), sources(path, word)),
        Kind::Copy => (copy(word), if word.contains(':') { Files::None } else { Files::All }),
        Kind::Either => {
            let mut both = live::vms(Which::All, word);
            both.extend(live::images(word));
            (both, Files::None)
        }
        Kind::Registries => (live::registries(), Files::None),
        Kind::Files => (Vec::new(), Files::All),
        Kind::Directories => (Vec::new(), Files::Directories),
        Kind::Signals => (plain(signals(word)), Files::None),
        Kind::Variables => (plain(variables(word)), Files::None),
        Kind::VmFilters => (vm_filters(word), Files::None),
        Kind::ImageFilters => (image_filters(word), Files::None),
        Kind::PruneFilters => (words(&["until=", "label=", "label!="]), Files::None),
        Kind::ConfigKeys => (config::candidates(), Files::None),
        Kind::Commands => (names::all(), Files::None),
        Kind::Words(list) => (words(list), Files::None),
    };
    Answer { candidates, files }
}

fn words(list: &[&str]) -> Vec<Candidate> {
    list.iter().map(|word| Candidate::new(*word, "")).collect()
}

fn plain(list: impl IntoIterator<Item = String>) -> Vec<Candidate> {
    list.into_iter().map(|word| Candidate::new(word, "")).collect()
}

/// An archive or a directory has a file's name behind its kind.
fn sources(path: &[String], word: &str) -> Files {
    let runs = path.first().is_some_and(|name| ["run", "create", "pull"].contains(&name.as_str()));
    let kinds = ["oci:", "oci-archive:", "docker-archive:", "dir:"];
    match runs && kinds.iter().any(|kind| word.starts_with(kind)) {
        true => Files::All,
        false => Files::None,
    }
}

/// Names with a colon; what is in the VM nobody knows here.
fn copy(word: &str) -> Vec<Candidate> {
    let mut vms = live::vms(Which::All, word);
    vms.iter_mut().for_each(|vm| vm.value.push(':'));
    vms
}

/// As they are typed: with SIG or without.
fn signals(word: &str) -> Vec<String> {
    let long = word.starts_with("SIG");
    let name = |name: String| match long {
        true => name,
        false => name.trim_start_matches("SIG").to_owned(),
    };
    (1..=31).map(signal::name).map(name).collect()
}

fn variables(word: &str) -> Vec<String> {
    // Behind the `=` is the value.
    match word.contains('=') {
        true => Vec::new(),
        false => std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect(),
    }
}

fn vm_filters(word: &str) -> Vec<Candidate> {
    const STATES: &[&str] = &["created", "running", "exited", "dead"];
    let live = |key: &str, values: Vec<Candidate>| -> Vec<Candidate> {
        let value = |v: Candidate| Candidate::new(format!("{key}={}", v.value), v.help);
        values.into_iter().map(value).collect()
    };
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    match key {
        "status" => live(key, words(STATES)),
        "network" => live(key, words(&["none", "user"])),
        "name" | "before" | "since" => live(key, live::vms(Which::All, value)),
        "ancestor" => live(key, live::images(value)),
        _ => words(&[
            "id=",
            "name=",
            "label=",
            "status=",
            "exited=",
            "ancestor=",
            "before=",
            "since=",
            "volume=",
            "network=",
        ]),
    }
}

fn image_filters(word: &str) -> Vec<Candidate> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let named = |v: Candidate| Candidate::new(format!("{key}={}", v.value), v.help);
    match key {
        "dangling" => words(&["dangling=true", "dangling=false"]),
        "before" | "since" | "reference" => live::images(value).into_iter().map(named).collect(),
        _ => words(&["dangling=", "reference=", "label=", "before=", "since=", "until="]),
    }
}
