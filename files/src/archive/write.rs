// SPDX-License-Identifier: Apache-2.0
//! Writes what `Entries` reads: ustar headers with pax records (POSIX.1-2001) for what does not
//! fit there, and files with holes as GNU's tar 1.0 has them.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::entry::{Entry, Kind};
use super::header::TAR_BLOCK;

/// Bytes that are gathered for one write.
const BUFFER: usize = 256 << 10;
/// Longest path and link target that the header itself has room for.
const MAX_IN_HEADER: usize = 100;
/// Largest numbers that a header's octal fields of eight and twelve bytes hold.
const MAX_ID: u32 = 0o7_777_777;
const MAX_NUMBER: u64 = 0o77_777_777_777;

/// A tar on its way out. What is written is not out before `finish`.
pub struct Writer<W: Write> {
    out: W,
    buffer: Box<[u8]>,
    filled: usize,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// The tar goes to `out`, in large pieces.
    pub fn new(out: W) -> Self {
        Self { out, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0, written: 0 }
    }

    /// Bytes of the tar so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Begins an entry. If it is a file, as many bytes of data have to follow as it says it
    /// has: those of its pieces, where it has holes. Then `pad`.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn begin(&mut self, entry: &Entry) -> io::Result<()> {
        let map = entry.sparse.as_ref().map(|map| {
            let numbers = map.extents().iter().flat_map(|e| [e.offset, e.length]);
            let count = map.extents().len() as u64;
            let lines: String =
                std::iter::once(count).chain(numbers).map(|number| format!("{number}\n")).collect();
            let mut lines = lines.into_bytes();
            lines.resize(lines.len().next_multiple_of(TAR_BLOCK), 0);
            lines
        });
        let stored = entry.stored() + map.as_ref().map_or(0, |map| map.len() as u64);
        let records = records(entry, stored)?;
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            put(&mut header.as_old_mut().name, b"././@PaxHeader");
            header.set_entry_type(EntryType::XHeader);
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            self.header(header)?;
            self.data(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.header(header(entry, stored)?)?;
        self.data(map.as_deref().unwrap_or_default())
    }

    /// Data of the entry.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn data(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.fill(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Data of the entry, read from a file: at most `max` bytes of it, at least one if there
    /// is one. Returns their number.
    ///
    /// # Errors
    /// Those of the file, as `Err`, and of the stream, as `Ok(Err)`.
    pub fn data_from(&mut self, mut file: impl Read, max: u64) -> io::Result<io::Result<usize>> {
        let room = match self.room() {
            Ok(room) => room,
            Err(error) => return Ok(Err(error)),
        };
        let most = usize::try_from(max).unwrap_or(usize::MAX).min(room.len());
        loop {
            match file.read(&mut room[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(count) => {
                    self.fill(count);
                    return Ok(Ok(count));
                }
            }
        }
    }

    /// Data of the entry that come by other means than through here: `by` gets where the tar
    /// goes, behind all before, and says how many bytes it wrote there.
    ///
    /// # Errors
    /// Those of the stream, and of `by`.
    pub fn data_by(&mut self, by: impl FnOnce(&mut W) -> io::Result<u64>) -> io::Result<u64> {
        self.flush()?;
        let count = by(&mut self.out)?;
        self.written += count;
        Ok(count)
    }

    /// Data of the entry that is all zeros.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let room = self.room()?;
            let part = usize::try_from(count).unwrap_or(usize::MAX).min(room.len());
            room[..part].fill(0);
            self.fill(part);
            count -= part as u64;
        }
        Ok(())
    }

    /// Ends an entry whose data were so many bytes.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn pad(&mut self, data: u64) -> io::Result<()> {
        self.zeros(data.wrapping_neg() % TAR_BLOCK as u64)
    }

    /// Ends the tar; gives back where it went.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn finish(mut self) -> io::Result<W> {
        self.zeros(2 * TAR_BLOCK as u64)?;
        self.flush()?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, mut header: Header) -> io::Result<()> {
        header.set_cksum();
        self.data(header.as_bytes())
    }

    /// Where the next bytes go, at least one.
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    fn fill(&mut self, count: usize) {
        self.filled += count;
        self.written += count as u64;
    }

    fn flush(&mut self) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        self.out.write_all(&self.buffer[..filled])
    }
}

fn header(entry: &Entry, stored: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(match entry.kind {
        Kind::File => EntryType::Regular,
        Kind::HardLink => EntryType::Link,
        Kind::Symlink => EntryType::Symlink,
        Kind::CharDevice => EntryType::Char,
        Kind::BlockDevice => EntryType::Block,
        Kind::Directory => EntryType::Directory,
        Kind::Fifo => EntryType::Fifo,
    });
    let name = match entry.sparse {
        // What a tar that knows no holes makes of it is not to be taken for the file.
        Some(_) => [b"GNUSparseFile.0/", &entry.path[..]].concat(),
        None => name(entry),
    };
    put(&mut header.as_old_mut().name, &name);
    put(&mut header.as_old_mut().linkname, &entry.link);
    header.set_mode(entry.mode.into());
    header.set_uid(entry.uid.min(MAX_ID).into());
    header.set_gid(entry.gid.min(MAX_ID).into());
    header.set_mtime(u64::try_from(entry.mtime.0).unwrap_or(0).min(MAX_NUMBER));
    header.set_size(stored.min(MAX_NUMBER));
    let (major, minor) = entry.device;
    if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
        let part = |number| u32::try_from(number).map_err(io::Error::other);
        header.set_device_major(part(major)?)?;
        header.set_device_minor(part(minor)?)?;
    }
    Ok(header)
}

/// A directory's name ends in a slash.
fn name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.path.clone();
    if entry.kind == Kind::Directory && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}

/// As much of `text` as there is room for.
fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// What the header has no room for.
fn records(entry: &Entry, stored: u64) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
    let path = name(entry);
    if entry.sparse.is_some() {
        add(b"GNU.sparse.major", b"1");
        add(b"GNU.sparse.minor", b"0");
        add(b"GNU.sparse.name", &path);
        add(b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
    } else if path.len() > MAX_IN_HEADER {
        add(b"path", &path);
    }
    if entry.link.len() > MAX_IN_HEADER {
        add(b"linkpath", &entry.link);
    }
    if stored > MAX_NUMBER {
        add(b"size", stored.to_string().as_bytes());
    }
    for (key, id) in [(b"uid", entry.uid), (b"gid", entry.gid)] {
        if id > MAX_ID {
            add(key, id.to_string().as_bytes());
        }
    }
    let (seconds, nanos) = entry.mtime;
    if nanos != 0 || u64::try_from(seconds).is_ok_and(|s| s > MAX_NUMBER) || seconds < 0 {
        add(b"mtime", time(seconds, nanos).as_bytes());
    }
    for (name, value) in &entry.xattrs {
        if name.contains(&b'=') {
            // No record can say where such a name ends.
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an extended attribute has a \"=\" in its name",
            ));
        }
        add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    Ok(records)
}

/// `LENGTH KEY=VALUE` and a newline, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let digits = |number: usize| number.to_string().len();
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// In decimals; the nanoseconds count forward from the second, and the text backward from 0.
fn time(seconds: i64, nanos: u32) -> String {
    match (seconds, nanos) {
        (seconds, 0) => seconds.to_string(),
        (0.., nanos) => format!("{seconds}.{nanos:09}"),
        (_, nanos) => {
            let whole = (seconds + 1).unsigned_abs();
            format!("-{whole}.{:09}", 1_000_000_000 - nanos)
        }
    }
}
