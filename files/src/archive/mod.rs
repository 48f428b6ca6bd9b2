// SPDX-License-Identifier: Apache-2.0
//! Tar streams, read with suspicion. All that mvm reads of tars comes through here: layers
//! of images, archives of images, files from and for a VM.

mod entry;
mod error;
mod header;
mod pax;
mod source;
mod sparse;
mod sparse_read;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Entries, Entry, Kind};
pub use error::{Name, TarError};
pub use sparse::{Extent, SparseMap};
pub use write::Writer;
