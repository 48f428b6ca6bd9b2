// SPDX-License-Identifier: Apache-2.0
//! Finding the program of a command as Docker does (Go's exec.LookPath, run as
//! the user of the process), and saying why there is none in Docker's words.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mvm_proto::StartFailureKind;
use rustix::fs::{Access, AtFlags, CWD, FileType, Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::error::text;
use crate::users::Credentials;

/// Why a process could not be started, in terms of the exit code to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: StartFailureKind,
    pub message: String,
}

impl Refusal {
    pub fn new(kind: StartFailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The path of `name`, found in `path` if it has no slash. Relative paths are
/// those of `cwd`. Permissions are checked with the credentials in effect.
pub fn program(name: &[u8], path: Option<&[u8]>, cwd: &Path) -> Result<PathBuf, Refusal> {
    let shown = String::from_utf8_lossy(name);
    if name.contains(&b'/') {
        let candidate = cwd.join(OsStr::from_bytes(name));
        return executable(&candidate).map(|()| candidate).map_err(|(stat, errno)| {
            let errno_text = text(&errno.into());
            let why = if stat { format!("stat {shown}: {errno_text}") } else { errno_text };
            Refusal::new(kind_of(errno), format!("exec: \"{shown}\": {why}"))
        });
    }
    path.unwrap_or_default()
        .split(|b| *b == b':')
        .map(|directory| cwd.join(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name)))
        .find(|candidate| !name.is_empty() && executable(candidate).is_ok())
        .ok_or_else(|| {
            let message = format!("exec: \"{shown}\": executable file not found in $PATH");
            Refusal::new(StartFailureKind::NOT_FOUND, message)
        })
}

/// Why execve(2) refused a file that the lookup took.
pub fn explain(name: &[u8], program: &Path, errno: Errno) -> Refusal {
    let shown = String::from_utf8_lossy(name);
    if errno == Errno::NOENT
        && let Some(interpreter) = interpreter(program)
    {
        // The file is there: what is missing is what it names.
        let message = format!(
            "exec: \"{shown}\": its interpreter \"{}\": no such file or directory",
            String::from_utf8_lossy(&interpreter)
        );
        return Refusal::new(StartFailureKind::NOT_FOUND, message);
    }
    Refusal::new(kind_of(errno), format!("exec: \"{shown}\": {}", text(&errno.into())))
}

fn kind_of(errno: Errno) -> StartFailureKind {
    match errno {
        Errno::NOENT => StartFailureKind::NOT_FOUND,
        _ => StartFailureKind::NOT_EXECUTABLE,
    }
}

/// On failure, whether it was already the stat(2) that failed.
fn executable(path: &Path) -> Result<(), (bool, Errno)> {
    let stat = rustix::fs::stat(path).map_err(|e| (true, e))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err((false, Errno::ISDIR));
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // Root passes access(2) on what execve(2) refuses it.
        Ok(()) if stat.st_mode & 0o111 == 0 => Err((false, Errno::ACCESS)),
        Ok(()) => Ok(()),
        Err(e) => Err((false, e)),
    }
}

/// What a script's first line or an ELF file's PT_INTERP names.
fn interpreter(program: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    // The kernel reads 256 bytes of a script, and an ELF header with its
    // program headers is where linkers put it: at the start.
    File::open(program).ok()?.take(4096).read_to_end(&mut head).ok()?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|b| *b == b'\n').next()?.trim_ascii();
        return line.split(|b| b.is_ascii_whitespace()).next().map(<[u8]>::to_vec);
    }
    elf_interpreter(&head)
}

