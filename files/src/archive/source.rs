// SPDX-License-Identifier: Apache-2.0
//! A buffered reader that lends out its buffer, so that file data goes from the
//! decompressor to the disk image with one copy at most.

use std::io::{self, Read};

use super::error::TarError;

/// Large enough that the cost of a read call disappears, small enough to stay in the L2 cache.
pub(super) const BUFFER: usize = 1 << 20;

pub(super) struct Source<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    consumed: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R, buffer: usize) -> Self {
        let buffer = vec![0; buffer].into_boxed_slice();
        Self { inner, buffer, start: 0, end: 0, consumed: 0 }
    }

    /// What it reads from, if nothing of it is at hand.
    pub(super) fn direct(&mut self) -> Option<&mut R> {
        (self.start == self.end).then_some(&mut self.inner)
    }

    /// `n` bytes were taken from what it reads from.
    pub(super) fn passed(&mut self, n: u64) {
        self.consumed += n;
    }

    /// Bytes consumed so far.
    pub(super) fn position(&self) -> u64 {
        self.consumed
    }

    /// The bytes at hand, at least one; empty only at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<&[u8], TarError> {
        if self.start == self.end {
            self.start = 0;
            self.end = loop {
                match self.inner.read(&mut self.buffer) {
                    Ok(n) => break n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(TarError::Read(e)),
                }
            };
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Takes `n` of the bytes that [`fill`](Self::fill) lent.
    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        self.consumed += n as u64;
    }

    /// Fills `into` as far as the stream goes and returns how many bytes that were.
    pub(super) fn read_up_to(&mut self, into: &mut [u8]) -> Result<usize, TarError> {
        let mut got = 0;
        while got < into.len() {
            let bytes = self.fill()?;
            if bytes.is_empty() {
                break;
            }
            let n = bytes.len().min(into.len() - got);
            into[got..got + n].copy_from_slice(&bytes[..n]);
            self.consume(n);
            got += n;
        }
        Ok(got)
    }

    /// Skips up to `n` bytes and returns how many there were.
    pub(super) fn skip(&mut self, n: u64) -> Result<u64, TarError> {
        let mut left = n;
        while left > 0 {
            let have = self.fill()?.len();
            if have == 0 {
                break;
            }
            let take = left.min(have as u64) as usize;
            self.consume(take);
            left -= take as u64;
        }
        Ok(n - left)
    }
}
