// SPDX-License-Identifier: Apache-2.0
//! `mvm ps`

use clap::Args;
use serde::Serialize;

use super::format::{self, ListArgs, Output};
use crate::error::Result;
use crate::state::{Dirs, Found, Phase, VmStore};

/// List VMs
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    list: ListArgs,
}

/// What a template may name, Docker's names where it has them.
const FIELDS: [(&str, &str); 10] = [
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
];

/// A VM as a program reads it, one JSON object a line.
#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    image: String,
    command: Vec<String>,
    created_ms: u64,
    status: String,
    phase: Phase,
    exit_code: Option<u8>,
    vcpus: u32,
    memory_mib: u64,
    network: String,
    backend: String,
}

pub fn run(dirs: &Dirs, args: PsArgs) -> Result<u8> {
    let mut found = VmStore::new(dirs).list()?;
    let up = |vm: &Found| matches!(vm.phase(), Phase::Creating | Phase::Starting | Phase::Running);
    found.retain(|vm| args.all || up(vm));
    found.reverse();
    let (quiet, no_trunc) = (args.list.quiet, args.list.no_trunc);
    let output = Output::parse(&args.list.format)?;
    let id = |vm: &Found| match no_trunc {
        true => vm.record.id.clone(),
        false => vm.record.id[..12].to_owned(),
    };
    let text = if quiet {
        found.iter().map(|vm| id(vm) + "\n").collect()
    } else {
        let header = ["VM ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"];
        let cells = |vm: &Found| {
            vec![
                id(vm),
                vm.record.image.reference.clone(),
                command(&vm.record.command, no_trunc),
                format::ago(vm.record.created_ms),
                status(vm),
                vm.record.name.clone(),
            ]
        };
        let fields = |vm: &Found| {
            let mut fields = cells(vm);
            fields.push(format::date(vm.record.created_ms));
            fields.push(vm.phase().to_string());
            fields.push(vm.record.backend.clone());
            fields.push(vm.record.network.clone());
            fields
        };
        output.render(&found, (&header, cells), row, (&FIELDS, fields))?
    };
    super::print(&text)?;
    Ok(0)
}

fn row(vm: &Found) -> Row {
    let record = &vm.record;
    Row {
        id: record.id.clone(),
        name: record.name.clone(),
        image: record.image.reference.clone(),
        command: record.command.clone(),
        created_ms: record.created_ms,
        status: status(vm),
        phase: vm.phase(),
        exit_code: record.exit.as_ref().map(|exit| exit.code),
        vcpus: record.vcpus,
        memory_mib: record.memory_mib,
        network: record.network.clone(),
        backend: record.backend.clone(),
    }
}

/// Docker's words where it has them.
fn status(vm: &Found) -> String {
    match (vm.phase(), &vm.record.exit) {
        (Phase::Running, _) => {
            let since = vm.record.started_ms.unwrap_or(vm.record.created_ms);
            format!("Up {}", format::duration(crate::state::now_ms().saturating_sub(since) / 1000))
        }
        (Phase::Exited, Some(exit)) => {
            format!("Exited ({}) {}", exit.code, format::ago(exit.finished_ms))
        }
        (Phase::Dead, _) => "Dead (its monitor died)".into(),
        (Phase::Creating | Phase::Created | Phase::Starting, _) => "Created".into(),
        (phase, _) => {
            let word = phase.to_string();
            word[..1].to_uppercase() + &word[1..]
        }
    }
}

fn command(words: &[String], whole: bool) -> String {
    const SHOWN: usize = 20;
    let text = format::printable(&words.join(" "));
    if whole || text.chars().count() <= SHOWN {
        return format!("\"{text}\"");
    }
    format!("\"{}…\"", text.chars().take(SHOWN - 1).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_short_and_harmless() {
        let words = |text: &str| vec![text.to_owned()];
        assert_eq!(command(&words("sleep 9"), false), "\"sleep 9\"");
        assert_eq!(command(&words("12345678901234567890x"), false), "\"1234567890123456789…\"");
        assert_eq!(command(&words("\u{1b}[2J"), true), "\"?[2J\"");
    }
}
