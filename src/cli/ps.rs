// SPDX-License-Identifier: Apache-2.0
//! `mvm ps`

use std::mem::ManuallyDrop;

use clap::Args;
use serde::Serialize;

use super::format::{self, ListArgs, Output};
use super::ps_filter::{self, Filters};
use crate::error::Result;
use crate::image::allocated_bytes;
use crate::spec::VolumeSource;
use crate::state::{Dirs, Labels, Listed, Phase, Shelf, Summary, VmStore};

/// List VMs
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE,
    /// ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Only so many, the youngest, running or not
    #[arg(short = 'n', long, allow_hyphen_values = true, default_value_t = -1, hide_default_value = true, value_name = "NUMBER")]
    last: i64,
    /// Only the youngest, running or not
    #[arg(short, long)]
    latest: bool,
    /// Show how much of the disk they use
    #[arg(short, long)]
    size: bool,
    #[command(flatten)]
    list: ListArgs,
}

/// What a template may name, Docker's names where it has them.
const FIELDS: [(&str, &str); 14] = [
    ("ID", "VM ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Names", "NAMES"),
    ("CreatedAt", "CREATED AT"),
    ("State", "STATE"),
    ("Backend", "BACKEND"),
    ("Networks", "NETWORKS"),
    ("Labels", "LABELS"),
    ("Size", "SIZE"),
    ("Mounts", "MOUNTS"),
    // None is published.
    ("Ports", "PORTS"),
];

/// A VM as a program reads it, one JSON object a line.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    image: &'a str,
    command: &'a [&'a str],
    created_ms: u64,
    status: String,
    phase: Phase,
    exit_code: Option<u8>,
    vcpus: u32,
    memory_mib: u64,
    network: &'a str,
    backend: &'a str,
    labels: &'a Labels<&'a str>,
    /// Bytes of its own on the disk, with `--size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

pub fn run(dirs: &Dirs, args: PsArgs) -> Result<u8> {
    let output = args.list.output()?;
    let mut shelf = ManuallyDrop::new(Shelf::default());
    // They go with this process: to take a thousand apart costs a millisecond.
    let found = ManuallyDrop::new(pick(dirs, &args, &mut shelf)?);
    let (quiet, no_trunc) = (args.list.quiet, args.list.no_trunc);
    let sized = args.size || args.list.format.contains(".Size");
    let mounts = args.list.format.contains(".Mounts") || args.list.format.contains("json .");
    let id = |vm: &Listed| match no_trunc {
        true => vm.vm.id.to_owned(),
        false => vm.vm.id[..12].to_owned(),
    };
    let text = if quiet {
        found.iter().map(|vm| id(vm) + "\n").collect()
    } else {
        let mut header = vec!["VM ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"];
        header.extend(args.size.then_some("SIZE"));
        let shared = |vm: &Listed| {
            vec![
                id(vm),
                vm.vm.image.reference.to_owned(),
                command(&vm.vm.command, no_trunc),
                format::ago(vm.vm.created_ms),
                status(vm),
                vm.vm.name.to_owned(),
            ]
        };
        let cells = |vm: &Listed| {
            let mut cells = shared(vm);
            cells.extend(args.size.then(|| size(dirs, vm)));
            cells
        };
        let fields = |vm: &Listed| {
            let mut fields = shared(vm);
            fields.push(format::date(vm.vm.created_ms));
            fields.push(state(vm).into());
            fields.push(vm.vm.backend.to_owned());
            fields.push(vm.vm.network.to_owned());
            fields.push(labels(vm));
            fields.push(if sized { size(dirs, vm) } else { format::size(0) });
            fields.push(if mounts { self::mounts(dirs, vm) } else { String::new() });
            fields.push(String::new());
            fields
        };
        let rows = found.iter().map(|vm| row(dirs, vm, args.size));
        if matches!(output, Output::Json) {
            format::print_json_lines(rows, super::print)?;
            return Ok(0);
        }
        output.render(&found, (&header, cells), rows, (&FIELDS, fields))?
    };
    super::print(&text)?;
    Ok(0)
}

/// The VMs asked for, the youngest first.
fn pick<'a>(dirs: &Dirs, args: &PsArgs, shelf: &'a mut Shelf) -> Result<Vec<Listed<'a>>> {
    let filters = Filters::parse(&args.filter)?;
    // As with Docker, zero and less are no limit.
    let last = if args.latest { 1 } else { usize::try_from(args.last).unwrap_or(0) };
    let up = |vm: &Listed| matches!(vm.phase(), Phase::Creating | Phase::Starting | Phase::Running);
    let all = args.all || last > 0 || filters.wants_all();
    let store = VmStore::new(dirs);
    let there = if all { store.list_shown(shelf)? } else { store.list_up(shelf)? };
    let mut found = filters.apply(dirs, there)?;
    found.retain(|vm| all || up(vm));
    found.reverse();
    if last > 0 {
        found.truncate(last);
    }
    Ok(found)
}

