// SPDX-License-Identifier: Apache-2.0
//! Lookup and format checks, on kernels of a few hundred bytes.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::check;
use super::*;

/// An ELF file with one PT_LOAD, one PT_NOTE and a section table of one entry.
fn elf(machine: u16, note: &[u8]) -> Vec<u8> {
    let (phoff, notes_at) = (64u64, 64 + 2 * 56u64);
    let sections_at = notes_at + note.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes()); // ET_EXEC
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(0x100_0000u64.to_le_bytes()); // e_entry
    file.extend(phoff.to_le_bytes());
    file.extend(sections_at.to_le_bytes());
    file.extend(0u32.to_le_bytes());
    for field in [64u16, 56, 2, 64, 1, 0] {
        file.extend(field.to_le_bytes());
    }
    for (kind, offset, length) in [(1u32, 0, notes_at), (4, notes_at, note.len() as u64)] {
        file.extend(kind.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        for field in [offset, 0, 0, length, length, 4] {
            file.extend(field.to_le_bytes());
        }
    }
    file.extend(note);
    file.extend([0; 64]);
    file
}

fn note(kind: u32, name: &[u8], descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [name.len() as u32, descriptor.len() as u32, kind] {
        bytes.extend(field.to_le_bytes());
    }
    for part in [name, descriptor] {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// The smallest file that passes for a kernel of this host.
pub(crate) fn smallest() -> Vec<u8> {
    match Arch::HOST {
        Arch::X86_64 => vmlinux(),
        Arch::Aarch64 => image(),
    }
}

fn vmlinux() -> Vec<u8> {
    let mut notes = note(6, b"Xen\0", b"linux");
    notes.extend(note(18, b"Xen\0", &[0; 8]));
    elf(62, &notes)
}

fn image() -> Vec<u8> {
    let mut file = b"MZ".to_vec();
    file.resize(0x38, 0);
    file.extend(b"ARM\x64");
    file.resize(4096, 0);
    file
}

fn bz_image() -> Vec<u8> {
    let mut file = b"MZ".to_vec();
    file.resize(0x1fe, 0);
    file.extend([0x55, 0xaa, 0xeb, 0x66]);
    file.extend(b"HdrS");
    file
}

fn refuse(file: &[u8], arch: Arch) -> String {
    let problem = check(&mut Cursor::new(file), arch).expect_err("is refused");
    let error = problem.at(Path::new("k"), arch);
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

#[test]
fn right_formats_pass() {
    check(&mut Cursor::new(vmlinux()), Arch::X86_64).unwrap();
    check(&mut Cursor::new(image()), Arch::Aarch64).unwrap();
}

#[test]
fn wrong_formats_say_what_they_are() {
    for (file, says) in [
        (bz_image(), "is a bzImage, not an uncompressed ELF vmlinux"),
        (image(), "is for aarch64, and this host is x86_64"),
        (elf(183, &[]), "is for aarch64, and this host is x86_64"),
        (elf(3, &[]), "is for i386, and this host is x86_64"),
        (elf(62, &[]), "has no PVH entry point"),
        (elf(62, &note(18, b"GNU\0", &[0; 8])), "has no PVH entry point"),
        (b"\x1f\x8b\x08rest".to_vec(), "is compressed with gzip"),
        (b"\xfd7zXZ\0".to_vec(), "is compressed with xz"),
        (b"#!/bin/sh\n".to_vec(), "is of an unknown format"),
        (Vec::new(), "is truncated: it is empty"),
    ] {
        let error = refuse(&file, Arch::X86_64);
        assert!(error.contains(says), "{error}");
    }
    for (file, says) in [
        (vmlinux(), "is for x86_64, and this host is aarch64"),
        (bz_image(), "is for x86_64, and this host is aarch64"),
        (elf(183, &[]), "is an ELF file, not an uncompressed Image"),
    ] {
        let error = refuse(&file, Arch::Aarch64);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let whole = vmlinux();
    for length in 4..whole.len() {
        let error = refuse(&whole[..length], Arch::X86_64);
        assert!(error.contains("is truncated: "), "{length}: {error}");
    }
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let whole = vmlinux();
    for at in 4..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut file = whole.clone();
            file[at] = value;
            let _ = check(&mut Cursor::new(file), Arch::X86_64);
        }
    }
    // Offsets that overflow when added to a length.
    let mut file = whole;
    file[64 + 8..64 + 16].fill(0xff);
    assert!(refuse(&file, Arch::X86_64).contains("is truncated"));
}

struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vmlinux()).unwrap();
        path
    }

    fn find(&self, flag: Option<&Path>, env: Option<&Path>) -> Result<GuestKernel, KernelError> {
        let search = Search {
            flag,
            environment: env,
            data: &self.path("data"),
            bundles: Place::beside(&self.path("bin/mvm")),
            builds: vec![self.path("cache/kernel")],
            packaged: vec![self.path("share/mvm"), self.path("lib/mvm")],
            arch: Arch::X86_64,
        };
        find(&search, &mut None)
    }

    fn source(&self, flag: Option<&Path>, env: Option<&Path>) -> Source {
        self.find(flag, env).unwrap().source
    }
}

