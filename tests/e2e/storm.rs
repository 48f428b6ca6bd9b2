// SPDX-License-Identifier: Apache-2.0
//! `kill -9` of mvm, of a monitor and of a VMM at random points of the commands
//! that change VMs. After each kill the records tell the truth, nothing runs
//! or lies about that no VM accounts for, and the next command works.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Home, Random, slower};
use crate::{image, is_libkrun, need, ready};

/// Over all of `WORKERS`.
const KILLS: u32 = 200;
const WORKERS: u32 = 2;

/// The VMs of one home, by what they are called if they are there.
const NAMES: [&str; 3] = ["one", "two", "three"];

/// How long what was started may take to be one thing or the other.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn killed_at_any_moment_every_vm_is_accounted_for() {
    need!(ready());
    let mut random = Random::new();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let random = random.fork();
            scope.spawn(move || Storm::new(random).run(KILLS / WORKERS));
        }
    });
    eprintln!("{KILLS} kills in {:?}", begun.elapsed());
}

struct Storm {
    home: Home,
    random: Random,
    busybox: String,
    /// How long a boot takes here, microseconds.
    boot: u32,
    /// What was done, for whoever has to find out why.
    done: Vec<String>,
}

impl Storm {
    fn new(random: Random) -> Self {
        let home = ready().expect("it was there just now");
        let busybox = image("busybox");
        let begun = Instant::now();
        home.mvm(["run", "--rm", "-m", "64m", &busybox, "true"]).run().status(0);
        let boot = u32::try_from(begun.elapsed().as_micros()).expect("a short boot");
        Self { home, random, busybox, boot, done: Vec::new() }
    }

    fn run(mut self, kills: u32) {
        let mut killed = 0;
        while killed < kills {
            killed += u32::from(self.strike());
            self.is_accounted_for();
        }
        let killed = |word: &str| self.done.iter().filter(|line| line.ends_with(word)).count();
        eprintln!(
            "killed {} mvm, {} monitors, {} VMMs in {} commands",
            killed("mvm, killed"),
            killed("__monitor, killed"),
            killed(&format!("{}, killed", vmm())),
            self.done.len()
        );
        for name in self.existing() {
            self.home.mvm(["rm", "-f", &name]).run().status(0);
        }
        self.is_accounted_for();
        self.home.mvm(["ps", "-aq"]).run().status(0).stdout("");
        self.home.mvm(["system", "check"]).run().status(0);
        self.home.is_quiet();
        let left = |directory: &str| -> Vec<_> {
            let entries = fs::read_dir(self.home.path().join(directory)).into_iter().flatten();
            entries.map(|entry| entry.expect("an entry").file_name()).collect()
        };
        assert_eq!(left("data/vms/names"), Vec::<std::ffi::OsString>::new());
        assert_eq!(left("run"), Vec::<std::ffi::OsString>::new());
        assert_eq!(self.home.vms(), Vec::<String>::new());
        let mounts = fs::read_to_string("/proc/mounts").expect("the mounts");
        assert!(!mounts.contains(self.home.path().to_str().expect("UTF-8")), "{mounts}");
    }

    /// Starts a command and kills someone. Whether there was someone to kill.
    fn strike(&mut self) -> bool {
        let args = self.some_command();
        let lasts = match args[0].as_str() {
            "run" | "start" | "restart" => self.boot,
            _ => self.boot / 8,
        };
        let after = Duration::from_micros(self.random.below(lasts).into());
        let victim = self.random.pick(&["mvm", "__monitor", vmm()]);
        let line = format!("{} | {after:?} | {victim}", args.join(" "));
        let mut running = self.home.mvm(&args).spawn();
        std::thread::sleep(after);
        let killed = match victim {
            "mvm" => running.kill(),
            word => {
                let processes = self.home.processes();
                let found = processes.iter().rfind(|p| p.command.contains(word));
                found.inspect(|process| process.kill()).is_some()
            }
        };
        self.done.push(format!("{line}{}", if killed { ", killed" } else { "" }));
        // Whatever was done to it or to its VM, it comes to an end.
        running.finish().stderr_lacks("panicked");
        killed
    }

