// SPDX-License-Identifier: Apache-2.0
//! The workload's output on disk: both streams in one log that keeps their
//! order, in files of bounded size. The monitor writes; whoever reads needs no
//! monitor, and may read while it writes.
//!
//! A log is a sequence of records: a header of `HEADER` bytes (stream, length,
//! time) and the bytes as they came from the guest. A position counts bytes
//! from the log's beginning, and a file is named by that of its first record:
//! the file after one that ends at N is `output-N.log`. What a crash left half
//! written is the last record of a file, and no record.

mod limits;
mod lines;
mod reader;
mod writer;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub use limits::Limits;
pub use lines::{Line, Lines, Piece};
pub use reader::{Reader, end};
pub use writer::{Grown, Writer};

/// Bytes in front of a record's own: the stream, three of length, eight of
/// time; big-endian.
pub const HEADER: usize = 12;

/// Most bytes in a record; a header that says more is none.
const MAX_RECORD: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Stdout = 1,
    Stderr = 2,
}

/// A piece of output as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub position: u64,
    /// Nanoseconds since 1970, by the host's clock.
    pub time_ns: u64,
    pub stream: Stream,
    pub bytes: &'a [u8],
}

struct Header {
    stream: Stream,
    length: usize,
    time_ns: u64,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&u32::try_from(self.length).unwrap_or(0).to_be_bytes());
        bytes[0] = self.stream as u8;
        bytes[4..].copy_from_slice(&self.time_ns.to_be_bytes());
        bytes
    }

    /// `None` for what was never written as a header: zeros after a power cut.
    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let [stream, a, b, c, time @ ..] = *bytes;
        let stream = match stream {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let fits = (1..=MAX_RECORD).contains(&length);
        fits.then(|| Self { stream, length, time_ns: u64::from_be_bytes(time) })
    }
}

fn file_name(position: u64) -> String {
    format!("output-{position}.log")
}

/// The file that output is written to now; none while there was no output.
pub fn newest(directory: &Path) -> Option<PathBuf> {
    let position = files(directory).ok()?.pop()?;
    Some(directory.join(file_name(position)))
}

/// Positions of the files that there are, oldest first.
fn files(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_prefix("output-")?.strip_suffix(".log"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}
