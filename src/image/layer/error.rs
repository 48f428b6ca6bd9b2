// SPDX-License-Identifier: Apache-2.0
//! What can go wrong between a layer's tar and its disk image.

use std::fmt;
use std::io;

/// Why a layer could not be converted. Every message names the entry it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The stream that feeds the tar failed.
    #[error("cannot read the layer: {0}")]
    Read(io::Error),
    /// The disk image could not be written.
    #[error("cannot write the layer's disk image: {0}")]
    Write(io::Error),
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
    /// The entry's path is not one this layer may write.
    #[error("refused path {entry}: {what}")]
    Path {
        /// The entry.
        entry: Name,
        /// The rule it breaks.
        what: &'static str,
    },
    /// The entry lies below something that is no directory.
    #[error("{entry} lies below {parent}, which is not a directory")]
    NotDirectory {
        /// The entry.
        entry: Name,
        /// The last path component that could be resolved.
        parent: Name,
    },
    /// A hard link that cannot be made.
    #[error("cannot link {entry} to {target}: {what}")]
    Link {
        /// The entry.
        entry: Name,
        /// What it should be linked to.
        target: Name,
        /// Why it cannot.
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
    /// An extended attribute that cannot be kept.
    #[error("{entry}: extended attribute {name}: {what}")]
    Xattr {
        /// The entry.
        entry: Name,
        /// The attribute's full name.
        name: Name,
        /// Why it cannot be kept.
        what: &'static str,
    },
    /// A limit of this conversion was reached.
    #[error("{entry}: the layer has more than {max} {what}")]
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

    pub(super) fn new(bytes: &[u8]) -> Self {
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
