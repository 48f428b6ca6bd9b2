// SPDX-License-Identifier: Apache-2.0
//! Files on their way into the store. One is written under a random name, with
//! a lock on it for as long as its writer lives, and takes its final name only
//! when it is whole and synced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};

use super::partial;
use crate::image::error::{IoContext, Result};
use crate::sys;

/// Beside the unfinished files: held shared while a file has no lock of its own
/// yet or no more, exclusively by who looks for dead ones.
const GATE: &str = "gate.lock";

/// A directory of unfinished files, in the file system of their destination.
#[derive(Clone, Debug)]
pub struct Ingest {
    directory: PathBuf,
}

/// An unfinished file; dropped, it is removed.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    path: PathBuf,
    ingest: Ingest,
    done: bool,
}

impl Ingest {
    /// Uses `directory`, which is made when it is needed.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Makes the directory and removes what dead processes left in it. A file
    /// whose writer lives is locked, whatever its process number.
    pub fn prepare(&self) -> Result<()> {
        sys::create_private_dir_all(&self.directory).at("create", &self.directory)?;
        for path in self.dead()?.unwrap_or_default() {
            let extension = path.extension().unwrap_or_default();
            if extension == "part" {
                tracing::debug!(path = %path.display(), "removing what a dead process left");
                // Another cleaner may have been faster.
                let _ = fs::remove_file(&path);
            } else if extension == partial::EXTENSION {
                partial::remove_stale(&path, partial::MAX_AGE);
            }
        }
        Ok(())
    }

    /// Unfinished files that nobody writes to; `None` while somebody starts or
    /// ends one, since it has no lock of its own then.
    pub fn dead(&self) -> Result<Option<Vec<PathBuf>>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
            Err(error) => return Err(error).at("read", &self.directory),
        };
        let gate = self.gate()?;
        match FileExt::try_lock(&gate) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).at("lock", &self.directory.join(GATE));
            }
        }
        let mut dead = Vec::new();
        for entry in entries {
            let path = entry.at("read", &self.directory)?.path();
            if is_unfinished(&path) && is_dead(&path) {
                dead.push(path);
            }
        }
        Ok(Some(dead))
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a file, readable and writable by its owner only.
    pub fn create(&self) -> Result<Unfinished> {
        let gate = self.gate()?;
        FileExt::lock_shared(&gate).at("lock", &self.directory.join(GATE))?;
        let path = self.directory.join(format!("{:032x}.part", random()?));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        sys::owner_only(&mut options);
        let file = options.open(&path).at("create", &path)?;
        let unfinished = Unfinished { file, path, ingest: self.clone(), done: false };
        FileExt::lock(&unfinished.file).at("lock", &unfinished.path)?;
        Ok(unfinished)
    }

    /// Opens the gate, in a directory that is made if it is missing.
    fn gate(&self) -> Result<File> {
        let path = self.directory.join(GATE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        sys::owner_only(&mut options);
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                sys::create_private_dir_all(&self.directory).at("create", &self.directory)?;
                options.open(&path).at("open", &path)
            }
            other => other.at("open", &path),
        }
    }
}

impl Unfinished {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the file and gives it its final name, replacing what has it. The
    /// caller syncs the directory, once for many files.
    pub fn persist(mut self, destination: &Path) -> Result<()> {
        self.file.sync_all().at("write", &self.path)?;
        // A lock on the final file would keep readers out on Windows; with the
        // gate held nobody takes the unlocked one for dead.
        let gate = self.ingest.gate()?;
        FileExt::lock_shared(&gate).at("lock", &self.ingest.directory.join(GATE))?;
        FileExt::unlock(&self.file).at("unlock", &self.path)?;
        fs::rename(&self.path, destination).at("create", destination)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a file here is one of ours: a temporary one, or a part of a blob that
/// has the blob's digest in its name.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
    name.ends_with(".part") || digits.is_some_and(|digits| digits >= 64)
}

fn is_dead(path: &Path) -> bool {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => FileExt::try_lock(&file).is_ok(),
        Err(_) => false,
    }
}

fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(error.to_string()))
        .at("read", Path::new("the random number generator"))?;
    Ok(u128::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let ingest = Ingest::new(home.path().join("ingest"));
        ingest.prepare().unwrap();
        let dropped = ingest.create().unwrap();
        dropped.file().write_all(b"half").unwrap();
        drop(dropped);
        let kept = ingest.create().unwrap();
        kept.file().write_all(b"whole").unwrap();
        kept.persist(&home.path().join("final")).unwrap();
        assert_eq!(fs::read(home.path().join("final")).unwrap(), b"whole");
        assert_eq!(names(&home.path().join("ingest")), [GATE]);
    }

    #[test]
    fn the_dead_are_removed_and_the_living_are_not() {
        let home = tempfile::tempdir().unwrap();
        let ingest = Ingest::new(home.path().to_owned());
        ingest.prepare().unwrap();
        let living = ingest.create().unwrap();
        fs::write(home.path().join("0123.part"), b"left by kill -9").unwrap();
        fs::write(home.path().join("notes.txt"), b"not ours").unwrap();
        ingest.prepare().unwrap();
        let living_name = living.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = [GATE.to_owned(), living_name, "notes.txt".to_owned()];
        expected.sort();
        assert_eq!(names(home.path()), expected);
        living.persist(&home.path().join("final")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let ingest = Ingest::new(home.path().join("a/b"));
        ingest.prepare().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.path().join("a/b")), 0o700);
        assert_eq!(mode(ingest.create().unwrap().path()), 0o600);
    }
}
