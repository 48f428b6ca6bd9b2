// SPDX-License-Identifier: Apache-2.0
//! Trees of files as tar streams: what both sides of `mvm cp` do, and the reader of every
//! tar there is in mvm. It knows no VM, no channel and no command line.

pub mod archive;
mod error;
pub mod helper;
mod landing;
mod pack;
mod unpack;

pub use error::{Error, Notes, Result, text};
pub use landing::{is_directory_wanted, name_of};
#[cfg(unix)]
pub use pack::kept_attribute;
#[cfg(target_os = "linux")]
pub use pack::pack_pipe;
pub use pack::{As, pack};
#[cfg(target_os = "linux")]
pub use unpack::unpack_pipe;
pub use unpack::{Into, Rules, unpack};
