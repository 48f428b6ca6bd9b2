// SPDX-License-Identifier: Apache-2.0
//! What a stream is compressed with, by its first bytes, and its reader.

use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes that tell all of these apart.
const MAGIC: usize = 6;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, as far as is known here.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878, skippable frames in front or not.
    Zstd,
    /// Known and not supported.
    Bzip2,
    /// Known and not supported.
    Xz,
}

impl Compression {
    /// By the first bytes of a stream, of which there may be few.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

/// The decompressed stream, or which compression it is that has no reader here.
///
/// # Errors
/// Reading the first bytes failed.
pub fn decompressed<'a>(
    mut stream: impl BufRead + 'a,
) -> io::Result<Result<Box<dyn Read + 'a>, Compression>> {
    let mut start = Vec::with_capacity(MAGIC);
    stream.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let stream = Cursor::new(start).chain(stream);
    Ok(match compression {
        Compression::None => Ok(Box::new(stream)),
        Compression::Gzip => Ok(Box::new(MultiGzDecoder::new(stream))),
        Compression::Zstd => Ok(Box::new(zstd::Decoder::with_buffer(stream)?)),
        Compression::Bzip2 | Compression::Xz => Err(compression),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn tells_them_apart() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"text").unwrap();
        for (bytes, text) in [
            (b"".to_vec(), &b""[..]),
            (b"B".to_vec(), b"B"),
            (b"plain and long".to_vec(), b"plain and long"),
            (gzip.finish().unwrap(), b"text"),
            (zstd::encode_all(&b"text"[..], 1).unwrap(), b"text"),
        ] {
            let mut read = Vec::new();
            let Ok(mut stream) = decompressed(&bytes[..]).unwrap() else { panic!() };
            stream.read_to_end(&mut read).unwrap();
            assert_eq!(read, text);
        }
        assert_eq!(decompressed(&b"BZh91AY"[..]).unwrap().err(), Some(Compression::Bzip2));
        assert_eq!(decompressed(&b"\xfd7zXZ\0\0"[..]).unwrap().err(), Some(Compression::Xz));
    }
}
