// SPDX-License-Identifier: Apache-2.0
//! The entries of a tar stream, with GNU and pax extensions folded in.
//!
//! Where tar dialects disagree, this reads what Go's `archive/tar` reads, because that is
//! what the tools that make and scan images see.

use std::io::Read;

use tar::Header;

use super::error::{Name, TarError};
use super::header::{TAR_BLOCK, checksum_fits, number};
use super::pax::Pax;
use super::source::{BUFFER, Source};
use super::sparse::SparseMap;
use super::sparse_read::{old_gnu_map, pax_map};

/// Cap of one long name or extended header (Go's `archive/tar` has the same).
const MAX_EXTENDED: u64 = 1 << 20;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry: everything but its data.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Size of the file, holes included.
    pub size: u64,
    /// Major and minor number.
    pub device: (u64, u64),
    /// Names and values.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data of a file with holes belongs.
    pub sparse: Option<SparseMap>,
}

impl Entry {
    /// Bytes of data that the tar has of it: without its holes.
    pub fn stored(&self) -> u64 {
        match (self.kind, &self.sparse) {
            (Kind::File, Some(map)) => map.extents().iter().map(|extent| extent.length).sum(),
            (Kind::File, None) => self.size,
            _ => 0,
        }
    }
}

/// A tar on its way in.
pub struct Entries<R> {
    pub(super) source: Source<R>,
    /// Data of the current entry that has not been taken.
    pub(super) remaining: u64,
    padding: u64,
    /// The current entry, for messages.
    current: Vec<u8>,
}

impl<R: Read> Entries<R> {
    /// Of a stream that is not compressed.
    pub fn new(tar: R) -> Self {
        Self::with_buffer(tar, BUFFER)
    }

    /// As `new`, with so many bytes read at once.
    pub fn with_buffer(tar: R, bytes: usize) -> Self {
        let source = Source::new(tar, bytes);
        Self { source, remaining: 0, padding: 0, current: Vec::new() }
    }

    /// Moves data of the current entry that are not at hand yet by other means than reading:
    /// `by` gets the stream, and at most how many bytes, and says how many they were; 0 for
    /// the stream's end. `None`: some are at hand, or there are no more.
    ///
    /// # Errors
    /// Those of `by`; nothing has been moved then.
    pub fn move_data(
        &mut self,
        by: impl FnOnce(&mut R, u64) -> std::io::Result<u64>,
    ) -> Option<std::io::Result<u64>> {
        let remaining = self.remaining;
        if remaining == 0 {
            return None;
        }
        let moved = by(self.source.direct()?, remaining);
        if let Ok(count) = moved {
            self.source.passed(count);
            self.remaining -= count.min(remaining);
        }
        Some(moved)
    }

