// SPDX-License-Identifier: Apache-2.0
//! stdin, stdout and stderr through pipes, to the byte.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::support::slower;
use crate::{image, need, ready, sh};

/// Bytes without a pattern, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn stdout_and_stderr_stay_apart_and_exact() {
    let home = need!(ready());
    let script = r"printf 'out\0\377\r\n\033end'; printf 'err\nno newline' >&2";
    let output = sh(&home, &[], script).run();
    output.status(0).stdout(b"out\0\xff\r\n\x1bend").guest_stderr("err\nno newline");
}

/// For where a boot is dear.
#[test]
fn all_three_and_death_by_signal_in_one_boot() {
    let home = need!(ready());
    let data = noise(300_000);
    let sum = hex(&Sha256::digest(&data));
    let script =
        r"sha256sum; printf 'out\0\377\r\n\033end'; printf 'err\nno newline' >&2; kill -9 $$";
    let output = sh(&home, &["-i"], script).stdin(data).run();
    let stdout = [format!("{sum}  -\n").as_bytes(), b"out\0\xff\r\n\x1bend"].concat();
    output.status(137).stdout(stdout).guest_stderr("err\nno newline");
}

#[test]
fn a_hundred_megabytes_come_through() {
    let home = need!(ready());
    let shared = tempfile::tempdir().unwrap();
    let piece = noise(1_000_000);
    fs::write(shared.path().join("piece"), &piece).unwrap();
    let volume = format!("{}:/v:ro", shared.path().display());
    // Both streams at once: a stream nobody reads must not stop the other.
    let script = "cp /v/piece /tmp/p; (for i in $(seq 10); do cat /tmp/p; done) >&2 & \
                  for i in $(seq 100); do cat /tmp/p; done; wait";
    let output = sh(&home, &["-v", &volume], script).timeout(Duration::from_secs(300)).run();
    output.status(0);
    output.stdout(piece.repeat(100));
    assert!(output.stderr_bytes().ends_with(&piece.repeat(10)), "stderr is not exact");
}

#[test]
fn stdin_arrives_with_its_end() {
    let home = need!(ready());
    let data = noise(3_000_000);
    let sum = hex(&Sha256::digest(&data));
    let busybox = image("busybox");
    // No `--`: what follows the image is the command.
    let output = home.mvm(["run", "--rm", "-i", &busybox, "sha256sum", "-"]).stdin(data).run();
    output.status(0).stdout(format!("{sum}  -\n"));
}

#[test]
fn without_i_stdin_is_empty_and_with_it_may_stay_open() {
    let home = need!(ready());
    sh(&home, &[], "wc -c").stdin("not for the guest").run().status(0).stdout("0\n");

    // The command ends before its input does.
    let mut running = sh(&home, &["-i"], "read line; echo got $line").spawn();
    let mut stdin = running.stdin.take().expect("a pipe");
    writeln!(stdin, "one").unwrap();
    running.finish().status(0).stdout("got one\n");
    drop(stdin);
}

#[test]
fn a_reader_that_goes_away_ends_the_vm() {
    let home = need!(ready());
    let mut running = sh(&home, &[], "yes").spawn();
    running.wait_for_stdout("y\ny\n");
    running.close_stdout();
    // As `docker run … | head` it ends; how is the shell's matter.
    let output = running.finish();
    output.stderr_lacks("panicked");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

/// What nobody takes waits in the guest, in bounded memory, and does not keep
/// the VM from being stopped.
#[test]
fn output_that_nobody_reads_is_held_back() {
    const ENOUGH: &str = "dd if=/dev/zero bs=1M count=4000; echo unreachable >&2";
    let home = need!(ready());
    let running = sh(&home, &["--name", "full"], ENOUGH).unread().spawn();
    let monitor = home.process("__monitor");
    // Until no more comes.
    let begun = Instant::now();
    let mut before = 0;
    loop {
        std::thread::sleep(slower(Duration::from_millis(500)));
        let now = monitor.bytes_written();
        if now == before && now > 1 << 20 {
            break;
        }
        before = now;
        assert!(begun.elapsed() < slower(Duration::from_secs(60)), "{now} bytes and no end");
    }
    assert!(before < 64 << 20, "{before} bytes were taken");
    for (who, peak) in [("monitor", monitor.peak_kib()), ("mvm", running.process().peak_kib())] {
        assert!(peak < 64 << 10, "{who} held {peak} KiB");
    }
    home.mvm(["stop", "-t", "1", "full"]).run().status(0);
    assert!(home.vms().is_empty(), "the VM is there still");
    running.read_stdout();
    let output = running.finish();
    output.status(137).stderr_lacks("unreachable");
    assert!(output.stdout_bytes().len() < 64 << 20);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