fn row<'a>(dirs: &Dirs, vm: &'a Listed<'a>, sized: bool) -> Row<'a> {
    let Summary { id, name, image, command, network, backend, labels, .. } = &vm.vm;
    Row {
        id,
        name,
        image: image.reference,
        command,
        created_ms: vm.vm.created_ms,
        status: status(vm),
        phase: vm.phase(),
        exit_code: vm.vm.exit.as_ref().map(|exit| exit.code),
        vcpus: vm.vm.vcpus,
        memory_mib: vm.vm.memory_mib,
        network,
        backend,
        labels,
        size: sized.then(|| own_bytes(dirs, vm)),
    }
}

/// Docker's word for what a VM is.
pub fn state(vm: &Listed) -> &'static str {
    match vm.phase() {
        Phase::Creating | Phase::Created | Phase::Starting => "created",
        Phase::Running => "running",
        Phase::Exited => "exited",
        Phase::Dead => "dead",
    }
}

/// Docker's words where it has them.
pub fn status(vm: &Listed) -> String {
    match (vm.phase(), &vm.vm.exit) {
        (Phase::Running, _) => {
            let since = vm.vm.started_ms.unwrap_or(vm.vm.created_ms);
            format!("Up {}", format::duration(crate::state::now_ms().saturating_sub(since) / 1000))
        }
        (Phase::Exited, Some(exit)) => {
            format!("Exited ({}) {}", exit.code, format::ago(exit.finished_ms))
        }
        (Phase::Exited, None) => "Exited".into(),
        (Phase::Dead, _) => "Dead".into(),
        (Phase::Creating | Phase::Created | Phase::Starting, _) => "Created".into(),
    }
}

fn labels(vm: &Listed) -> String {
    let labels: Vec<String> = vm.vm.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    labels.join(",")
}

/// What of the host is shared with a VM, as far as that is kept.
fn mounts(dirs: &Dirs, vm: &Listed) -> String {
    let volumes = ps_filter::volumes(dirs, vm);
    let sources = volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Host(path) => Some(path.display().to_string()),
        VolumeSource::OwnDisk => None,
    });
    sources.collect::<Vec<_>>().join(",")
}

/// What a VM takes on the disk by itself.
fn own_bytes(dirs: &Dirs, vm: &Listed) -> u64 {
    allocated_bytes(&dirs.vm(vm.vm.id))
}

/// As Docker says it: by itself, and with its image.
fn size(dirs: &Dirs, vm: &Listed) -> String {
    let own = own_bytes(dirs, vm);
    let record = VmStore::new(dirs).read(vm.vm.id).map(|found| found.record);
    let layers = record.map(|record| record.image.layers).unwrap_or_default();
    let layers: u64 = layers.iter().map(|layer| allocated_bytes(layer)).sum();
    format!("{} (virtual {})", format::size(own), format::size(own + layers))
}

/// As Docker writes it: arguments with a space in them stand in quotes.
fn command(words: &[&str], whole: bool) -> String {
    const SHOWN: usize = 20;
    let room = if whole { usize::MAX } else { SHOWN };
    let mut text = String::from("\"");
    let mut letters = 0;
    // Where it is cut if it turns out too long.
    let mut cut = text.len();
    let mut add = |piece: &str| {
        for letter in piece.chars() {
            if letters == room {
                return false;
            }
            text.push(format::harmless(letter));
            letters += 1;
            if letters == SHOWN - 1 {
                cut = text.len();
            }
        }
        true
    };
    let fits = words.iter().enumerate().all(|(at, word)| {
        let quote = if at > 0 && word.contains(' ') { "'" } else { "" };
        (at == 0 || add(" ")) && add(quote) && add(word) && add(quote)
    });
    if !fits {
        text.truncate(cut);
        text.push('…');
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_short_and_harmless() {
        assert_eq!(command(&["sleep 9"], false), "\"sleep 9\"");
        assert_eq!(command(&["12345678901234567890"], false), "\"12345678901234567890\"");
        assert_eq!(command(&["12345678901234567890x"], false), "\"1234567890123456789…\"");
        assert_eq!(command(&["ééééééééééééééééééééé"], false), "\"ééééééééééééééééééé…\"");
        assert_eq!(command(&[], false), "\"\"");
        assert_eq!(command(&["\u{1b}[2J"], true), "\"?[2J\"");
        let script = ["sh", "-c", "echo a b"];
        assert_eq!(command(&script, true), "\"sh -c 'echo a b'\"");
    }
}
