// SPDX-License-Identifier: Apache-2.0
//! Archives and layouts that are damaged or lie: each is refused with a reason,
//! and nothing of it is recorded or left unfinished.

#[allow(dead_code)]
#[path = "support/archive.rs"]
mod archive;
#[allow(dead_code)]
#[path = "support/plain.rs"]
mod plain;

use std::io::Write;
use std::process::Command;

use archive::{Files, Tar, blob_name, config, layer};
use plain::Home;
use serde_json::{Value, json};
use tar::EntryType;

fn layers() -> Vec<Vec<u8>> {
    // The second is too large to stay in memory.
    vec![layer("one", b"1"), layer("two", &[7; 600 << 10])]
}

/// Loads it in a new home, where it must leave nothing.
#[track_caller]
fn refused(archive: &[u8], words: &str) {
    let home = Home::new();
    home.feed(["load"], archive).refused(words);
    assert!(home.images().is_empty());
    home.verify();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_good_ones_are_good() {
    for files in [Files::oci("a:1", &layers()), Files::docker("a:1", &layers())] {
        let home = Home::new();
        assert_eq!(home.feed(["load"], &files.tar().finish()).ok(), "Loaded image: a:1\n");
        home.verify();
    }
}

#[test]
fn bad_tars() {
    let good = Files::oci("a:1", &layers()).tar();
    let whole = good.clone().finish();
    refused(b"", "is damaged: it is empty");
    refused(b"not a tar", "is damaged");
    refused(&[b'x'; 2048], "not a tar archive");
    refused(&whole[..whole.len() / 2], "the tar ends in the middle of");
    refused(&gzip(&whole)[..1000], "is damaged");
    let mut flipped = gzip(&whole);
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    refused(&flipped, "is damaged");
    refused(b"\xfd7zXZ\0\0\0\0\0", "is compressed with xz");
    refused(b"BZh91AY&SY", "is compressed with bzip2");
    for (name, kind, link, words) in [
        ("/etc/passwd", EntryType::Regular, "", "leads out of it"),
        ("a/../../b", EntryType::Regular, "", "leads out of it"),
        ("./index.json", EntryType::Regular, "", "two files \"index.json\""),
        ("out", EntryType::Symlink, "../../etc/passwd", "a link that leads out of it"),
        ("out", EntryType::Symlink, "/etc/passwd", "a link that leads out of it"),
        ("out", EntryType::Link, "/etc/passwd", "leads out of it"),
        ("pipe", EntryType::Fifo, "", "is a device or a pipe"),
        ("disk", EntryType::Block, "", "is a device or a pipe"),
        ("odd", EntryType::new(b'Z'), "", "type 'Z'"),
    ] {
        let mut tar = good.clone();
        tar.entry(name, kind, link, b"");
        refused(&tar.finish(), words);
    }
}

#[test]
fn no_archive_of_images() {
    refused(&layer("etc/passwd", b"root"), "is no archive of images");
    let home = Home::new();
    std::fs::write(home.path().join("oci"), Files::oci("a:1", &layers()).tar().finish()).unwrap();
    std::fs::write(home.path().join("docker"), Files::docker("a:1", &layers()).tar().finish())
        .unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let oci = home.mvm(["pull", &format!("docker-archive:{}", at("oci"))]);
    assert!(oci.refused("has no manifest.json").stderr.contains("oci-archive:"));
    let docker = home.mvm(["pull", &format!("oci-archive:{}", at("docker"))]);
    assert!(docker.refused("has no index.json").stderr.contains("docker-archive:"));
}

#[test]
fn too_many_entries() {
    let mut tar = Tar::default();
    for at in 0..100_001 {
        tar.entry(&format!("{at:x}/"), EntryType::Directory, "", b"");
    }
    refused(&gzip(&tar.finish()), "more than 100000 entries");
}

#[test]
fn layouts_that_lie() {
    let layers = layers();
    let good = Files::oci("a:1", &layers);
    let refuse = |words: &str, change: &dyn Fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        refused(&files.tar().finish(), words);
        // As a directory it is no better.
        let home = Home::new();
        let directory = home.path().join("layout");
        files.write(&directory);
        home.mvm(["pull", &format!("oci:{}", directory.display())]).refused(words);
        assert!(home.images().is_empty());
        home.verify();
    };
    let large = blob_name(&layers[1]);
    refuse("wrong digest", &|files| files.put(&large, &vec![8; layers[1].len()]));
    refuse("bytes, expected", &|files| files.put(&large, b"short"));
    refuse(&format!("has no {large}"), &|files| drop(files.0.remove(&large)));
    refuse("wrong digest", &|files| {
        let name = blob_name(&config(&layers));
        files.put(&name, &vec![b' '; files.0[&name].len()]);
    });
    let index = |change: &'static dyn Fn(&mut Value)| {
        move |files: &mut Files| files.edit("index.json", change)
    };
    refuse("index.json", &index(&|index| index["manifests"][0]["digest"] = json!("../../x")));
    refuse("index.json", &index(&|index| index["manifests"][0]["size"] = json!(-1)));
    refuse("larger than the limit", &index(&|i| i["manifests"][0]["size"] = json!(1u64 << 40)));
    refuse("has no image at all", &index(&|index| index["manifests"] = json!([])));
    refuse("schema version", &index(&|index| index["schemaVersion"] = json!(7)));
    refuse("larger than the limit", &|files| files.put("index.json", &vec![b' '; 5 << 20]));
    refuse("index.json: ", &|files| files.put("index.json", b"{"));
    refuse("version that is not 1", &|f| f.put("oci-layout", br#"{"imageLayoutVersion":"9"}"#));
}

#[test]
fn docker_archives_that_lie() {
    let layers = layers();
    let good = Files::docker("a:1", &layers);
    let refuse = |words: &str, change: &dyn Fn(&mut Files)| {
        let mut files = good.clone();
        change(&mut files);
        refused(&files.tar().finish(), words);
    };
    let edit = |change: &'static dyn Fn(&mut Value)| {
        move |files: &mut Files| files.edit("manifest.json", change)
    };
    refuse("manifest.json: ", &|files| files.put("manifest.json", b"[1]"));
    refuse("has no image at all", &|files| files.put("manifest.json", b"[]"));
    refuse("larger than the limit", &|files| files.put("manifest.json", &vec![b' '; 5 << 20]));
    refuse("has no nowhere", &edit(&|m| m[0]["Config"] = json!("nowhere")));
    refuse("leads out of it", &edit(&|m| m[0]["Config"] = json!("../../etc/passwd")));
    refuse("leads out of it", &edit(&|m| m[0]["Layers"][0] = json!("/dev/zero")));
    refuse("has no x/layer.tar", &edit(&|m| m[0]["Layers"][0] = json!("x/layer.tar")));
    refuse("the manifest has 1 layers", &edit(&|m| m[0]["Layers"] = json!(["layer0/layer.tar"])));
    refuse("the most is 127", &edit(&|m| m[0]["Layers"] = json!(vec!["layer0/layer.tar"; 128])));
    refuse("wrong diff ID", &|files| files.put("layer1/layer.tar", &layer("two", b"other")));
    refuse("wrong digest", &|files| {
        let name = files.0.keys().find(|name| name.ends_with(".json")).unwrap().clone();
        files.put(&name, &config(&[]));
    });
    let names: Vec<String> = (0..2001).map(|at| format!("a:{at}")).collect();
    let many = |files: &mut Files| {
        files.edit("manifest.json", |m| m[0]["RepoTags"] = json!(names));
    };
    refuse("more than 2000 names", &many);
    refuse("more than 1000 images", &edit(&|m| *m = json!(vec![m[0].clone(); 1001])));
    let looping = |link: &str| {
        let mut files = good.clone();
        files.0.remove("layer1/layer.tar");
        let mut tar = files.tar();
        tar.entry("layer1/layer.tar", EntryType::Symlink, link, b"");
        tar.finish()
    };
    refused(&looping("layer.tar"), "circles");
    refused(&looping("../nowhere"), "has no layer1/layer.tar");
}

