// SPDX-License-Identifier: Apache-2.0
//! Manifests, indexes and configurations: the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mvm::image::fuzzing::document(bytes));
