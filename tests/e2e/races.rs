// SPDX-License-Identifier: Apache-2.0
//! Commands that race on one VM: each race has the ends that
//! docs/SPECIFICATION.md names, and no other.

use std::time::Duration;

use crate::support::{Home, Output, Random, Running};
use crate::{image, need, ready};

/// Each race is run so many times, with other head starts.
const ROUNDS: u32 = 4;

struct Race {
    home: Home,
    random: Random,
    busybox: String,
}

impl Race {
    fn new() -> Result<Self, String> {
        let home = ready()?;
        Ok(Self { home, random: Random::new(), busybox: image("busybox") })
    }

    /// A VM called `box` that was started once and runs, or does not.
    fn vm(&self, runs: bool) {
        self.mvm(&["rm", "-f", "box", "other"]);
        let kind: &[&str] = if runs { &["run", "-d"] } else { &["create"] };
        let words = ["-m", "64m", "--name", "box", &self.busybox, "sleep", "1000"];
        self.home.mvm(kind).args(words).run().status(0);
    }

    fn mvm(&self, args: &[&str]) -> Output {
        self.home.mvm(args).run()
    }

    /// Two commands, the second up to so many milliseconds after the first.
    fn race(&mut self, one: &[&str], other: &[&str], head_start: u32) -> [Output; 2] {
        let first: Running = self.home.mvm(one).spawn();
        std::thread::sleep(Duration::from_micros(self.random.below(head_start * 1000).into()));
        let second = self.home.mvm(other).spawn();
        let ends = [first.finish(), second.finish()];
        for end in &ends {
            end.stderr_lacks("panicked");
        }
        ends
    }

    /// By SIGTERM or SIGKILL, whichever its command saw first.
    fn has_ended(&self) {
        let state = self.state("box");
        assert!(["exited 137", "exited 143"].contains(&state.as_str()), "{state}");
    }

    /// What `inspect` says of a VM; nothing if it is not there.
    fn state(&self, vm: &str) -> String {
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        self.mvm(&["inspect", "--type", "vm", "-f", format, vm]).stdout_text().trim().to_owned()
    }
}

#[test]
fn of_vms_that_do_not_run() {
    let mut race = need!(Race::new());
    for _ in 0..ROUNDS {
        // One starts it, the other finds it started.
        race.vm(false);
        for end in race.race(&["start", "box"], &["start", "box"], 100) {
            end.status(0).stdout("box\n");
        }
        race.mvm(&["stop", "-t", "0", "box"]).status(0);
        race.has_ended();

        // It runs, or it is gone; not both, and not neither.
        let [start, rm] = race.race(&["start", "box"], &["rm", "box"], 30);
        match race.state("box").as_str() {
            "running 0" => {
                start.status(0);
                rm.one_error("VM box is running");
            }
            "" => {
                start.one_error("VM");
                rm.status(0);
                assert!(race.home.vms().is_empty());
            }
            other => panic!("{other}"),
        }

        // Removed once.
        race.vm(false);
        let ends = race.race(&["rm", "box"], &["rm", "box"], 5);
        assert!(ends.iter().any(|end| end.code() == 0), "nobody removed it");
        for end in ends.iter().filter(|end| end.code() != 0) {
            end.one_error("box");
        }
        assert!(race.home.vms().is_empty());

        // Under whichever name it was found, it is the same VM.
        race.vm(false);
        let [rename, start] = race.race(&["rename", "box", "other"], &["start", "box"], 5);
        rename.status(0);
        match start.code() {
            0 => assert_eq!(race.state("other"), "running 0"),
            _ => drop(start.one_error("VM")),
        }
        assert_eq!(race.state("box"), "");
        race.mvm(&["rm", "-f", "other"]).status(0);
        race.home.is_quiet();
    }
    race.mvm(&["system", "check"]).status(0);
}

#[test]
fn of_vms_that_run_or_boot() {
    let mut race = need!(Race::new());
    for _ in 0..ROUNDS {
        race.vm(true);
        let [stop, kill] = race.race(&["stop", "box"], &["kill", "box"], 30);
        stop.status(0).stdout("box\n");
        if kill.code() != 0 {
            kill.one_error("VM box is not running");
        }
        race.has_ended();

        race.mvm(&["start", "box"]).status(0);
        let exec = race.home.mvm(["exec", "box", "echo", "ran"]).spawn();
        for end in race.race(&["stop", "-t", "1", "box"], &["stop", "-t", "1", "box"], 30) {
            end.status(0).stdout("box\n");
        }
        // It ran, or it was killed with the VM, or it says that it came too late.
        let exec = exec.finish();
        match exec.code() {
            0 => drop(exec.stdout("ran\n").stderr("")),
            137 => drop(exec.stderr("")),
            _ => drop(exec.status(1).one_error("VM")),
        }
        race.has_ended();
        race.mvm(&["rm", "box"]).status(0);

        // A boot is given up.
        let words = ["run", "-d", "-m", "64m", "--name", "box"].map(str::to_owned);
        let run: Vec<String> = words
            .into_iter()
            .chain([race.busybox.clone(), "sleep".into(), "1000".into()])
            .collect();
        let run: Vec<&str> = run.iter().map(String::as_str).collect();
        let [run_end, stop] = race.race(&run, &["stop", "-t", "0", "box"], 600);
        match (run_end.code(), stop.code()) {
            (137, 0) | (0, 0) => race.has_ended(),
            // It was not there yet.
            (0, 1) => drop(stop.one_error("no such VM: box")),
            ends => panic!("{ends:?}"),
        }
        race.mvm(&["rm", "-f", "box"]).status(0);
        let [run_end, rm] = race.race(&run, &["rm", "-f", "box"], 600);
        match (run_end.code(), rm.code()) {
            // It was not there yet, which --force takes as good.
            (0, 0) if rm.stdout_text().is_empty() => drop(rm.one_error("no such VM: box")),
            (137, 0) | (0, 0) => assert_eq!(race.state("box"), ""),
            ends => panic!("{ends:?}"),
        }
        race.mvm(&["rm", "-f", "box"]);
        race.home.is_quiet();
        assert!(race.home.vms().is_empty());
    }
    race.mvm(&["system", "check"]).status(0);
}
