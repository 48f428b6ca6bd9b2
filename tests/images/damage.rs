// SPDX-License-Identifier: Apache-2.0
//! Damage of every part is found, named, and repaired.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::{Lab, need};

/// Where the parts of an image are.
struct Parts {
    manifest: PathBuf,
    config: PathBuf,
    blob: PathBuf,
    disk: PathBuf,
    facts: PathBuf,
}

impl Parts {
    fn of(lab: &Lab, name: &str) -> Self {
        let inspected = lab.inspect(name);
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            lab.data().join("blobs/blobs/sha256").join(digest)
        };
        let disk = PathBuf::from(inspected["Mvm"]["Layers"][0]["DiskImage"].as_str().unwrap());
        Self {
            manifest: blob(&inspected["Descriptor"]["digest"]),
            config: blob(&inspected["Id"]),
            blob: blob(&inspected["Mvm"]["Layers"][0]["Blob"]),
            facts: disk.with_extension("json"),
            disk,
        }
    }
}

/// Changes one byte in the middle.
fn flip(path: &PathBuf) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &PathBuf) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn remove(path: &PathBuf) {
    fs::remove_file(path).unwrap();
}

#[test]
fn each_part_is_named_repaired_and_fetched() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "a text that compresses")]);
    let other = lab.pulled("other:1", 1, &[("/etc/other", "another text")]);
    let ok = format!("{name}: ok\n{other}: ok\n");
    lab.mvm(&["image", "verify"]).status(0).stdout(&ok);
    lab.mvm(&["image", "verify", "all"]).status(0).stdout(&ok);
    lab.mvm(&["image", "verify", &other]).status(0).stdout(format!("{other}: ok\n"));
    let parts = Parts::of(&lab, &name);
    // What is made anew from the blob needs no registry.
    for (part, path, fetched) in [
        ("manifest", &parts.manifest, true),
        ("configuration", &parts.config, true),
        ("blob", &parts.blob, true),
        ("disk image", &parts.disk, false),
        ("disk image", &parts.facts, false),
    ] {
        for damage in [flip, cut, remove] {
            let good = fs::read(path).unwrap();
            damage(path);
            let found = lab.mvm(&["image", "verify"]);
            found.status(1).stdout_has(&format!("{name}: 1 part is wrong\n{other}: ok\n{part} "));
            found.stdout_has(&format!("hint: mvm pull {name}\n"));
            lab.mvm(&["system", "check"]).status(1).stdout_has("something is wrong\n");
            lab.mvm(&["image", "verify", &other]).status(0);
            let repaired = lab.mvm(&["image", "verify", "--repair", &name]);
            match fetched {
                false => drop(repaired.status(0).stdout_has("; it was made anew\n")),
                true => {
                    repaired.status(1).stdout_has(&format!("hint: mvm pull {name}\n"));
                    assert!(!path.exists());
                    lab.mvm(&["pull", "-q", &name]).status(0);
                }
            }
            assert_eq!(fs::read(path).unwrap(), good, "{part}");
            lab.is_well();
        }
    }
}

#[test]
fn what_no_registry_gave_is_to_be_loaded_again() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let archive = lab.home.path().join("saved.tar");
    let archive = archive.to_str().unwrap();
    lab.mvm(&["tag", &name, "mine:1"]).status(0);
    lab.mvm(&["save", "-o", archive, "mine:1"]).status(0);
    lab.mvm(&["rmi", "mine:1", &name]).status(0);
    lab.mvm(&["load", "-q", "-i", archive]).status(0).stdout("Loaded image: mine:1\n");
    remove(&Parts::of(&lab, "mine:1").blob);
    lab.mvm(&["image", "verify"]).status(1).stdout_has("hint: load mine:1 again\n");
    lab.mvm(&["load", "-q", "-i", archive]).status(0);
    lab.is_well();
    flip(&Parts::of(&lab, "mine:1").config);
    let repaired = lab.mvm(&["image", "verify", "--repair"]);
    repaired.status(1).stdout_has("; it was removed\nhint: load mine:1 again\n");
    lab.mvm(&["load", "-q", "-i", archive]).status(0);
    lab.is_well();
}

#[test]
fn a_json_report_names_digests() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "a text that compresses")]);
    let parts = Parts::of(&lab, &name);
    flip(&parts.disk);
    let found = lab.mvm(&["image", "verify", "--format", "json"]).status(1).json();
    let flaw = &found["flaws"][0];
    assert_eq!((&flaw["part"], &flaw["state"]), (&"disk-image".into(), &"damaged".into()));
    let hex = parts.disk.file_stem().unwrap().to_str().unwrap();
    assert_eq!(flaw["digest"], format!("sha256:{hex}"));
    assert_eq!(flaw["images"][0], name);
    let checked = lab.mvm(&["system", "check", "--format", "json"]).status(1).json();
    assert_eq!(checked["ok"], false);
    assert_eq!(checked["images"]["flaws"][0]["digest"], flaw["digest"]);
    lab.mvm(&["image", "verify", "none"]).status(1).one_error("no such image");
}

#[test]
fn nothing_is_collected_beside_a_damaged_manifest() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let other = lab.pulled("other:1", 1, &[("/etc/other", "2")]);
    let parts = Parts::of(&lab, &name);
    flip(&parts.manifest);
    let output = lab.mvm(&["rmi", &other]);
    output.status(0).stderr_has("warning: no images are removed").stderr_has("mvm pull");
    assert!(parts.disk.exists() && parts.blob.exists());
    // The damaged one can go, and then all of it goes.
    lab.mvm(&["rmi", &name]).status(0).stdout_has("Deleted: ");
    lab.mvm(&["image", "prune", "-f"]).status(0);
    assert!(!parts.disk.exists() && !parts.blob.exists());
    assert!(crate::files(&lab.layers()).is_empty());
    lab.is_well();
}

#[test]
fn an_index_that_is_none_is_said_to_be() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    fs::write(lab.data().join("blobs/index.json"), "{").unwrap();
    lab.mvm(&["system", "check"]).status(1).stdout_has("index.json");
    lab.mvm(&["images"]).status(1).one_error("cannot use the image store");
    lab.mvm(&["rmi", &name]).status(1).one_error("cannot use the image store");
    let output = lab.mvm(&["image", "prune", "-f"]);
    output.status(1).stderr_has("index.json");
    assert!(!crate::files(&lab.layers()).is_empty(), "nothing is lost");
}
