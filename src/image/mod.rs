// SPDX-License-Identifier: Apache-2.0
//! Images: from registry to disks.

pub mod layer;