    fn some_command(&mut self) -> Vec<String> {
        let existing = self.existing();
        let free: Vec<&str> =
            NAMES.into_iter().filter(|name| !existing.iter().any(|n| n == name)).collect();
        let image = self.busybox.clone();
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let Some(vm) = existing.get(self.random.below(existing.len().max(1) as u32) as usize)
        else {
            return words(&["run", "-d", "-m", "64m", "--name", "one", &image, "sleep", "1000"]);
        };
        match (self.random.below(16), free.first()) {
            (0..=2, Some(name)) => {
                words(&["run", "-d", "-m", "64m", "--name", name, &image, "sleep", "1000"])
            }
            (3, Some(name)) => words(&["run", "-m", "64m", "--name", name, &image, "true"]),
            (4, Some(name)) => words(&["create", "-m", "64m", "--name", name, &image, "true"]),
            (5, Some(name)) => words(&["rename", vm, name]),
            (0..=5, _) => words(&["rm", "-f", vm]),
            (6 | 7, _) => words(&["run", "--rm", "-m", "64m", &image, "true"]),
            (8 | 9, _) => words(&["start", vm]),
            (10, _) => words(&["restart", "-t", "0", vm]),
            (11 | 12, _) => words(&["stop", "-t", "0", vm]),
            (13, _) => words(&["kill", vm]),
            (14, _) => words(&["rm", vm]),
            _ => words(&["rm", "-f", vm]),
        }
    }

    fn list(&self) -> Vec<Value> {
        let text = self.home.mvm(["ps", "-a", "--format", "json"]).run().status(0).stdout_text();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn existing(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.list().iter().map(|vm| vm["name"].as_str().unwrap_or("?").to_owned()).collect();
        names.sort();
        names
    }

    /// Waits until what runs is what is said to run, and nothing is left of what
    /// does not.
    fn is_accounted_for(&self) {
        let begun = Instant::now();
        while let Err(why) = self.accounts() {
            assert!(
                begun.elapsed() < slower(PATIENCE),
                "{why} after\n{}\n{:#?}\n{:#?}",
                self.done[self.done.len().saturating_sub(5)..].join("\n"),
                self.list(),
                self.home.processes(),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn accounts(&self) -> Result<(), String> {
        let vms = self.list();
        let of = |phases: &[&str]| {
            vms.iter().filter(|vm| phases.contains(&vm["phase"].as_str().unwrap_or("?"))).count()
        };
        let running = of(&["running"]);
        if running + of(&["created", "exited", "dead"]) != vms.len() {
            return Err("a VM stays half made".into());
        }
        let processes = self.home.processes();
        let count = |word: &str| processes.iter().filter(|p| p.command.contains(word)).count();
        if (count("__monitor"), processes.len() - count("__monitor")) != (running, running) {
            return Err(format!("{running} VMs run, but other processes"));
        }
        let directories = |path: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(self.home.path().join(path)).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let ids = |vms: &mut dyn Iterator<Item = &Value>| -> BTreeSet<String> {
            vms.map(|vm| vm["id"].as_str().unwrap_or("?").to_owned()).collect()
        };
        let live = ids(&mut vms.iter().filter(|vm| vm["phase"] == "running"));
        let live: BTreeSet<String> = live.iter().map(|id| id[..12].to_owned()).collect();
        if directories("run") != live {
            return Err(format!("runtime directories {:?}", directories("run")));
        }
        if self.home.vms().into_iter().collect::<BTreeSet<_>>() != ids(&mut vms.iter()) {
            return Err(format!("directories of VMs {:?}", self.home.vms()));
        }
        let mut names = directories("data/vms/names");
        names.retain(|name| !name.starts_with('.'));
        let listed = vms.iter().map(|vm| vm["name"].as_str().unwrap_or("?").to_owned()).collect();
        match names == listed {
            true => Ok(()),
            false => Err(format!("names {names:?}, not {listed:?}")),
        }
    }
}

/// A word of the VMM's command line.
fn vmm() -> &'static str {
    if is_libkrun() { "__runner" } else { "qemu-system" }
}
