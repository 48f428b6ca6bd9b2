// SPDX-License-Identifier: Apache-2.0
//! The disks of a VM's root file system: all read-only layers as one disk, and
//! the writable upper; and what is to be known of it before it is mounted.
//! Nothing here reads or writes more for a larger image.

pub mod layers;
pub mod lookup;
pub mod upper;
pub mod user;
