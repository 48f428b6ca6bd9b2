// SPDX-License-Identifier: Apache-2.0
//! `mvm pull` by itself, in a home that knows nothing of this machine's settings.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A home whose `config.toml` says `text`.
pub fn home(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("config")).unwrap();
    fs::write(home.path().join("config/config.toml"), text).unwrap();
    home
}

/// `mvm pull`, with variables set; its status and stderr.
pub fn pull(home: &Path, name: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(["pull", "-q", name])
        .env("MVM_HOME", home)
        .env("DOCKER_CONFIG", home)
        .env("XDG_CONFIG_HOME", home.join("xdg"))
        .env_remove("CONTAINERS_REGISTRIES_CONF")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
pub fn pulls(home: &Path, name: &str, variables: &[(&str, &str)]) {
    assert_eq!(pull(home, name, variables), (0, String::new()));
}
