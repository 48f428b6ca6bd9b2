// SPDX-License-Identifier: Apache-2.0
//! The records of a pax header, before an entry that they describe.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mvm::image::fuzzing::pax(bytes));
