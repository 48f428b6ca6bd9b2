// SPDX-License-Identifier: Apache-2.0
//! Records of VMs on disk: where, under which lock, and how a person's word
//! (name, ID, prefix) finds one. It knows nothing of hypervisors.

mod dirs;
mod file;
mod finding;
mod index;
mod list;
mod locks;
mod names;
mod pins;
mod reading;
mod record;
mod removing;
mod rename;
mod summary;
mod survey;
mod vms;

pub use dirs::Dirs;
pub use file::{Durability, ignore_missing, make_private_dir, replace_file, replace_file_with};
pub use locks::Claim;
pub use names::{random_id, random_name, validate_name};
pub use pins::Pin;
pub use record::{ExitRecord, ImageRecord, Phase, Record, SCHEMA, now_ms};
pub use summary::{ExitSummary, ImageSummary, Labels, Listed, Shelf, Summary};
pub use vms::{Found, VmStore};
