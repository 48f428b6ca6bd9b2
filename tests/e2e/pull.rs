// SPDX-License-Identifier: Apache-2.0
//! Registries that are not there, refuse, or deliver something else; what is
//! pulled and listed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::need;
use crate::support::{Fixtures, Home, Registry, images, kernel};

#[test]
fn no_registry_and_no_image_are_told_apart() {
    need!(kernel());
    let registry = need!(images());
    let home = Home::new();
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("{closed}/busybox");
    home.mvm(["run", &nobody, "true"]).run().fails_with("connect");
    home.mvm(["pull", &nobody]).run().one_error("connect");
    for missing in ["busybox:nope", "no/such"] {
        home.mvm(["run", &registry.image(missing), "true"]).run().fails_with("not found");
    }
    home.mvm(["run", &registry.image("busybox@sha256:"), "true"]).run().fails_with("reference");
    assert!(home.vms().is_empty());
}

#[test]
fn a_login_that_is_asked_for_is_named() {
    need!(kernel());
    let fixtures = need!(Fixtures::find());
    let registry = Registry::with_login(&fixtures.storage());
    let home = Home::new();
    let image = registry.image("busybox");
    home.mvm(["run", &image, "true"]).run().fails_with("denied").stderr_has("log in");
}

#[test]
fn a_blob_of_another_digest_is_refused() {
    need!(kernel());
    let fixtures = need!(Fixtures::find());
    let home = Home::new();
    // Links stay within one file system.
    let spoiled = tempfile::tempdir_in(fixtures.directory()).unwrap();
    let storage = fixtures.link_storage(spoiled.path());
    let mut blobs = Vec::new();
    collect_blobs(&storage.join("docker/registry/v2/blobs"), &mut blobs);
    // Small layers, busybox among them.
    blobs.retain(|blob| (100..4 << 20).contains(&blob.metadata().unwrap().len()));
    for blob in blobs {
        let mut bytes = fs::read(&blob).unwrap();
        if bytes.starts_with(b"\x1f\x8b") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(&blob).unwrap();
            fs::write(&blob, bytes).unwrap();
        }
    }
    let registry = Registry::serve(&storage);
    home.mvm(["run", &registry.image("busybox"), "true"]).run().fails_with("digest");
    home.mvm(["images"]).run().status(0).stdout_lacks("busybox");
}

#[test]
fn a_pulled_image_is_listed_and_needs_no_registry() {
    need!(kernel());
    let registry = need!(images());
    let home = Home::new();
    let docker = registry.image("busybox:docker");
    home.mvm(["pull", &docker]).run().status(0);
    home.mvm(["images"]).run().status(0).stdout_has("busybox").stdout_has("docker");
    let digest = home.mvm(["images", "--format", "json"]).run().status(0).stdout_text();
    assert!(digest.contains("sha256:"), "{digest}");
    // What is stored is an OCI layout that other tools read.
    let layout = find_layout(home.path()).expect("an oci-layout file");
    assert!(layout.join("index.json").is_file() && layout.join("blobs/sha256").is_dir());
}

fn collect_blobs(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            collect_blobs(&entry.path(), into);
        } else {
            into.push(entry.path());
        }
    }
}

fn find_layout(directory: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(directory).ok()?.flatten().map(|e| e.path());
    if directory.join("oci-layout").is_file() {
        return Some(directory.to_owned());
    }
    entries.find_map(|path| path.is_dir().then(|| find_layout(&path)).flatten())
}