/// ELF64, little-endian: the machines that guests are.
fn elf_interpreter(head: &[u8]) -> Option<Vec<u8>> {
    const PT_INTERP: u64 = 3;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: usize, length: usize| {
        let bytes = head.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for n in 0..count {
        let entry = usize::try_from(table.checked_add(n * size)?).ok()?;
        if number(entry, 4)? == PT_INTERP {
            let start = usize::try_from(number(entry.checked_add(8)?, 8)?).ok()?;
            let name = head.get(start..)?.split(|b| *b == 0).next()?;
            return Some(name.to_vec());
        }
    }
    None
}

/// Runs `f` with the effective credentials of a user: what it may not reach,
/// `f` may not. This program has one thread, so nothing else is affected.
pub fn as_user<T>(who: &Credentials, f: impl FnOnce() -> T) -> io::Result<T> {
    set_effective(Uid::from_raw(who.uid), Gid::from_raw(who.gid), &gids(&who.groups))?;
    let result = f();
    set_effective(Uid::ROOT, Gid::ROOT, &[])?;
    Ok(result)
}

/// Real and saved IDs stay root's. The order is the one that root's rights
/// allow: to leave them, the user last; to regain them, the user first.
fn set_effective(uid: Uid, gid: Gid, groups: &[Gid]) -> io::Result<()> {
    if uid.is_root() {
        set_thread_res_uid(None, uid, None)?;
    }
    set_thread_groups(groups)?;
    set_thread_res_gid(None, gid, None)?;
    Ok(set_thread_res_uid(None, uid, None)?)
}

pub fn gids(groups: &[u32]) -> Vec<Gid> {
    groups.iter().map(|gid| Gid::from_raw(*gid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content, mode) in [
            ("a/plain", "text", 0o644),
            ("b/plain", "#!/bin/sh\n", 0o755),
            ("b/lost", "#! /no/such/shell -e\n", 0o755),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(root.path().join("a/directory")).unwrap();
        root
    }

    #[test]
    fn the_first_executable_of_the_path_is_taken() {
        let root = root();
        let path = format!("{0}/none:{0}/a:{0}/b", root.path().display());
        let found = program(b"plain", Some(path.as_bytes()), Path::new("/")).unwrap();
        assert_eq!(found, root.path().join("b/plain"));
        let found = program(b"plain", Some(b"a:b"), root.path()).unwrap();
        assert_eq!(found, root.path().join("b/plain"));
        for name in ["directory", "ghost", ""] {
            let refusal = program(name.as_bytes(), Some(path.as_bytes()), root.path());
            let message = format!("exec: \"{name}\": executable file not found in $PATH");
            assert_eq!(refusal, Err(Refusal::new(StartFailureKind::NOT_FOUND, message)));
        }
        assert!(program(b"plain", None, root.path()).is_err());
    }

    #[test]
    fn names_with_a_slash_say_what_is_wrong() {
        let root = root();
        let refuse = |name: &str| program(name.as_bytes(), None, root.path()).unwrap_err();
        assert_eq!(
            refuse("x/y"),
            Refusal::new(
                StartFailureKind::NOT_FOUND,
                "exec: \"x/y\": stat x/y: no such file or directory"
            )
        );
        let not_executable = |name: &str, why: &str| {
            let message = format!("exec: \"{name}\": {why}");
            assert_eq!(refuse(name), Refusal::new(StartFailureKind::NOT_EXECUTABLE, message));
        };
        not_executable("a/plain", "permission denied");
        not_executable("a/directory", "is a directory");
        not_executable("a/plain/x", "stat a/plain/x: not a directory");
        assert_eq!(program(b"./b/plain", None, root.path()), Ok(root.path().join("./b/plain")));
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let root = root();
        let lost = root.path().join("b/lost");
        let refusal = explain(b"lost", &lost, Errno::NOENT);
        assert_eq!(refusal.kind, StartFailureKind::NOT_FOUND);
        assert!(refusal.message.contains("\"/no/such/shell\""), "{}", refusal.message);
        let refusal = explain(b"lost", &lost, Errno::NOEXEC);
        assert_eq!(refusal.message, "exec: \"lost\": exec format error");
    }

    #[test]
    fn elf_files_name_their_loader_or_nothing() {
        let own = interpreter(Path::new("/proc/self/exe")).unwrap();
        assert!(own.starts_with(b"/lib"), "{}", String::from_utf8_lossy(&own));
        let mut hostile = b"\x7fELF\x02\x01".to_vec();
        hostile.resize(4096, 0xff);
        assert_eq!(elf_interpreter(&hostile), None);
        assert_eq!(elf_interpreter(b"\x7fELF\x02\x01"), None);
    }
}
