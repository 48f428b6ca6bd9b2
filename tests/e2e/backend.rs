// SPDX-License-Identifier: Apache-2.0
//! Who says which hypervisor runs a VM, and what is said when it cannot.

use std::fs;

use crate::support::Home;
use crate::{image, is_libkrun, need, ready, sh};

#[test]
fn the_flag_wins_over_the_environment_and_that_over_the_file() {
    let home = Home::new();
    let config = home.path().join("config/config.toml");
    let doctor = |arguments: &[&str], variable: &str| {
        let output = home.mvm(["doctor", "--format=json"]).args(arguments);
        output.env("MVM_BACKEND", variable).run().json()["findings"][0].clone()
    };
    let said = |finding: &serde_json::Value, words: &[&str]| {
        let detail = finding["detail"].as_str().unwrap_or_default();
        words.iter().all(|word| detail.contains(word))
    };
    let by_nobody = doctor(&[], "");
    assert!(said(&by_nobody, &["auto"]), "{by_nobody}");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "# mine\nbackend = \"qemu\"\n").unwrap();
    let by_file = doctor(&[], "");
    assert!(said(&by_file, &["qemu", "config.toml"]), "{by_file}");
    let by_flag = doctor(&["--backend", "qemu"], "libkrun");
    assert!(said(&by_flag, &["qemu", "--backend"]), "{by_flag}");

    fs::write(&config, "backend = \"vmware\"\n").unwrap();
    let failed = home.mvm(["doctor"]).env("MVM_BACKEND", "").run();
    failed.status(1).one_error("config.toml").stderr_has("hint:");
    // What is not asked is not read.
    home.mvm(["doctor", "--backend=auto"]).run().stderr_lacks("error:");
    home.mvm(["doctor"]).env("MVM_BACKEND", "vmware").run().status(1).one_error("MVM_BACKEND");
}

#[test]
fn libkrun_by_name_is_refused_where_it_cannot_run() {
    if is_libkrun() {
        crate::skip!("needs a host where libkrun cannot run");
    }
    let home = need!(ready());
    let refused = sh(&home, &["--backend", "libkrun"], "true").run();
    refused.fails_with("libkrun cannot run VMs on this host").stderr_has("--backend qemu");
    refused.stderr_lacks("note:");
    assert!(home.vms().is_empty());
    let output = home.mvm(["doctor", "--backend", "libkrun"]).run();
    output.status(1).stdout_has("FAIL  backend");
    // By the environment as by the flag.
    let busybox = image("busybox");
    home.mvm(["run", "--rm", &busybox, "true"])
        .env("MVM_BACKEND", "libkrun")
        .run()
        .fails_with("libkrun cannot run VMs on this host");
}