    /// The next entry, after skipping what is left of the last; `None` at the end of the archive.
    #[allow(clippy::should_implement_trait, reason = "it fails, and what it gives has data")]
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = None;
        let mut long_name = None;
        let mut long_link = None;
        loop {
            self.finish_entry()?;
            let Some(block) = self.header_block()? else {
                if pax.is_some() || long_name.is_some() || long_link.is_some() {
                    return Err(self.malformed("its extended header has no entry behind it"));
                }
                return Ok(None);
            };
            let header = Header::from_byte_slice(&block);
            self.current = header.path_bytes().into_owned();
            let flag = header.as_old().linkflag[0];
            match flag {
                b'x' => {
                    let data = self.extended(header)?;
                    pax = Some(Pax::parse(&data).map_err(|what| self.malformed(what))?);
                }
                // Like containerd and umoci, which leave global headers alone.
                b'g' => self.begin(self.stated_size(header)?),
                b'L' => long_name = Some(text(self.extended(header)?)),
                b'K' => long_link = Some(text(self.extended(header)?)),
                _ => {
                    let pax = pax.unwrap_or_default();
                    return self.entry(header, flag, pax, long_name, long_link).map(Some);
                }
            }
        }
    }

    /// Data of the current entry, empty when all of it was taken.
    pub fn data(&mut self) -> Result<&[u8], TarError> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        if self.source.fill()?.is_empty() {
            return Err(self.truncated());
        }
        let bytes = self.source.fill()?;
        let n = self.remaining.min(bytes.len() as u64) as usize;
        Ok(&bytes[..n])
    }

    /// Takes `n` bytes of what [`data`](Self::data) lent.
    pub fn consume(&mut self, n: usize) {
        self.source.consume(n);
        self.remaining -= n as u64;
    }

    /// Reads what follows the archive, so that a digest of the stream sees all of it.
    pub fn drain(&mut self, max: u64) -> Result<(), TarError> {
        self.source.skip(max)?;
        if self.source.fill()?.is_empty() {
            return Ok(());
        }
        Err(TarError::Limit {
            entry: Name::new(b"the end of the archive"),
            what: "bytes behind it",
            max,
        })
    }

    fn entry(
        &mut self,
        header: &Header,
        flag: u8,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let in_header = || header.path_bytes().into_owned();
        let path = long_name.or(pax.path).unwrap_or_else(in_header);
        let path = pax.sparse.name.clone().filter(|n| !n.is_empty()).unwrap_or(path);
        self.current.clone_from(&path);
        let in_header = || header.link_name_bytes().unwrap_or_default().into_owned();
        let link = long_link.or(pax.linkpath).unwrap_or_else(in_header);
        let kind = self.kind(flag, &path)?;
        let old = header.as_old();
        let number_or = |field: &[u8], what| number(field).ok_or_else(|| self.malformed(what));
        let id = |pax: Option<u64>, field: &[u8], what| {
            let id = match pax {
                Some(id) => id,
                None => u64::try_from(number_or(field, what)?).unwrap_or(u64::MAX),
            };
            // The last one means "leave it" to chown, so no file can belong to it.
            match u32::try_from(id) {
                Ok(id) if id != u32::MAX => Ok(id),
                _ => Err(self.malformed(what)),
            }
        };
        let mode = number_or(&old.mode, "its mode is no number")? & 0o7777;
        let uid = id(pax.uid, &old.uid, "its uid is no valid user ID")?;
        let gid = id(pax.gid, &old.gid, "its gid is no valid group ID")?;
        let mtime = match pax.mtime {
            Some(time) => time,
            None => (number_or(&old.mtime, "its time is no number")?, 0),
        };
        let mut device = (0, 0);
        if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
            let fields = match (header.as_ustar(), header.as_gnu()) {
                (Some(h), _) => (h.dev_major, h.dev_minor),
                (_, Some(h)) => (h.dev_major, h.dev_minor),
                _ => return Err(self.malformed("a device in a tar that has no device numbers")),
            };
            let part = |field: &[u8]| {
                let part = number_or(field, "its device number is no number")?;
                u64::try_from(part).map_err(|_| self.malformed("its device number is negative"))
            };
            device = (part(&fields.0)?, part(&fields.1)?);
        }
        // Other kinds have no data whatever their header says: Go reads them so.
        let mut size = match (kind, pax.size) {
            (Kind::File, Some(size)) => size,
            (Kind::File, None) => self.stated_size(header)?,
            _ => 0,
        };
        self.begin(size);
        let mut sparse = None;
        if kind == Kind::File {
            let map = match flag {
                b'S' => Some(old_gnu_map(self, header)?),
                _ => pax_map(self, &pax.sparse)?,
            };
            if let Some((real_size, pairs)) = map {
                let map = SparseMap::new(pairs, real_size, self.remaining)
                    .ok_or_else(|| self.malformed("its sparse map is damaged"))?;
                sparse = (!map.is_whole(real_size)).then_some(map);
                size = real_size;
            }
        }
        if i64::try_from(size).is_err() {
            return Err(self.malformed("its size is out of range"));
        }
        Ok(Entry {
            path,
            link,
            kind,
            mode: mode as u16,
            uid,
            gid,
            mtime,
            size,
            device,
            xattrs: pax.xattrs,
            sparse,
        })
    }

    fn kind(&self, flag: u8, path: &[u8]) -> Result<Kind, TarError> {
        Ok(match flag {
            // Tars older than POSIX have no type for directories.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => {
                return Err(TarError::Type { entry: self.name(), flag: char::from(flag) });
            }
        })
    }

    /// The next header; `None` at the end of the archive, marked or not.
    fn header_block(&mut self) -> Result<Option<[u8; TAR_BLOCK]>, TarError> {
        let at = self.source.position();
        let mut block = [0; TAR_BLOCK];
        match self.source.read_up_to(&mut block)? {
            0 => return Ok(None),
            TAR_BLOCK => {}
            _ => return Err(self.truncated_header()),
        }
        if block != [0; TAR_BLOCK] {
            if !checksum_fits(&block) {
                return Err(TarError::NotTar { at });
            }
            return Ok(Some(block));
        }
        // One block of zeros is followed by another, or by nothing.
        match self.source.read_up_to(&mut block)? {
            TAR_BLOCK if block != [0; TAR_BLOCK] => {
                Err(TarError::NotTar { at: at + TAR_BLOCK as u64 })
            }
            _ => Ok(None),
        }
    }

    /// Reads the whole data of a long name or extended header.
    fn extended(&mut self, header: &Header) -> Result<Vec<u8>, TarError> {
        let size = self.stated_size(header)?;
        if size > MAX_EXTENDED {
            return Err(TarError::Limit {
                entry: self.name(),
                what: "bytes in one extended header",
                max: MAX_EXTENDED,
            });
        }
        self.begin(size);
        let mut data = vec![0; size as usize];
        if self.source.read_up_to(&mut data)? < data.len() {
            return Err(self.truncated());
        }
        self.remaining = 0;
        Ok(data)
    }

    fn stated_size(&self, header: &Header) -> Result<u64, TarError> {
        number(&header.as_old().size)
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| self.malformed("its size is no number"))
    }

    fn begin(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.wrapping_neg() % TAR_BLOCK as u64;
    }

    fn finish_entry(&mut self) -> Result<(), TarError> {
        if self.source.skip(self.remaining)? < self.remaining {
            return Err(self.truncated());
        }
        // The padding of the very last entry may be missing.
        self.source.skip(self.padding)?;
        self.begin(0);
        Ok(())
    }

    fn name(&self) -> Name {
        Name::new(&self.current)
    }

    pub(super) fn malformed(&self, what: &'static str) -> TarError {
        TarError::Malformed { entry: self.name(), what }
    }

    /// That the stream ended too early.
    pub fn truncated(&self) -> TarError {
        TarError::Truncated { entry: self.name() }
    }

    fn truncated_header(&self) -> TarError {
        TarError::Truncated { entry: Name::new(b"a header") }
    }
}

/// A GNU long name, without the NUL that ends it.
fn text(mut data: Vec<u8>) -> Vec<u8> {
    let end = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    data.truncate(end);
    data
}
