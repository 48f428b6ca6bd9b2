// SPDX-License-Identifier: Apache-2.0
//! Images that no registry serves: OCI layouts, archives, root directories. All
//! of them are checked as what comes from a registry is, and become images of
//! the store like any other.

mod archive;
mod docker;
mod error;
mod files;
mod layout;
mod load;
mod name;
mod oci;
mod rootfs;

pub use error::SourceError;
pub(super) use files::blob_name;
pub use load::{LoadOptions, Loaded};
pub use name::{LocalSource, Source};

#[cfg(test)]
mod tests;
