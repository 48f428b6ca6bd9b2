// SPDX-License-Identifier: Apache-2.0
//! Names of images: what is accepted is written as it is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mvm::image::{Digest, Platform, Reference, Source};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        assert_eq!(written.parse().as_ref(), Ok(&reference), "{written:?}");
        let familiar = reference.familiar();
        assert_eq!(familiar.parse().as_ref(), Ok(&reference), "{familiar:?}");
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform));
    }
    let _ = Source::parse(text);
});
