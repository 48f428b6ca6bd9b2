// SPDX-License-Identifier: Apache-2.0
//! What a VM uses stays. The VMs here are records without a machine, made by
//! the library, alive for as long as their lock is held.

use std::path::PathBuf;

use mvm::state::{Claim, Dirs, ImageRecord, Phase, Record, SCHEMA, VmStore, random_id};

use crate::{Lab, need};

pub fn vm(lab: &Lab, name: &str, image: &str) -> Claim {
    let inspected = lab.inspect(image);
    let layers = inspected["Mvm"]["Layers"].as_array().unwrap();
    let disk = |layer: &serde_json::Value| PathBuf::from(layer["DiskImage"].as_str().unwrap());
    let dirs = Dirs::under(lab.home.path());
    let record = Record {
        schema: SCHEMA,
        id: random_id().unwrap(),
        name: name.into(),
        created_ms: 1,
        image: ImageRecord {
            reference: image.into(),
            id: inspected["Id"].as_str().unwrap().into(),
            manifest_digest: String::new(),
            layers: layers.iter().map(disk).collect(),
        },
        command: vec!["true".into()],
        backend: "qemu".into(),
        user: String::new(),
        vcpus: 1,
        memory_mib: 64,
        network: "none".into(),
        auto_remove: false,
        labels: Default::default(),
        unlogged: false,
        has_disk: false,
        phase: Phase::Running,
        started_ms: None,
        exit: None,
        dirs: dirs.clone(),
        monitor_pid: None,
        other: serde_json::Map::new(),
    };
    VmStore::new(&dirs).create(record).unwrap()
}

#[test]
fn an_image_in_use_is_removed_by_force_and_its_layers_stay() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let claim = vm(&lab, "web", &name);
    let disk = claim.record.image.layers[0].clone();
    let df = |row: usize, what: &str| {
        let text = lab.mvm(&["system", "df", "--format", "json"]).status(0).stdout_text();
        let row: serde_json::Value = serde_json::from_str(text.lines().nth(row).unwrap()).unwrap();
        row[what].as_u64().unwrap()
    };
    assert_eq!((df(0, "total"), df(0, "active"), df(0, "reclaimable")), (1, 1, 0));
    lab.mvm(&["rmi", &name]).status(1).one_error("is in use by VM web").stderr_has("mvm rm web");
    lab.mvm(&["image", "prune", "-a", "-f"]).status(0).stdout("Total reclaimed space: 0B\n");
    assert_eq!(lab.listed().len(), 1);
    let output = lab.mvm(&["rmi", "-f", &name]);
    output.status(0).stdout_has("Deleted: sha256:");
    assert!(lab.listed().is_empty() && disk.exists());
    lab.mvm(&["system", "prune", "-a", "-f"]).status(0);
    assert!(disk.exists(), "the VM runs");
    lab.is_well();
    assert_eq!((df(1, "total"), df(1, "active"), df(0, "size")), (1, 1, 0));
    assert!(df(1, "size") >= disk.metadata().unwrap().len(), "it counts for the VM");

    // Its monitor dies: a prune takes the VM, and the layer with it.
    let id = claim.record.id.clone();
    drop(claim);
    let output = lab.home.mvm(["system", "prune"]).stdin("y\n").run();
    output.status(0).stdout_has(&format!("Deleted VMs:\n{id}\n"));
    assert!(!disk.exists());
    lab.is_well();
}

#[test]
fn a_record_that_nobody_understands_keeps_everything() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let claim = vm(&lab, "web", &name);
    let (record, disk) = (claim.directory().join("vm.json"), claim.record.image.layers[0].clone());
    let good = std::fs::read(&record).unwrap();
    std::fs::write(&record, "{").unwrap();
    lab.mvm(&["rmi", "-f", &name]).status(1).one_error("no record of a VM");
    lab.mvm(&["system", "check"]).status(1).stdout_has("no record of a VM");
    assert!(disk.exists());
    std::fs::write(&record, good).unwrap();
    std::fs::remove_file(&disk).unwrap();
    lab.mvm(&["system", "check"]).status(1).stdout_has("VM web needs ");
    claim.remove().unwrap();
}

#[test]
fn prune_removes_ended_vms_that_are_old_enough() {
    let lab = need!(Lab::new());
    lab.mvm(&["system", "prune", "--volumes"]).status(1).one_error("no named volumes");
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let running = vm(&lab, "runs", &name);
    let ended = vm(&lab, "ended", &name).record.id;
    lab.mvm(&["system", "prune", "-f", "--filter", "until=0"]).status(0);
    assert_eq!(lab.home.vms().len(), 2);
    let stray = lab.home.path().join("run/0123456789ab");
    std::fs::create_dir_all(&stray).unwrap();
    lab.mvm(&["system", "prune", "-f"]).status(0).stdout_has(&ended);
    assert_eq!(lab.home.vms(), std::slice::from_ref(&running.record.id));
    assert!(!stray.exists());
    assert_eq!(lab.listed().len(), 1, "it has a name");
    running.remove().unwrap();
}

/// While something is pulled or started, nothing is collected, and it is said.
#[test]
fn a_busy_store_is_left_alone() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let store = mvm::image::Store::open(&lab.data()).unwrap();
    let image = store.resolve(&name).unwrap();
    let output = lab.mvm(&["rmi", &name]);
    output.status(0).stdout_has("Deleted: sha256:").stderr_has("in use by another mvm");
    assert!(image.layers[0].path.exists());
    lab.is_well();
    drop(image);
    lab.mvm(&["image", "prune", "-f"]).status(0).stdout_has("deleted: sha256:");
    assert!(crate::files(&lab.data().join("blobs/blobs/sha256")).is_empty());
}
