// SPDX-License-Identifier: Apache-2.0
//! `mvm stats`

mod meter;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::format::{self, Output};
use crate::error::Result;
use crate::state::{Dirs, Found, Phase, VmStore};
use meter::{Meter, Reading, Usage};

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a VM may take to answer twice, where nothing else is shown.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show what running VMs use, by their own counters
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Names, IDs or starts of IDs [default: all that run]
    #[arg(value_name = "VM")]
    vms: Vec<String>,
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Once, and not again and again
    #[arg(long)]
    no_stream: bool,
    /// Do not shorten what is long
    #[arg(long)]
    no_trunc: bool,
    /// table, json (one object for each line), or a template such as '{{.CPUPerc}}'
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
}

/// What a template may name; Docker's names.
const FIELDS: [(&str, &str); 9] = [
    ("ID", "VM ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
    ("Container", "VM"),
];

/// A VM as a program reads it. Its numbers are null until they are known, and
/// of a VM that does not run.
#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    running: bool,
    /// 100 is a whole CPU.
    cpu_percent: Option<f64>,
    memory_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    received_bytes: Option<u64>,
    sent_bytes: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    pids: Option<u64>,
}

pub async fn run(dirs: &Dirs, args: StatsArgs) -> Result<u8> {
    let output = Output::parse(&args.format)?;
    let mut meters = Meters::new(dirs, &args);
    meters.look()?;
    if args.no_stream {
        let _ = tokio::time::timeout(PATIENCE, meters.all_known()).await;
        return super::print(&meters.show(&output)?).map(|()| 0);
    }
    let screen = io::stdout().is_terminal();
    loop {
        let text = meters.show(&output)?;
        match screen {
            true => super::print(&repainted(&text))?,
            false => super::print(&text)?,
        }
        tokio::time::sleep(PERIOD).await;
        meters.look()?;
    }
}

/// Over what was there before, without a moment of nothing.
fn repainted(text: &str) -> String {
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// VMs, and for each that runs what measures it.
struct Meters<'a> {
    store: VmStore,
    args: &'a StatsArgs,
    found: Vec<Found>,
    running: BTreeMap<String, Meter>,
}

impl<'a> Meters<'a> {
    fn new(dirs: &Dirs, args: &'a StatsArgs) -> Self {
        Self { store: VmStore::new(dirs), args, found: Vec::new(), running: BTreeMap::new() }
    }

    /// Which VMs there are now, and do run. Those that were named are to be
    /// there.
    fn look(&mut self) -> Result<()> {
        self.found = match self.args.vms.is_empty() {
            true => self.store.list()?,
            false => self.args.vms.iter().map(|vm| self.store.find(vm)).collect::<Result<_>>()?,
        };
        if self.args.vms.is_empty() && !self.args.all {
            self.found.retain(runs);
        }
        let up = |id: &String| self.found.iter().any(|vm| runs(vm) && vm.record.id == *id);
        self.running.retain(|id, meter| up(id) && !meter.is_broken());
        for vm in self.found.iter().filter(|vm| runs(vm)) {
            let id = vm.record.id.clone();
            self.running.entry(id).or_insert_with(|| Meter::start(vm.record.clone(), PERIOD));
        }
        Ok(())
    }

    /// Returns when there is nothing to wait for.
    async fn all_known(&self) {
        for meter in self.running.values() {
            meter.known().await;
        }
    }

    fn reading(&self, vm: &Found) -> Reading {
        match self.running.get(&vm.record.id) {
            Some(meter) => meter.reading(),
            None => Reading::NotRunning,
        }
    }

    fn show(&self, output: &Output) -> Result<String> {
        let rows: Vec<(&Found, Reading)> =
            self.found.iter().map(|vm| (vm, self.reading(vm))).collect();
        let header: Vec<&str> = FIELDS.iter().take(8).map(|(_, title)| *title).collect();
        let cells = |(vm, reading): &(&Found, Reading)| self.cells(vm, reading);
        let fields = |row: &(&Found, Reading)| {
            let mut fields = cells(row);
            fields.push(row.0.record.name.clone());
            fields
        };
        output.render(&rows, (&header, cells), rows.iter().map(row), (&FIELDS, fields))
    }

    fn cells(&self, vm: &Found, reading: &Reading) -> Vec<String> {
        let id = &vm.record.id;
        let id = if self.args.no_trunc { id } else { id.get(..12).unwrap_or(id) };
        let mut cells = vec![id.to_owned(), vm.record.name.clone()];
        // As Docker: nothing of what does not run, and of what is not known.
        let usage = match reading {
            Reading::Unknown => {
                let pair = || "-- / --".to_owned();
                let one = || "--".to_owned();
                cells.extend([one(), pair(), one(), pair(), pair(), one()]);
                return cells;
            }
            Reading::NotRunning => Usage::default(),
            Reading::Known(usage) => usage.clone(),
        };
        let counters = &usage.counters;
        let pair = |one, other, show: fn(u64) -> String| format!("{} / {}", show(one), show(other));
        cells.extend([
            format!("{:.2}%", usage.cpu_percent),
            pair(counters.memory, counters.memory_limit, format::memory),
            format!("{:.2}%", usage.memory_percent()),
            pair(counters.received, counters.sent, format::size),
            pair(counters.read, counters.written, format::size),
            counters.pids.to_string(),
        ]);
        cells
    }
}

fn runs(vm: &Found) -> bool {
    vm.phase() == Phase::Running
}

fn row((vm, reading): &(&Found, Reading)) -> Row {
    let usage = match reading {
        Reading::Known(usage) => Some(usage),
        _ => None,
    };
    let counter = |of: fn(&mvm_proto::Counters) -> u64| usage.map(|usage| of(&usage.counters));
    Row {
        id: vm.record.id.clone(),
        name: vm.record.name.clone(),
        running: runs(vm),
        cpu_percent: usage.map(|usage| usage.cpu_percent),
        memory_bytes: counter(|c| c.memory),
        memory_limit_bytes: counter(|c| c.memory_limit),
        received_bytes: counter(|c| c.received),
        sent_bytes: counter(|c| c.sent),
        read_bytes: counter(|c| c.read),
        written_bytes: counter(|c| c.written),
        pids: counter(|c| c.pids),
    }
}