/// Nobody ever writes to the pipe: opening it must not wait for that.
#[cfg(unix)]
#[test]
fn what_is_no_file_in_a_layout() {
    use std::os::unix::fs::symlink;
    let layers = layers();
    let large = blob_name(&layers[1]);
    for (name, target) in [
        (large.as_str(), "/dev/zero"),
        (large.as_str(), "pipe"),
        (large.as_str(), "."),
        ("index.json", "/dev/zero"),
        ("index.json", "pipe"),
    ] {
        let home = Home::new();
        let directory = home.path().join("layout");
        Files::oci("a:1", &layers).write(&directory);
        let pipe = home.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::fs::remove_file(directory.join(name)).unwrap();
        let target = if target == "pipe" { pipe.to_str().unwrap() } else { target };
        symlink(target, directory.join(name)).unwrap();
        let said = home.mvm(["pull", &format!("oci:{}", directory.display())]);
        said.refused("is no regular file");
        assert!(home.images().is_empty());
        home.verify();
    }
}

/// Somebody writes to the layout all the while: what is taken is right, or
/// nothing is.
#[test]
fn a_layout_that_changes() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let layers = layers();
    let home = Home::new();
    let directory = home.path().join("layout");
    Files::oci("a:1", &layers).write(&directory);
    let blob = directory.join(blob_name(&layers[1]));
    let stop = AtomicBool::new(false);
    let (good, mut bad) = (layers[1].clone(), layers[1].clone());
    bad[700..].fill(9);
    let (mut taken, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in 0.. {
                let bytes = [&good[..], &bad, &good[..5000]][at % 3];
                std::fs::write(&blob, bytes).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(at as u64 % 4));
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..20 {
            let home = Home::new();
            let ended = home.mvm(["pull", &format!("oci:{}", directory.display())]);
            home.verify();
            match ended.status {
                0 => taken += 1,
                _ => {
                    ended.refused("expected");
                    assert!(home.images().is_empty());
                    refused += 1;
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{taken} taken, {refused} refused");
    assert_eq!(taken + refused, 20);
}
