// SPDX-License-Identifier: Apache-2.0
//! Makes the initramfs that mvm carries. `MVM_INIT_PATH` names an mvm-init
//! that is built already; without it, it is built here, for Linux on the
//! machine that mvm is for, in a target directory of its own that every
//! profile and every tool shares.

#[path = "guest/initramfs.rs"]
mod initramfs;

use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

const INIT_PATH: &str = "MVM_INIT_PATH";

/// What the initramfs is made from; not the guest's tests.
const INPUTS: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "files/Cargo.toml",
    "files/src",
    "guest/Cargo.toml",
    "guest/initramfs.rs",
    "guest/src",
    "proto/Cargo.toml",
    "proto/build.rs",
    "proto/protos",
    "proto/src",
];

fn main() {
    for input in INPUTS {
        println!("cargo:rerun-if-changed={input}");
    }
    println!("cargo:rerun-if-env-changed={INIT_PATH}");
    let init = match env::var_os(INIT_PATH) {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo:rerun-if-changed={}", path.display());
            path
        }
        None => build(),
    };
    let content = fs::read(&init)
        .unwrap_or_else(|e| fail(&format!("cannot read mvm-init at {}: {e}", init.display())));
    let archive = initramfs::pack(&content);
    let digest: String = Sha256::digest(&archive).iter().map(|b| format!("{b:02x}")).collect();
    let path = Path::new(&variable("OUT_DIR")).join("initramfs");
    fs::write(&path, archive)
        .unwrap_or_else(|e| fail(&format!("cannot write {}: {e}", path.display())));
    println!("cargo:rustc-env=MVM_INITRAMFS_DIGEST={digest}");
}

fn build() -> PathBuf {
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let workspace = variable("CARGO_MANIFEST_DIR");
    initramfs::build_init(Path::new(&workspace), &target_dir(), &arch).unwrap_or_else(|e| {
        fail(&format!(
            "{e}\nmvm-init, the guest's first program, could not be built for Linux here; \
             build it where that works and name it in {INIT_PATH}"
        ))
    })
}

/// `guest` in cargo's target directory: OUT_DIR is
/// TARGET_DIR[/TRIPLE]/PROFILE/build/PACKAGE/out.
fn target_dir() -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    let above = out.ancestors().nth(4).unwrap_or(&out);
    let target_dir = match above.file_name() {
        Some(name) if name == variable("TARGET").as_str() => above.parent().unwrap_or(above),
        _ => above,
    };
    target_dir.join("guest")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| fail(&format!("{name}: {e}")))
}

/// Cargo shows what a build script wrote to stderr when it fails.
fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(1)
}
