// SPDX-License-Identifier: Apache-2.0
//! The monitor's side of a log.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::{HEADER, Header, Limits, Stream, file_name, files, reader};
use crate::sys;

/// How far a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grown {
    /// Position behind the last record.
    pub to: u64,
    /// Nothing will be added.
    pub ended: bool,
}

/// Appends to the log of one VM. It makes no file before there is something to
/// write.
pub struct Writer {
    directory: PathBuf,
    limits: Limits,
    file: Option<File>,
    /// Positions of the files that there are; the last is written to.
    files: VecDeque<u64>,
    /// Bytes of the last file.
    length: u64,
    /// Half a record could not be taken back: nothing may follow it.
    broken: bool,
    complained: bool,
    grown: watch::Sender<Grown>,
}

impl Writer {
    /// A log in `directory`, behind whatever is there. `grown` hears of each
    /// record once it can be read.
    pub fn new(directory: PathBuf, limits: Limits, grown: watch::Sender<Grown>) -> Self {
        Self {
            directory,
            limits,
            file: None,
            files: VecDeque::new(),
            length: 0,
            broken: false,
            complained: false,
            grown,
        }
    }

    /// Adds a record: the bytes of `frame` from `HEADER` on, before which there
    /// is room for its header. What cannot be written is lost, and the error is
    /// of the first such loss only: the workload goes on.
    pub fn append(&mut self, stream: Stream, frame: &mut [u8]) -> io::Result<()> {
        let length = frame.len().saturating_sub(HEADER);
        if self.broken || length == 0 {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        frame[..HEADER].copy_from_slice(&Header { stream, length, time_ns }.encode());
        match self.write(frame) {
            Err(_) if self.complained => Ok(()),
            Err(error) => {
                self.complained = true;
                Err(error)
            }
            Ok(()) => {
                let to = self.base() + self.length;
                self.grown.send_modify(|grown| grown.to = to);
                Ok(())
            }
        }
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let size = frame.len() as u64;
        if self.file.is_none() {
            self.open()?;
        }
        if self.length > 0 && self.length + size > self.limits.file_bytes {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.write_all(frame) {
            self.broken = file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += size;
        Ok(())
    }

    /// Goes on behind the last whole record of an earlier start.
    fn open(&mut self) -> io::Result<()> {
        self.files = files(&self.directory)?.into();
        let Some(&last) = self.files.back() else { return self.create(0) };
        let file = append_to(&self.directory.join(file_name(last)))?;
        self.length = reader::whole_length(&self.directory, last)?;
        if file.metadata()?.len() > self.length {
            file.set_len(self.length)?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.create(self.base() + self.length)?;
        while self.files.len() > self.limits.files.max(1) as usize {
            if let Some(oldest) = self.files.pop_front() {
                let _ = fs::remove_file(self.directory.join(file_name(oldest)));
            }
        }
        Ok(())
    }

    fn create(&mut self, position: u64) -> io::Result<()> {
        self.file = Some(append_to(&self.directory.join(file_name(position)))?);
        self.files.push_back(position);
        self.length = 0;
        Ok(())
    }

    fn base(&self) -> u64 {
        self.files.back().copied().unwrap_or(0)
    }
}

fn append_to(path: &std::path::Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    sys::owner_only(&mut options);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    fn frame(bytes: &[u8]) -> Vec<u8> {
        [&[0; HEADER], bytes].concat()
    }

    fn text(directory: &std::path::Path) -> String {
        let mut reader = Reader::open(directory).unwrap();
        let mut text = String::new();
        while let Some(record) = reader.next().unwrap() {
            text.push_str(std::str::from_utf8(record.bytes).unwrap());
        }
        text
    }

    #[test]
    fn the_newest_output_is_kept_in_bounded_space() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits { file_bytes: 1 << 20, files: 3 };
        let grown = watch::Sender::default();
        let mut log = Writer::new(dir.path().to_owned(), limits, grown.clone());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "no file before there is output");
        for _ in 0..100 {
            log.append(Stream::Stdout, &mut frame(&[b'x'; 60_000])).unwrap();
        }
        log.append(Stream::Stderr, &mut frame(b"the end")).unwrap();
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(files.len(), 3);
        let total: u64 = files.iter().map(|e| e.as_ref().unwrap().metadata().unwrap().len()).sum();
        assert!((2 << 20..=3 << 20).contains(&(total + 60_012)), "{total}");
        let kept = text(dir.path());
        assert!(kept.ends_with("the end") && kept.len() > 2_000_000, "{}", kept.len());
        assert_eq!(grown.borrow().to, 100 * 60_012 + 19);
    }

    #[test]
    fn a_later_start_goes_on_behind_what_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let write = |words: &[&str]| {
            let limits = Limits { file_bytes: 40, files: 9 };
            let mut log = Writer::new(dir.path().to_owned(), limits, watch::Sender::default());
            for word in words {
                log.append(Stream::Stdout, &mut frame(word.as_bytes())).unwrap();
            }
        };
        let torn = |tail: &[u8]| {
            let last = dir.path().join(file_name(*files(dir.path()).unwrap().last().unwrap()));
            File::options().append(true).open(last).unwrap().write_all(tail).unwrap();
        };
        write(&["one ", "two ", "three "]);
        torn(b"\x01\0\0\x09");
        assert_eq!(text(dir.path()), "one two three ");
        write(&["four "]);
        torn(&[0; 100]);
        write(&["five ", "six ", "seven"]);
        assert_eq!(text(dir.path()), "one two three four five six seven");
    }

    #[test]
    fn a_full_disk_is_an_error_once_and_the_log_goes_on_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let later = dir.path().join("later");
        let mut log = Writer::new(later, Limits::default(), watch::Sender::default());
        assert!(log.append(Stream::Stdout, &mut frame(b"lost")).is_err());
        assert!(log.append(Stream::Stdout, &mut frame(b"lost")).is_ok());
        fs::create_dir(dir.path().join("later")).unwrap();
        log.append(Stream::Stdout, &mut frame(b"kept")).unwrap();
        assert_eq!(text(&dir.path().join("later")), "kept");
    }
}
