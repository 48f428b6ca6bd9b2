// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a tar.

use std::fmt;
use std::io;

/// Why a tar could not be read on. Every message names the entry it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The stream that feeds the tar failed.
    #[error("cannot read the archive: {0}")]
    Read(io::Error),
    /// A header block is no tar header.
    #[error("not a tar archive: no valid header at byte {at}")]
    NotTar {
        /// Offset of the block in the tar.
        at: u64,
    },
    /// The stream ended before the entry did.
    #[error("the tar ends in the middle of {entry}")]
    Truncated {
        /// The entry.
        entry: Name,
    },
    /// A header or extended header of the entry cannot be understood.
    #[error("{entry}: {what}")]
    Malformed {
        /// The entry.
        entry: Name,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The entry's type flag has no meaning in a layer.
    #[error("{entry}: tar entries of type {flag:?} are not supported")]
    Type {
        /// The entry.
        entry: Name,
        /// The type flag.
        flag: char,
    },
    /// A limit was reached.
    #[error("{entry}: it has more than {max} {what}")]
    Limit {
        /// The entry at which it was reached.
        entry: Name,
        /// What is limited, in the plural.
        what: &'static str,
        /// The limit.
        max: u64,
    },
}

/// A name out of a tar, fit for a terminal: escaped, quoted and cut short.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    const SHOWN: usize = 200;

    /// The first bytes of it, at least.
    pub fn new(bytes: &[u8]) -> Self {
        let shown = &bytes[..bytes.len().min(Self::SHOWN)];
        let mut text = match std::str::from_utf8(shown) {
            // Keeps "é" readable; control characters are escaped all the same.
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("\"{}\"", shown.escape_ascii()),
        };
        if bytes.len() > shown.len() {
            text.push('…');
        }
        Self(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