#[test]
fn the_first_place_wins() {
    let host = Host::new();
    let none = host.find(None, None).unwrap_err();
    assert_eq!(none.to_string(), "there is no guest kernel");
    let hint = none.hint().unwrap();
    assert!(hint.contains("just kernel") && hint.contains("MVM_KERNEL"), "{hint}");
    assert!(hint.contains("cache/kernel/*/vmlinux") && hint.contains("lib/mvm"), "{hint}");

    host.put("lib/mvm/vmlinux");
    assert_eq!(host.source(None, None), Source::Packaged);
    host.put("cache/kernel/0123/vmlinux");
    assert_eq!(host.source(None, None), Source::Built);
    let manifest = host.path("share/mvm/bundle.json");
    let bundled = host.put("share/mvm/vmlinux");
    fs::write(&manifest, bundle::tests::manifest("share/mvm/vmlinux", &vmlinux())).unwrap();
    assert_eq!(host.source(None, None), Source::Bundled);
    fs::write(&bundled, bz_image()).unwrap();
    let error = host.find(None, None).unwrap_err();
    assert!(matches!(error, KernelError::Bundle(_)) && error.hint().is_some(), "{error}");
    fs::write(&manifest, bundle::tests::manifest("share/mvm/vmlinux", &bz_image())).unwrap();
    let error = host.find(None, None).unwrap_err();
    assert!(matches!(error, KernelError::Format { .. }), "{error}");
    host.put("data/kernel/vmlinux");
    assert_eq!(host.source(None, None), Source::Data);
    let env = host.put("env");
    assert_eq!(host.source(None, Some(&env)), Source::Environment);
    let flag = host.put("flag");
    let found = host.find(Some(&flag), Some(&env)).unwrap();
    assert_eq!((found.source, found.path), (Source::Flag, flag));
}

#[test]
fn the_newest_build_wins() {
    let host = Host::new();
    fs::create_dir_all(host.path("cache/kernel/half")).unwrap();
    for (key, age) in [("a", 300), ("c", 100), ("b", 200)] {
        let path = host.put(&format!("cache/kernel/{key}/vmlinux"));
        let time = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    let found = host.find(None, None).unwrap();
    assert_eq!(found.path, host.path("cache/kernel/c/vmlinux"));
}

#[test]
fn what_is_named_is_not_passed_over() {
    let host = Host::new();
    host.put("data/kernel/vmlinux");
    let absent = host.path("absent");
    let error = host.find(Some(&absent), None).unwrap_err();
    assert!(error.to_string().ends_with("absent, which --kernel names"), "{error}");
    let error = host.find(None, Some(&absent)).unwrap_err();
    assert!(error.to_string().ends_with("absent, which MVM_KERNEL names"), "{error}");
    let error = host.find(Some(host.dir.path()), None).unwrap_err();
    assert!(error.to_string().ends_with("not a regular file"), "{error}");
    fs::write(host.path("data/kernel/vmlinux"), bz_image()).unwrap();
    let error = host.find(None, None).unwrap_err();
    assert!(matches!(error, KernelError::Format { .. }), "{error}");
}
