// SPDX-License-Identifier: Apache-2.0
//! What can go wrong between a layer's tar and its disk image.

use std::io;

pub use mvm_files::archive::Name;
use mvm_files::archive::TarError;

/// Why a layer could not be converted. Every message names the entry it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// The tar, or the stream that feeds it.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The disk image could not be written.
    #[error("cannot write the layer's disk image: {0}")]
    Write(io::Error),
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
