// SPDX-License-Identifier: Apache-2.0
//! Many processes at once, processes that are killed at any moment, and disks
//! that are full at any moment: the store is whole after each.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Home, Random};
use crate::{Lab, files, need};

/// Kills, over all of `WORKERS`.
const KILLS: u32 = 200;
const WORKERS: u32 = 4;

/// Three images of two layers; the first two share one.
fn three(lab: &Lab) -> Vec<String> {
    let noise = "text that takes some blocks ".repeat(2000);
    let one = lab.pulled("one", 1, &[("/etc/shared", &noise), ("/etc/one", "1")]);
    let two = lab.pulled("two", 2, &[("/etc/two", &noise), ("/etc/more", "2")]);
    let three = lab.pulled("three", 3, &[("/etc/three", "3")]);
    lab.mvm(&["rmi", &one, &two, &three]).status(0);
    vec![one, two, three]
}

/// Commands in a home; with a `pull` that always has something to do.
fn some_command<'a>(random: &mut Random, images: &'a [String]) -> Vec<&'a str> {
    let image = images[random.below(images.len() as u32) as usize].as_str();
    match random.below(11) {
        0..=3 => vec!["pull", "-q", image],
        4 | 5 => vec!["rmi", "-f", image],
        6 => vec!["rmi", "mine:1"],
        7 => vec!["tag", image, random.pick(&["mine:1", "mine:2"])],
        8 => vec!["image", "prune", "-f"],
        9 => vec!["image", "verify", "--repair"],
        _ => vec!["image", "prune", "-a", "-f"],
    }
}

fn mvm(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm"));
    command.args(args).env("MVM_HOME", home).stdin(Stdio::null());
    command
}

/// Everything is as it should be, or the test ends.
fn is_well(home: &Path, after: &str) {
    let output = mvm(home, &["system", "check"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "after {after}:\n{text}{errors}");
}

fn succeeds(home: &Path, args: &[&str]) {
    let output = mvm(home, args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mvm {args:?}: {}\n{errors}", output.status);
}

/// After everything is removed, nothing is left.
fn can_be_emptied(home: &Path) {
    succeeds(home, &["image", "prune", "-a", "-f"]);
    let data = home.join("data");
    for directory in [data.join("blobs/blobs/sha256"), crate::layers(home)] {
        assert_eq!(files(&directory), Vec::<std::path::PathBuf>::new());
    }
    for directory in ["blobs/ingest", "layers/ingest"] {
        let left = files(&data.join(directory));
        assert!(left.iter().all(|file| file.ends_with("gate.lock")), "{left:?}");
    }
}

#[test]
fn many_processes_at_once_leave_a_whole_store() {
    let lab = need!(Lab::new());
    let images = three(&lab);
    let mut random = Random::new();
    let home = lab.home.path();
    // The first of them make the store.
    fs::remove_dir_all(home.join("data")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (mut random, images) = (random.fork(), &images);
            scope.spawn(move || {
                for _ in 0..25 {
                    let args = match random.below(8) {
                        0 => vec!["images"],
                        1 => vec!["system", "df"],
                        _ => some_command(&mut random, images),
                    };
                    let output = mvm(home, &args).output().unwrap();
                    let errors = String::from_utf8_lossy(&output.stderr);
                    let gone = matches!(args[0], "rmi" | "tag") && errors.contains("no such image");
                    assert!(output.status.success() || gone, "{args:?}: {errors}");
                }
            });
        }
    });
    is_well(home, "the storm");
    for image in &images {
        succeeds(home, &["pull", "-q", image]);
    }
    is_well(home, "pulling all");
    can_be_emptied(home);
}

#[test]
fn what_is_verified_meanwhile_is_never_wrong() {
    let lab = need!(Lab::new());
    let images = three(&lab);
    let mut random = Random::new();
    let home = lab.home.path();
    std::thread::scope(|scope| {
        let (mut random, images) = (random.fork(), &images);
        let storm = scope.spawn(move || {
            for _ in 0..40 {
                let _ = mvm(home, &some_command(&mut random, images)).output().unwrap();
            }
        });
        while !storm.is_finished() {
            is_well(home, "something that is still going on");
        }
    });
}

