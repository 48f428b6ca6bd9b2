// SPDX-License-Identifier: Apache-2.0
//! Builds mvm-init and packs the initramfs around it. Included by the build
//! script of mvm and by the boot test, which are the two that need one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The profile of the workspace for what runs in the guest.
const PROFILE: &str = "guest";

/// A fixed address saves relocating at each start; static, since the guest
/// has no other file.
const RUSTFLAGS: [&str; 2] = ["-Ctarget-feature=+crt-static", "-Crelocation-model=static"];

/// Variables that would make the guest's build the host's.
const INHERITED: [&str; 8] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_TARGET_DIR",
    "__CARGO_DEFAULT_LIB_METADATA",
    "MAKEFLAGS",
];

/// Of these, all that begin so: settings of cargo by environment, and what
/// cargo tells this build script about its own package.
const INHERITED_PREFIXES: [&str; 5] =
    ["CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_CFG_"];

/// Builds mvm-init of the workspace at `workspace` for Linux on `arch`, in
/// `target_dir`, and returns its path.
pub fn build_init(workspace: &Path, target_dir: &Path, arch: &str) -> Result<PathBuf, String> {
    let triple = format!("{arch}-unknown-linux-gnu");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .args(["build", "--package=mvm-init", "--bin=mvm-init", "--locked", "--profile", PROFILE])
        .args(["--target", &triple])
        .arg("--target-dir")
        .arg(target_dir)
        .arg("--manifest-path")
        .arg(workspace.join("Cargo.toml"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if INHERITED.contains(&text.as_ref())
            || INHERITED_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        {
            build.env_remove(&name);
        }
    }
    build.env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, target_dir).join("\u{1f}"));
    let output = build.output().map_err(|e| format!("run cargo: {e}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("building mvm-init for {triple}: {}\n{words}", output.status));
    }
    Ok(target_dir.join(triple).join(PROFILE).join("mvm-init"))
}

/// With the places of this machine named as on any other: what is built
/// elsewhere from the same source has the same bytes.
fn rustflags(workspace: &Path, target_dir: &Path) -> Vec<String> {
    let mut flags: Vec<String> = RUSTFLAGS.map(str::to_owned).into();
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let named = [
        (cargo_home.as_deref(), "cargo"),
        (Some(workspace), "mvm"),
        // Last, since it may be within the one before.
        (Some(target_dir), "target"),
    ];
    for (place, name) in named {
        if let Some(place) = place.and_then(Path::to_str) {
            flags.push(format!("--remap-path-prefix={place}={name}"));
        }
    }
    flags
}

/// The initramfs: init, the directories it mounts on, and the two devices
/// that must exist before it has mounted any. Not compressed: copying it
/// costs a boot less than unpacking. The same for the same init.
pub fn pack(init: &[u8]) -> Vec<u8> {
    const DIRECTORY: u32 = 0o040_755;
    let mut archive = Cpio::default();
    for directory in ["dev", "proc", "sys", "l", "u", "r"] {
        archive.add(directory, DIRECTORY, (0, 0), &[]);
    }
    // The kernel opens it for init's stdin, stdout and stderr.
    archive.add("dev/console", 0o020_600, (5, 1), &[]);
    // What Rust's runtime needs where there is no console.
    archive.add("dev/null", 0o020_666, (1, 3), &[]);
    archive.add("init", 0o100_755, (0, 0), init);
    archive.finish()
}

/// An archive in the format "newc" of cpio(5), the one that Linux reads.
#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    pub fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        let size = u32::try_from(content.len()).expect("an init below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        // Inode, mode, uid, gid, links, time, size, device of the file system,
        // device of the node, length of the name, checksum.
        let fields =
            [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").into_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
