// SPDX-License-Identifier: Apache-2.0
//! Reads a log from its oldest record on, also while it is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{HEADER, Header, Record, file_name, files};

/// Bytes that are read at a time.
const BLOCK: usize = 128 << 10;

pub struct Reader {
    directory: PathBuf,
    file: Option<File>,
    /// Position of the file's beginning.
    base: u64,
    /// How far in the file the records went that were returned.
    offset: u64,
    /// What was read beyond that, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    /// Later files that are open already.
    held: VecDeque<(u64, File)>,
}

impl Reader {
    /// At the oldest record of the log in a VM's directory.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut reader = Self {
            directory: directory.to_owned(),
            file: None,
            base: 0,
            offset: 0,
            buffer: Vec::new(),
            at: 0,
            held: VecDeque::new(),
        };
        reader.advance()?;
        Ok(reader)
    }

    /// That of the next record.
    pub fn position(&self) -> u64 {
        self.base + self.offset
    }

    /// The next record, or `None` where there is none yet. After that more may
    /// come.
    #[allow(clippy::should_implement_trait)] // A record borrows the reader.
    pub fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        loop {
            if let Some(header) = self.whole_record()? {
                let position = self.position();
                let start = self.at + HEADER;
                self.at = start + header.length;
                self.offset += (HEADER + header.length) as u64;
                let bytes = &self.buffer[start..self.at];
                let Header { stream, time_ns, .. } = header;
                return Ok(Some(Record { position, time_ns, stream, bytes }));
            }
            if self.later()?.is_none() {
                return Ok(None);
            }
            // Its file is at its end, but may have grown before the later one
            // was made.
            if self.whole_record()?.is_none() {
                self.advance()?;
            }
        }
    }

    /// Sees to it that the next record is in the buffer, all of it.
    fn whole_record(&mut self) -> io::Result<Option<Header>> {
        loop {
            let left = self.buffer.get(self.at..).unwrap_or_default();
            if let Some(head) = left.first_chunk::<HEADER>() {
                let Some(header) = Header::decode(head) else { return self.forget() };
                if left.len() >= HEADER + header.length {
                    return Ok(Some(header));
                }
            }
            if !self.fill()? {
                return self.forget();
            }
        }
    }

    /// No whole record is next. What was read of it is to be read again: it
    /// may be replaced by another.
    fn forget(&mut self) -> io::Result<Option<Header>> {
        self.buffer.clear();
        self.at = 0;
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.offset))?;
        }
        Ok(None)
    }

    /// Reads on; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        self.buffer.drain(..self.at);
        self.at = 0;
        let had = self.buffer.len();
        self.buffer.resize(had + BLOCK, 0);
        let count = file.read(&mut self.buffer[had..])?;
        self.buffer.truncate(had + count);
        Ok(count > 0)
    }

    /// Position of the first file after the one that is read.
    fn later(&self) -> io::Result<Option<u64>> {
        if let Some((position, _)) = self.held.front() {
            return Ok(Some(*position));
        }
        let later = |&position: &u64| self.file.is_none() || position > self.base;
        Ok(files(&self.directory)?.into_iter().find(later))
    }

    /// Goes to the next file, if there is one. It may be gone by then, and so
    /// may the one after it.
    fn advance(&mut self) -> io::Result<()> {
        let next = match self.held.pop_front() {
            Some(held) => Some(held),
            None => self.open_later()?,
        };
        if let Some((position, file)) = next {
            self.file = Some(file);
            (self.base, self.offset) = (position, 0);
            self.buffer.clear();
            self.at = 0;
        }
        Ok(())
    }

    fn open_later(&self) -> io::Result<Option<(u64, File)>> {
        while let Some(position) = self.later()? {
            match File::open(self.directory.join(file_name(position))) {
                Ok(file) => return Ok(Some((position, file))),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(None)
    }

    /// Opens all that there is: it can be read when it is removed.
    pub fn hold(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.advance()?;
        }
        let last = self.held.back().map_or(self.base, |(position, _)| *position);
        for position in files(&self.directory)?.into_iter().filter(|&position| position > last) {
            match File::open(self.directory.join(file_name(position))) {
                Ok(file) => self.held.push_back((position, file)),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The position behind what is in the log now.
pub fn end(directory: &Path) -> io::Result<u64> {
    loop {
        let Some(&last) = files(directory)?.last() else { return Ok(0) };
        match std::fs::metadata(directory.join(file_name(last))) {
            Ok(metadata) => return Ok(last + metadata.len()),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
}

/// Bytes of whole records at the beginning of a file.
pub(super) fn whole_length(directory: &Path, position: u64) -> io::Result<u64> {
    let mut reader = Reader {
        directory: PathBuf::new(),
        file: Some(File::open(directory.join(file_name(position)))?),
        base: position,
        offset: 0,
        buffer: Vec::new(),
        at: 0,
        held: VecDeque::new(),
    };
    while let Some(header) = reader.whole_record()? {
        reader.at += HEADER + header.length;
        reader.offset += (HEADER + header.length) as u64;
    }
    Ok(reader.offset)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::super::{Grown, Limits, Stream, Writer};
    use super::*;

    struct Log {
        directory: tempfile::TempDir,
        writer: Writer,
        grown: watch::Sender<Grown>,
    }

    impl Log {
        fn new(file_bytes: u64, files: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let grown = watch::Sender::default();
            let limits = Limits { file_bytes, files };
            let writer = Writer::new(directory.path().to_owned(), limits, grown.clone());
            Self { directory, writer, grown }
        }

        fn write(&mut self, stream: Stream, text: &str) {
            let mut frame = [&[0; HEADER], text.as_bytes()].concat();
            self.writer.append(stream, &mut frame).unwrap();
        }

        fn reader(&self) -> Reader {
            Reader::open(self.directory.path()).unwrap()
        }
    }

    fn next(reader: &mut Reader) -> Option<(Stream, String)> {
        let record = reader.next().unwrap()?;
        Some((record.stream, String::from_utf8(record.bytes.to_vec()).unwrap()))
    }

    #[test]
    fn records_come_in_order_and_as_they_are_written() {
        let mut log = Log::new(64, 3);
        let mut reader = log.reader();
        assert_eq!(next(&mut reader), None);
        for round in 0..20 {
            log.write(Stream::Stdout, &format!("out {round}"));
            log.write(Stream::Stderr, "err");
            assert_eq!(next(&mut reader), Some((Stream::Stdout, format!("out {round}"))));
            assert_eq!(next(&mut reader), Some((Stream::Stderr, "err".into())));
            assert_eq!(next(&mut reader), None);
            assert_eq!(reader.position(), log.grown.borrow().to);
            assert_eq!(reader.position(), end(log.directory.path()).unwrap());
        }
    }

    #[test]
    fn who_is_late_goes_on_with_what_is_left() {
        let mut log = Log::new(64, 2);
        log.write(Stream::Stdout, "first");
        let mut reader = log.reader();
        for round in 0..50 {
            log.write(Stream::Stdout, &format!("{round:03}"));
        }
        // Its file is gone, and open.
        assert_eq!(next(&mut reader), Some((Stream::Stdout, "first".into())));
        let mut last = None;
        while let Some((_, text)) = next(&mut reader) {
            assert!(last < Some(text.clone()));
            last = Some(text);
        }
        assert_eq!(last.as_deref(), Some("049"));
    }

    #[test]
    fn what_is_held_is_read_when_the_vm_is_gone() {
        let mut log = Log::new(64, 9);
        let mut reader = log.reader();
        for round in 0..20 {
            log.write(Stream::Stdout, &format!("{round:03}"));
        }
        reader.hold().unwrap();
        std::fs::remove_dir_all(log.directory.path()).unwrap();
        let mut count = 0;
        while next(&mut reader).is_some() {
            count += 1;
        }
        assert_eq!(count, 20);
    }

    #[test]
    fn a_record_that_is_half_there_is_none_yet() {
        let mut log = Log::new(1 << 20, 2);
        log.write(Stream::Stdout, "whole");
        let path = log.directory.path().join(file_name(0));
        let file = File::options().append(true).open(&path).unwrap();
        let more = Header { stream: Stream::Stderr, length: 4, time_ns: 7 }.encode();
        for part in [&more[..5], &more[5..], b"ha"] {
            std::io::Write::write_all(&mut &file, part).unwrap();
            let mut reader = log.reader();
            assert_eq!(next(&mut reader), Some((Stream::Stdout, "whole".into())));
            assert_eq!(next(&mut reader), None);
        }
        let mut reader = log.reader();
        next(&mut reader);
        assert_eq!(next(&mut reader), None);
        std::io::Write::write_all(&mut &file, b"lf").unwrap();
        assert_eq!(next(&mut reader), Some((Stream::Stderr, "half".into())));
        for nonsense in [&[0; 30][..], &[0xff; 30], b"\x01\0\0\0 a length of zero"] {
            std::io::Write::write_all(&mut &file, nonsense).unwrap();
            assert_eq!(next(&mut reader), None);
        }
    }
}
