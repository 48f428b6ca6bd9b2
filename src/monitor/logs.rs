// SPDX-License-Identifier: Apache-2.0
//! The workload's output on disk: a file for each stream, as the bytes came,
//! of bounded size. An older half is kept as `NAME.1`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::sys;

/// Bytes of one file; a stream keeps between one and two of these.
const MAX_FILE: u64 = 8 << 20;

pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: create(path)?, length: 0 })
    }

    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length + bytes.len() as u64 > MAX_FILE {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            std::fs::rename(&self.path, older)?;
            self.file = create(&self.path)?;
            self.length = 0;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    sys::owner_only(&mut options);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_output_is_kept_in_bounded_space() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout.log");
        let mut log = Log::create(&path).unwrap();
        for _ in 0..40 {
            log.append(&vec![b'x'; 1 << 20]).unwrap();
        }
        log.append(b"the end").unwrap();
        let total: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().metadata().unwrap().len())
            .sum();
        assert!(total <= 2 * MAX_FILE, "{total}");
        assert!(std::fs::read(&path).unwrap().ends_with(b"the end"));
    }
}
