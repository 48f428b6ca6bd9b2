// SPDX-License-Identifier: Apache-2.0
//! From the bytes of a blob to the disk image of its layer: decompressed,
//! hashed for the diff ID, limited, converted. Synchronous.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

use super::Limits;
use crate::image::digest::{Digest, Hasher};
use crate::image::error::{Error, Result};
use crate::image::layer::{self, Summary};
use crate::image::store::{Ingest, Unfinished};

/// Decompressed bytes handed on at a time: fewer calls for 512-byte headers.
const BUFFER: usize = 128 << 10;

/// A part of a blob on its way.
pub enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// There are no more, and the digest of all of them is right.
    End,
}

/// One layer to be converted.
pub struct Conversion {
    pub ingest: Ingest,
    /// The digest of the blob, for messages.
    pub layer: Digest,
    pub diff_id: Digest,
    pub limits: Limits,
}

impl Conversion {
    /// Reads `blob` to its end and returns the disk image, whole but unnamed.
    pub fn run(self, blob: impl BufRead) -> Result<(Unfinished, Summary)> {
        let unfinished = self.ingest.create()?;
        let failure = RefCell::new(None);
        let mut hasher = Hasher::new(self.diff_id.algorithm());
        let tar = Tar {
            inner: decompressed(blob).map_err(|error| self.broken(&error))?,
            hasher: &mut hasher,
            left: self.limits.layer_bytes,
            conversion: &self,
            failure: &failure,
        };
        let mut tar = BufReader::with_capacity(BUFFER, tar);
        let converted = layer::convert(&mut tar, unfinished.file(), &self.limits.conversion);
        // What the tar's reader met is the cause of what the converter says.
        let converted = match failure.take() {
            Some(error) => Err(error),
            None => converted.map_err(|source| Error::Layer { layer: self.layer.clone(), source }),
        };
        let summary = converted?;
        // The diff ID covers what follows the archive, too.
        let drained = io::copy(&mut tar, &mut io::sink());
        if let Some(error) = failure.take() {
            return Err(error);
        }
        drained.map_err(|error| self.broken(&error))?;
        drop(tar);
        let actual = hasher.finish();
        if actual != self.diff_id {
            let (layer, expected) = (self.layer, self.diff_id);
            return Err(Error::WrongDiffId { layer, expected, actual });
        }
        Ok((unfinished, summary))
    }

    fn broken(&self, error: &io::Error) -> Error {
        if error.get_ref().is_some_and(|inner| inner.is::<Gone>()) {
            return Error::Interrupted;
        }
        Error::Decompress { layer: self.layer.clone(), detail: error.to_string() }
    }
}

/// By the first bytes and not by the media type, as Docker and containerd do:
/// there are registries full of layers that are labelled wrongly, and the diff
/// ID tells whether the choice was right.
pub fn decompressed<'a>(mut blob: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = Vec::with_capacity(4);
    blob.by_ref().take(4).read_to_end(&mut magic)?;
    let kind = (magic.first().copied(), magic.get(1..).unwrap_or_default().to_owned());
    let blob = io::Cursor::new(magic).chain(blob);
    Ok(match kind {
        (Some(0x1f), rest) if rest.first() == Some(&0x8b) => Box::new(MultiGzDecoder::new(blob)),
        (Some(0x28), rest) if rest == [0xb5, 0x2f, 0xfd] => {
            Box::new(zstd::Decoder::with_buffer(blob)?)
        }
        // Frames to be skipped come first in seekable and estargz variants.
        (Some(0x50..=0x5f), rest) if rest == [0x2a, 0x4d, 0x18] => {
            Box::new(zstd::Decoder::with_buffer(blob)?)
        }
        _ => Box::new(blob),
    })
}

/// The uncompressed layer as the converter reads it.
struct Tar<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: &'a mut Hasher,
    left: u64,
    conversion: &'a Conversion,
    /// The converter has errors of its own; the reason stays here.
    failure: &'a RefCell<Option<Error>>,
}

impl Read for Tar<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let error = match self.inner.read(buffer) {
            Ok(read) if read as u64 <= self.left => {
                self.left -= read as u64;
                self.hasher.update(&buffer[..read]);
                return Ok(read);
            }
            Ok(_) => Error::TooLarge {
                what: format!("layer {}, decompressed,", self.conversion.layer),
                limit: self.conversion.limits.layer_bytes,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => self.conversion.broken(&error),
        };
        let told = io::Error::other(error.to_string());
        self.failure.borrow_mut().get_or_insert(error);
        Err(told)
    }
}

/// The source ended before it should have; its own side knows why.
#[derive(Debug)]
struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the blob is not all there")
    }
}

impl std::error::Error for Gone {}

/// A blob that arrives through a channel.
pub struct Pieces {
    receiver: Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Pieces {
    pub fn new(receiver: Receiver<Piece>) -> Self {
        Self { receiver, current: Bytes::new(), ended: false }
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.recv() {
                Ok(Piece::Data(bytes)) => self.current = bytes,
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(io::Error::other(Gone)),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        bytes::Buf::advance(&mut self.current, amount);
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// A blob of the store. That it is what its name says shows by the diff ID.
pub struct LocalBlob {
    file: File,
    stop: CancellationToken,
}

impl LocalBlob {
    /// Opens a blob; cancelling `stop` ends its reader.
    pub fn open(path: &Path, stop: CancellationToken) -> io::Result<BufReader<Self>> {
        let file = File::open(path)?;
        Ok(BufReader::with_capacity(BUFFER, Self { file, stop }))
    }
}

impl Read for LocalBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other(Gone));
        }
        self.file.read(buffer)
    }
}
