// SPDX-License-Identifier: Apache-2.0
//! Fields of packets: numbers big-endian, strings with their length before
//! them (section 3).

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Bytes of a packet without its length; OpenSSH's limit.
pub const MAX_PACKET: usize = 256 * 1024;

/// Bytes of data in one answer: the rest of a packet has room beside it.
pub const MAX_DATA: usize = MAX_PACKET - 1024;

pub fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Takes a packet apart.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(|| bad("a short packet"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| bad("a short packet"))
    }

    pub fn byte(&mut self) -> io::Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn number(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn long(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn string(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()? as usize;
        self.bytes(length)
    }

    /// No name at all is the working directory.
    pub fn path(&mut self) -> io::Result<PathBuf> {
        let name = self.string()?;
        Ok(OsStr::from_bytes(if name.is_empty() { b"." } else { name }).into())
    }
}

/// Puts an answer together, its length first.
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    /// An answer to the request of this number.
    pub fn answer(kind: u8, id: u32) -> Self {
        let mut answer = Self::new(kind);
        answer.number(id);
        answer
    }

    pub fn number(&mut self, number: u32) {
        self.0.extend(number.to_be_bytes());
    }

    pub fn long(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    /// What is too long for a packet does not come here: paths, and data of
    /// `MAX_DATA`.
    pub fn string(&mut self, bytes: &[u8]) {
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend(bytes);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub fn kind(&self) -> u8 {
        self.0[4]
    }

    pub fn append(&mut self, other: &Self) {
        self.0.extend(other.0.get(5..).unwrap_or_default());
    }

    pub fn send(mut self, output: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.0.len() - 4).map_err(|_| bad("a long answer"))?;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        output.write_all(&self.0)
    }
}
