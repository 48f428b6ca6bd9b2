// SPDX-License-Identifier: Apache-2.0
//! A blob, compressed or not, on its way to a disk image.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mvm::image::fuzzing::layer(bytes));
