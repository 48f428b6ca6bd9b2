// SPDX-License-Identifier: Apache-2.0
//! Windows: its directories have no owners and modes that a guest could use.

use std::io::Write;
use std::path::Path;

use super::Packing;
use crate::image::error::Result;
use crate::image::source::SourceError;

pub fn pack(_: &Packing<'_>, _: impl Write, _: &Path) -> Result<()> {
    Err(SourceError::Unsupported.into())
}