#[test]
fn killed_at_any_moment_the_store_is_whole() {
    let lab = need!(Lab::new());
    let images = three(&lab);
    let mut random = Random::new();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let (mut random, images) = (random.fork(), &images);
            scope.spawn(move || {
                let home = tempfile::tempdir().unwrap();
                let home = home.path();
                let begun = Instant::now();
                succeeds(home, &["pull", "-q", &images[0]]);
                let mut longest = u32::try_from(begun.elapsed().as_micros()).unwrap();
                let mut kills = 0;
                while kills < KILLS / WORKERS {
                    let after = Duration::from_micros(random.below(longest).into());
                    if killed(home, &mut random, images, after) {
                        kills += 1;
                    } else {
                        // Most commands are shorter, and machines differ.
                        longest = (longest - longest / 8).max(1000);
                    }
                    longest += longest / 50;
                }
                can_be_emptied(home);
            });
        }
    });
}

/// Runs and kills one command, checks, and pulls. Whether it had not ended by itself.
fn killed(home: &Path, random: &mut Random, images: &[String], after: Duration) -> bool {
    let args = some_command(random, images);
    let mut child = mvm(home, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let ended = child.try_wait().unwrap().is_some();
    let _ = child.kill();
    child.wait().unwrap();
    is_well(home, &format!("killing mvm {args:?}"));
    let image = images[random.below(images.len() as u32) as usize].as_str();
    succeeds(home, &["pull", "-q", image]);
    !ended
}

/// A file system that is filled to within some blocks.
struct SmallDisk(Home);

impl SmallDisk {
    fn new() -> Result<Self, String> {
        Home::on_tmpfs(8 << 20).map(Self)
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    /// Leaves so many blocks of 4 KiB.
    fn leave(&self, blocks: u64) {
        self.free();
        let mut file = fs::File::create(self.filler()).unwrap();
        // What it takes is written, not set: holes take nothing.
        let left = rustix::fs::statvfs(self.0.path()).unwrap().f_bavail;
        let fill = vec![0xaa; usize::try_from(left.saturating_sub(blocks) * 4096).unwrap()];
        std::io::Write::write_all(&mut file, &fill).unwrap();
    }

    fn free(&self) {
        let _ = fs::remove_file(self.filler());
    }
}

#[test]
fn a_disk_that_is_full_at_any_moment_is_survived() {
    let lab = need!(Lab::new());
    let images = three(&lab);
    let disk = need!(SmallDisk::new());
    let home = disk.0.path();
    let begun = Instant::now();
    succeeds(home, &["pull", "-q", &images[2]]);
    let mut failures = 0;
    // A pull writes the most; the others write an index.
    let pull = |blocks| (blocks, vec!["pull", "-q", images[0].as_str()]);
    let mut commands: Vec<(u64, Vec<&str>)> = (0..40).step_by(2).map(pull).collect();
    for blocks in 0..4 {
        commands.push((blocks, vec!["tag", &images[2], "mine:1"]));
        commands.push((blocks, vec!["rmi", "mine:1"]));
        commands.push((blocks, vec!["image", "prune", "-f"]));
        commands.push((blocks, vec!["image", "verify"]));
    }
    for (blocks, args) in commands {
        disk.leave(blocks);
        let output = mvm(home, &args).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{errors}");
        if !output.status.success() && !errors.contains("no such image") {
            failures += 1;
            assert!(errors.contains("is full: free some space"), "{blocks} {args:?}: {errors}");
        }
        disk.free();
        is_well(home, &format!("mvm {args:?} with {blocks} blocks"));
        if args[0] == "pull" {
            succeeds(home, &args);
            succeeds(home, &["rmi", &images[0]]);
        }
    }
    succeeds(home, &["tag", &images[2], "mine:1"]);
    eprintln!("{failures} commands met a full disk, in {:?}", begun.elapsed());
    assert!(failures > 12, "the disk was hardly ever full: {failures}");
    succeeds(home, &["rmi", "-f", &images[2], "mine:1"]);
    can_be_emptied(home);
}
