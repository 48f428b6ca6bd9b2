// SPDX-License-Identifier: Apache-2.0
//! What tests are made of: images, the guest kernel, and guests that misbehave.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::is_libkrun;

/// The images that `scripts/fixtures` made.
#[derive(Clone, Debug)]
pub struct Fixtures(PathBuf);

impl Fixtures {
    pub fn find() -> Result<Self, String> {
        let directory = match env::var_os("MVM_FIXTURES") {
            Some(directory) => PathBuf::from(directory),
            None => printed_path("scripts/fixtures")?,
        };
        if !directory.join("registry/.complete").exists() {
            return Err("the test images are not made: scripts/fixtures".into());
        }
        for tool in ["docker-registry", "setpriv"] {
            if which(tool).is_none() {
                return Err(format!("{tool} is not installed: scripts/setup test"));
            }
        }
        Ok(Self(directory))
    }

    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Storage of a docker-registry. Shared: never write to it.
    pub fn storage(&self) -> PathBuf {
        self.0.join("registry")
    }

    /// The storage again, of links: to spoil a file, remove it and write
    /// another.
    pub fn link_storage(&self, to: &Path) -> PathBuf {
        let copy = to.join("registry");
        let done = Command::new("cp").arg("-rl").arg(self.storage()).arg(&copy).status();
        assert!(done.expect("run cp").success(), "cannot link the images");
        copy
    }
}

/// The guest kernel, if it was built.
pub fn kernel() -> Result<&'static Path, String> {
    static KERNEL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    KERNEL
        .get_or_init(|| {
            let path = match env::var_os("MVM_KERNEL") {
                Some(path) => PathBuf::from(path),
                None => printed_path("kernel/build")?,
            };
            if !path.is_file() {
                return Err("the guest kernel is not built: kernel/build".into());
            }
            if !is_libkrun() && which("qemu-system-x86_64").is_none() {
                return Err("QEMU is not installed: scripts/setup run".into());
            }
            Ok(path)
        })
        .as_deref()
        .map_err(Clone::clone)
}

fn printed_path(script: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&script)
        .arg("--print-path")
        .output()
        .map_err(|e| format!("cannot run {}: {e}", script.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} failed: {}", script.display(), words.trim().replace('\n', " ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(PathBuf::from(text.lines().last().unwrap_or_default()))
}

pub fn which(tool: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(tool))
        .find(|candidate| candidate.is_file())
}

/// A kernel of a few instructions: an ELF file with the note by which a PVH
/// loader finds its 32-bit entry.
pub fn tiny_kernel(path: &Path, code: &[u8]) {
    const BASE: u32 = 0x10_0000;
    const HEADERS: u32 = 64 + 2 * 56;
    const NOTE: u32 = 20;
    let entry = BASE + HEADERS + NOTE;
    let mut elf = Vec::new();
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    for half in [2u16, 62] {
        elf.extend(half.to_le_bytes()); // an executable, x86-64
    }
    elf.extend(1u32.to_le_bytes());
    for wide in [u64::from(entry), 64, 0] {
        elf.extend(wide.to_le_bytes()); // entry, program headers, no sections
    }
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let size = HEADERS + NOTE + u32::try_from(code.len()).expect("a small kernel");
    // PT_LOAD of the whole file, PT_NOTE within it.
    for (kind, flags, offset, length) in [(1u32, 7u32, 0, size), (4, 4, HEADERS, NOTE)] {
        elf.extend(kind.to_le_bytes());
        elf.extend(flags.to_le_bytes());
        let address = BASE + offset;
        for wide in [offset, address, address, length, length, 4] {
            elf.extend(u64::from(wide).to_le_bytes());
        }
    }
    // XEN_ELFNOTE_PHYS32_ENTRY.
    for word in [4u32, 4, 18] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(b"Xen\0");
    elf.extend(entry.to_le_bytes());
    elf.extend(code);
    fs::write(path, elf).expect("write a kernel");
}

/// An initramfs whose init is this script, run by a busybox.
pub fn initramfs(path: &Path, script: &str) -> Result<(), String> {
    let busybox = which("busybox").ok_or("busybox is not installed: scripts/setup test")?;
    let root = tempfile::tempdir().expect("a temporary directory");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir(root.path().join(directory)).expect("make a directory");
    }
    fs::copy(&busybox, root.path().join("bin/busybox")).expect("copy busybox");
    let init = root.path().join("init");
    fs::write(&init, format!("#!/bin/busybox sh\n{script}\n")).expect("write init");
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("make init executable");
    let archive = fs::File::create(path).expect("create the initramfs");
    let done = Command::new("sh")
        .args(["-c", "find . | \"$0\" cpio -o -H newc"])
        .arg(&busybox)
        .current_dir(root.path())
        .stdout(archive)
        .stderr(Stdio::null())
        .status()
        .expect("run cpio");
    assert!(done.success(), "cpio failed");
    Ok(())
}
