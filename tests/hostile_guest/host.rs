// SPDX-License-Identifier: Apache-2.0
//! What mvm makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::guest::{
    DEAF, FLOOD, HALF, HUGE_NUMBERS, LENGTHS, LONG_ERROR, LONG_REFUSAL, STREAMS, VARIABLE,
};
use crate::need;
use crate::support::{Home, Mvm, kernel, slower};

#[path = "../support/trials.rs"]
mod trials;

/// Of a monitor, in a program that is built for debugging.
const MAX_PEAK_KIB: u64 = 64 << 10;
/// Of one stream's log and its older half, and of the other's.
const MAX_LOGS: u64 = 48 << 20;

pub fn run() -> ExitCode {
    let tests: [(&'static str, trials::Test); 8] = [
        ("numbers_of_any_size_are_taken", numbers_of_any_size_are_taken),
        ("words_are_cut_and_colourless", words_are_cut_and_colourless),
        ("false_lengths_end_the_channel", false_lengths_end_the_channel),
        ("streams_that_nobody_asked_for_are_refused", streams_that_nobody_asked_for_are_refused),
        ("a_flood_after_the_end_can_be_stopped", a_flood_after_the_end_can_be_stopped),
        ("a_guest_that_does_nothing_can_be_stopped", a_guest_that_does_nothing_can_be_stopped),
        ("half_an_answer_is_given_up", half_an_answer_is_given_up),
        ("a_clock_that_jumps_confuses_nobody", a_clock_that_jumps_confuses_nobody),
    ];
    trials::run(tests)
}

/// A home with a root file system to run, which nobody is going to mount.
fn ready() -> Result<(Home, String), String> {
    kernel()?;
    let home = Home::new();
    fs::create_dir_all(home.path().join("rootfs/bin")).unwrap();
    fs::write(home.path().join("rootfs/bin/x"), "").unwrap();
    let image = format!("dir:{}", home.path().join("rootfs").display());
    Ok((home, image))
}

fn with_guest<'home>(home: &'home Home, case: &str, words: &[&str]) -> Mvm<'home> {
    let program = std::env::current_exe().unwrap();
    home.mvm(words)
        .env("MVM_QEMU", program)
        .env("MVM_BACKEND", "qemu")
        .env(VARIABLE, case)
        .timeout(Duration::from_secs(60))
}

fn numbers_of_any_size_are_taken() {
    let (home, image) = need!(ready());
    let output =
        with_guest(&home, HUGE_NUMBERS, &["-v", "run", "--name", "box", &image, "x"]).run();
    output.status(255).stdout("").stderr_lacks("panicked");
    home.mvm(["ps", "-a"]).run().status(0).stdout_has("Exited (255)");
    home.mvm(["inspect", "box"]).run().status(0).stdout_has("\"OOMKilled\": true");
    home.mvm(["rm", "box"]).run().status(0);
    assert!(home.vms().is_empty());
}

fn words_are_cut_and_colourless() {
    let (home, image) = need!(ready());
    for case in [LONG_REFUSAL, LONG_ERROR] {
        let output = with_guest(&home, case, &["run", "--rm", &image, "x"]).run();
        output.status(125).stdout("").stderr_has("red").stderr_lacks("\x1b").stderr_lacks("\x07");
        assert!(output.stderr_bytes().len() < 4096, "{}", output.stderr_bytes().len());
    }
    assert!(home.vms().is_empty());
}

fn false_lengths_end_the_channel() {
    let (home, image) = need!(ready());
    for case in LENGTHS {
        let output = with_guest(&home, case, &["run", "--rm", &image, "x"]).run();
        output.fails_with("").stderr_lacks("panicked");
    }
    home.is_quiet();
    assert!(home.vms().is_empty());
}

fn streams_that_nobody_asked_for_are_refused() {
    let (home, image) = need!(ready());
    let output = with_guest(&home, STREAMS, &["run", "--rm", &image, "x"]).run();
    output.fails_with("").stderr_lacks("panicked");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

fn a_flood_after_the_end_can_be_stopped() {
    let (home, image) = need!(ready());
    with_guest(&home, FLOOD, &["run", "-d", "--name", "box", &image, "x"]).run().status(0);
    let monitor = home.process("__monitor");
    let begun = Instant::now();
    // Until the logs have gone round.
    while monitor.bytes_written() < 2 * MAX_LOGS
        && begun.elapsed() < slower(Duration::from_secs(30))
    {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (peak, logs) = (monitor.peak_kib(), size_of(&home.path().join("data/vms")));
    assert!(peak < MAX_PEAK_KIB, "the monitor held {peak} KiB");
    assert!(logs < MAX_LOGS, "the logs are {logs} bytes");
    home.mvm(["stop", "-t", "1", "box"]).run().status(0);
    home.is_quiet();
    home.mvm(["rm", "box"]).run().status(0);
}

fn a_guest_that_does_nothing_can_be_stopped() {
    let (home, image) = need!(ready());
    let words = ["run", "--rm", "-i", "--name", "box", &image, "x"];
    let mut running = with_guest(&home, DEAF, &words).spawn();
    let mut stdin = running.stdin.take().expect("a pipe");
    // More than all windows on the way; the rest waits.
    let typing = std::thread::spawn(move || {
        drop(std::io::Write::write_all(&mut stdin, &vec![b'x'; 64 << 20]));
    });
    let monitor = home.process("__monitor");
    std::thread::sleep(Duration::from_secs(2));
    let peak = monitor.peak_kib();
    assert!(peak < MAX_PEAK_KIB, "the monitor held {peak} KiB");
    home.mvm(["stop", "-t", "1", "box"]).run().status(0);
    running.finish().status(137);
    typing.join().unwrap();
    assert!(home.vms().is_empty());
}

fn half_an_answer_is_given_up() {
    let (home, image) = need!(ready());
    let output = with_guest(&home, HALF, &["run", "--rm", &image, "x"]).run();
    output.fails_with("").stderr_lacks("panicked");
    assert!(home.vms().is_empty());
}

/// Of the host: the VM was made, or ended, at a time that is yet to come, or
/// before it was made.
fn a_clock_that_jumps_confuses_nobody() {
    const YEAR_3000: u64 = 32_503_680_000_000;
    let (home, image) = need!(ready());
    with_guest(&home, HUGE_NUMBERS, &["run", "--name", "box", &image, "x"]).run().status(255);
    let record = home.path().join("data/vms").join(&home.vms()[0]).join("vm.json");
    let text = fs::read_to_string(&record).unwrap();
    for (made, started, ended) in [(YEAR_3000, 0, 1), (0, YEAR_3000, 1), (1, 0, u64::MAX)] {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["created_ms"] = made.into();
        value["started_ms"] = started.into();
        value["exit"]["finished_ms"] = ended.into();
        fs::write(&record, value.to_string()).unwrap();
        home.mvm(["ps", "-a"]).run().status(0).stdout_has("box").stdout_has("ago");
        home.mvm(["inspect", "box"]).run().status(0).stdout_has("FinishedAt");
        home.mvm(["logs", "--since", "1m", "box"]).run().status(0);
    }
    home.mvm(["rm", "box"]).run().status(0);
}

fn size_of(directory: &Path) -> u64 {
    let entries: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let size = |path: &PathBuf| match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => size_of(path),
        // The disk is sparse, and no log.
        Ok(found) if path.extension().is_some_and(|extension| extension != "img") => found.len(),
        _ => 0,
    };
    entries.iter().map(size).sum()
}
