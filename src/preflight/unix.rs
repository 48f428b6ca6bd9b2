// SPDX-License-Identifier: Apache-2.0
//! Directories and owners, the same on Linux and macOS.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;

use super::checks::DirectoryFacts;
use super::error::DirectoryProblem;

/// Name of a program's file.
pub(super) fn executable_name(stem: &str) -> String {
    stem.to_owned()
}

/// Whether this is a file that some user may execute.
pub(super) fn is_executable(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.mode() & 0o111 != 0
}

/// Whether nobody but us (or root, who can do anything) wrote this file.
pub(super) fn is_ours(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| {
        metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
    })
}

/// What is at a directory's path; if nothing is, whether it could be made.
pub(super) fn directory_facts(path: &Path) -> DirectoryFacts {
    // A final symlink is followed on purpose: a home may well be one. Its
    // target's owner and mode are what count.
    match path.metadata() {
        Ok(metadata) => DirectoryFacts {
            exists: true,
            is_directory: metadata.is_dir(),
            writable: writable(path),
            ours: metadata.uid() == rustix::process::geteuid().as_raw(),
            mode: metadata.mode() & 0o7777,
        },
        Err(error) => DirectoryFacts {
            exists: false,
            is_directory: false,
            writable: match error.kind() {
                io::ErrorKind::NotFound => creatable(path),
                io::ErrorKind::NotADirectory => Err(DirectoryProblem::NotADirectory),
                io::ErrorKind::PermissionDenied => Err(DirectoryProblem::NotWritable),
                _ => Err(DirectoryProblem::Unreadable { why: error.to_string() }),
            },
            ours: false,
            mode: 0,
        },
    }
}

fn creatable(path: &Path) -> Result<(), DirectoryProblem> {
    let ancestor = super::existing_ancestor(path);
    if !ancestor.is_dir() {
        return Err(DirectoryProblem::NotADirectory);
    }
    writable(ancestor)
}

fn writable(path: &Path) -> Result<(), DirectoryProblem> {
    use rustix::io::Errno;
    match rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(Errno::ROFS) => Err(DirectoryProblem::ReadOnly),
        Err(Errno::ACCESS | Errno::PERM) => Err(DirectoryProblem::NotWritable),
        Err(error) => Err(DirectoryProblem::Unreadable { why: io::Error::from(error).to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn sees_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let facts = directory_facts(dir.path());
        assert!(facts.exists && facts.is_directory && facts.ours);
        assert_eq!(facts.mode, 0o750);
        assert_eq!(facts.writable, Ok(()));

        let absent = directory_facts(&dir.path().join("a/b/c"));
        assert!(!absent.exists);
        assert_eq!(absent.writable, Ok(()));

        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(!directory_facts(&file).is_directory);
        let under = directory_facts(&file.join("mvm"));
        assert_eq!(under.writable, Err(DirectoryProblem::NotADirectory));
    }

    #[test]
    fn refuses_what_cannot_be_written() {
        if rustix::process::geteuid().is_root() {
            return crate::skip::skip_because("needs an ordinary user: root may write everywhere");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let facts = directory_facts(&dir.path().join("mvm"));
        assert_eq!(facts.writable, Err(DirectoryProblem::NotWritable));
    }

    #[test]
    fn a_file_others_may_write_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(is_ours(&File::open(&path).unwrap()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!is_ours(&File::open(&path).unwrap()));
    }
}
