// SPDX-License-Identifier: Apache-2.0
//! Blobs that are not whole yet, under a name made of their digest: what a pull
//! that failed or died has got, the next one goes on with. The lock on the file
//! is the right to work on that blob; who wants it too waits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use tokio::sync::oneshot;

use super::ingest::Ingest;
use crate::image::digest::Digest;
use crate::image::error::{Error, IoContext, Result};
use crate::sys;

/// `ALGORITHM-HEX.partial`, in the ingest directory of the blobs.
pub const EXTENSION: &str = "partial";
/// A pull that was given up so long ago is not gone on with.
pub const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The right to work on a blob, and what there is of it. Dropped, the file stays
/// if there is something in it and nobody said it was bad.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    done: bool,
    bad: bool,
}

impl Partial {
    /// Claims the blob `digest`, as soon as nobody else works on it. May be
    /// dropped while it waits. The directory must be there.
    pub async fn claim(ingest: &Ingest, digest: &Digest) -> Result<Self> {
        let path = path_of(ingest, digest);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            sys::owner_only(&mut options);
            let file = options.open(&path).at("create", &path)?;
            let file = locked(file, &path).await?;
            // Whoever had it may have finished it, and given it another name.
            if is_at(&file, &path) {
                return Ok(Self { file, path, done: false, bad: false });
            }
        }
    }

    /// Removes what there is of a blob, unless somebody works on it.
    pub fn discard(ingest: &Ingest, digest: &Digest) {
        remove_stale(&path_of(ingest, digest), Duration::ZERO);
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// For messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are here already.
    pub fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().at("read", &self.path)?.len())
    }

    /// Keeps the first `length` bytes; the next write goes behind them.
    pub fn cut(&self, length: u64) -> Result<()> {
        self.file.set_len(length).at("write", &self.path)?;
        (&self.file).seek(SeekFrom::Start(length)).at("write", &self.path).map(drop)
    }

    /// What is in it is of no use to anybody.
    pub fn spoil(&mut self) {
        self.bad = true;
    }

    /// Syncs the file and gives it its final name. The right is kept until this
    /// is dropped.
    pub fn persist(&mut self, destination: &Path) -> Result<()> {
        self.file.sync_all().at("write", &self.path)?;
        fs::rename(&self.path, destination).at("create", destination)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let empty = || self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if !self.done && (self.bad || empty()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn path_of(ingest: &Ingest, digest: &Digest) -> PathBuf {
    let name = format!("{}-{}.{EXTENSION}", digest.algorithm().name(), digest.hex());
    ingest.directory().join(name)
}

/// Removes a partial blob that nobody works on and nobody touched for `age`;
/// whether it is gone. To be called by who collects garbage, too.
pub fn remove_stale(path: &Path, age: Duration) -> bool {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else { return false };
    let stale = |file: &File| {
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|when| when.elapsed().is_ok_and(|passed| passed >= age))
    };
    stale(&file)
        && FileExt::try_lock(&file).is_ok()
        && is_at(&file, path)
        && fs::remove_file(path).is_ok()
}

/// Whether the open file is the one that has the name.
fn is_at(file: &File, path: &Path) -> bool {
    let open = file.try_clone().and_then(same_file::Handle::from_file);
    match (open, same_file::Handle::from_path(path)) {
        (Ok(open), Ok(named)) => open == named,
        _ => false,
    }
}

/// Locks the file. Who waits does so on a thread of its own, which is left
/// behind if nobody wants the lock any more.
async fn locked(file: File, path: &Path) -> Result<File> {
    match FileExt::try_lock(&file) {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
    }
    tracing::info!("waiting for another pull of {}", path.display());
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("lock".into())
        .spawn(move || {
            let locked: io::Result<()> = FileExt::lock(&file);
            let _ = sender.send(locked.map(|()| file));
        })
        .at("lock", path)?;
    match receiver.await {
        Ok(locked) => locked.at("lock", path),
        Err(_) => Err(Error::Worker("the thread that waits for a lock".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(work)
    }

    fn ingest() -> (tempfile::TempDir, Ingest) {
        let home = tempfile::tempdir().unwrap();
        let ingest = Ingest::new(home.path().join("ingest"));
        ingest.prepare().unwrap();
        (home, ingest)
    }

    #[test]
    fn what_is_there_stays_for_the_next_and_what_is_bad_does_not() {
        let (_home, ingest) = ingest();
        let digest = Digest::of(b"x");
        let claim = || block_on(Partial::claim(&ingest, &digest)).unwrap();
        let empty = claim();
        let path = empty.path().to_owned();
        drop(empty);
        assert!(!path.exists());
        let half = claim();
        half.file().write_all(b"half").unwrap();
        drop(half);
        ingest.prepare().unwrap();
        let mut half = claim();
        assert_eq!(half.length().unwrap(), 4);
        half.cut(2).unwrap();
        half.file().write_all(b"!").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ha!");
        half.spoil();
        drop(half);
        assert!(!path.exists());
    }

    #[test]
    fn the_second_waits_for_the_first_and_does_not_get_its_finished_file() {
        let (home, ingest) = ingest();
        let digest = Digest::of(b"x");
        block_on(async {
            let mut first = Partial::claim(&ingest, &digest).await.unwrap();
            first.file().write_all(b"whole").unwrap();
            let waiting = Partial::claim(&ingest, &digest);
            let mut waiting = std::pin::pin!(waiting);
            let short = Duration::from_millis(50);
            assert!(tokio::time::timeout(short, &mut waiting).await.is_err());
            first.persist(&home.path().join("final")).unwrap();
            assert!(tokio::time::timeout(short, &mut waiting).await.is_err(), "still claimed");
            drop(first);
            let second = waiting.await.unwrap();
            assert_eq!(second.length().unwrap(), 0);
        });
        assert_eq!(fs::read(home.path().join("final")).unwrap(), b"whole");
    }

    #[test]
    fn only_old_ones_that_nobody_has_are_stale() {
        let (_home, ingest) = ingest();
        let claimed = block_on(Partial::claim(&ingest, &Digest::of(b"x"))).unwrap();
        claimed.file().write_all(b"x").unwrap();
        let path = claimed.path().to_owned();
        assert!(!remove_stale(&path, Duration::ZERO));
        drop(claimed);
        assert!(!remove_stale(&path, Duration::from_secs(60)));
        assert!(remove_stale(&path, Duration::ZERO) && !path.exists());
    }
}
