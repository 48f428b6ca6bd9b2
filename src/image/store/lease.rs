// SPDX-License-Identifier: Apache-2.0
//! Who uses the store and who clears it up. A pull, and a run until its record
//! pins what it needs, hold a lease: a shared lock. The collector needs the same
//! lock alone, so it never takes what somebody is about to name.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs4::{FileExt, TryLockError};

use super::Store;
use crate::image::error::{IoContext, Result};
use crate::sys;

const LOCK: &str = "store.lock";
/// How long a collector waits for users of the store: a start holds a lease for
/// milliseconds, a pull for as long as it takes.
const PATIENCE: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(10);

/// Keeps the collector away until it is dropped.
#[derive(Clone, Debug)]
pub struct Lease(#[expect(dead_code, reason = "the lock goes with the file")] Option<Arc<File>>);

/// The store to oneself, until it is dropped. Who reads or pulls waits.
#[derive(Debug)]
pub struct Exclusive(Option<File>);

impl Exclusive {
    /// Whether there was nothing to lock, and so nothing to remove: what is
    /// there by now is somebody else's.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.0.is_none()
    }
}

impl Store {
    /// Takes a lease, waiting for a collector that is at work. A store that can
    /// be written by nobody has no collector and needs no lock.
    pub fn lease(&self) -> Result<Lease> {
        let path = self.data.join(LOCK);
        let opened = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.open_lock(),
            other => other,
        };
        let file = match opened {
            Ok(file) => file,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound
                        | ErrorKind::ReadOnlyFilesystem
                        | ErrorKind::PermissionDenied
                        | ErrorKind::StorageFull
                        | ErrorKind::QuotaExceeded
                ) =>
            {
                return Ok(Lease(None));
            }
            Err(error) => return Err(error).at("open", &path),
        };
        FileExt::lock_shared(&file).at("lock", &path)?;
        Ok(Lease(Some(Arc::new(file))))
    }

    /// Takes the store for a collector; `None` if it stays in use for half a
    /// second. One that does not exist has nothing to be collected.
    pub fn exclusive(&self) -> Result<Option<Exclusive>> {
        let path = self.data.join(LOCK);
        let file = match self.open_lock() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Exclusive(None))),
            other => other.at("open", &path)?,
        };
        let begun = Instant::now();
        loop {
            match FileExt::try_lock(&file) {
                Ok(()) => return Ok(Some(Exclusive(Some(file)))),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(STEP);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error).at("lock", &path),
            }
        }
    }

    fn open_lock(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        sys::owner_only(&mut options);
        options.open(self.data.join(LOCK))
    }
}
