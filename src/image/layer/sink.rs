// SPDX-License-Identifier: Apache-2.0
//! The growing disk image: written front to back, each byte once, in large writes.

use std::fs::File;
use std::io::{self, IoSlice, Write};

use super::error::LayerError;
use super::format::BLOCK;

/// What is smaller than this is gathered first; what is larger goes out without being copied.
const BUFFER: usize = 1 << 20;

pub(super) struct Sink<'a> {
    out: &'a File,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> Sink<'a> {
    pub(super) fn new(out: &'a File) -> Self {
        Self { out, buffer: Vec::with_capacity(BUFFER), written: 0 }
    }

    /// Offset of the next byte in the image.
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), LayerError> {
        if self.buffer.len() + data.len() <= BUFFER {
            self.buffer.extend_from_slice(data);
            return Ok(());
        }
        self.write_through(data).map_err(LayerError::Write)
    }

    pub(super) fn zeros(&mut self, mut n: u64) -> Result<(), LayerError> {
        while n > 0 {
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            let take = n.min((BUFFER - self.buffer.len()) as u64);
            self.buffer.resize(self.buffer.len() + take as usize, 0);
            n -= take;
        }
        Ok(())
    }

    /// Fills the current block with zeros and returns the number of the next.
    pub(super) fn align(&mut self) -> Result<u64, LayerError> {
        let position = self.position();
        self.zeros(position.next_multiple_of(BLOCK) - position)?;
        Ok(self.position() / BLOCK)
    }

    pub(super) fn flush(&mut self) -> Result<(), LayerError> {
        self.write_through(&[]).map_err(LayerError::Write)
    }

    fn write_through(&mut self, data: &[u8]) -> io::Result<()> {
        let total = self.buffer.len() + data.len();
        let mut done = 0;
        while done < total {
            let (head, tail) = if done < self.buffer.len() {
                (&self.buffer[done..], data)
            } else {
                (&data[done - self.buffer.len()..], &[][..])
            };
            match self.out.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.written += total as u64;
        self.buffer.clear();
        Ok(())
    }
}
