// SPDX-License-Identifier: Apache-2.0
//! How much slower than usual the machine is that the tests run on.

use std::sync::OnceLock;
use std::time::Duration;

/// A time limit, as many times longer as `MVM_TEST_SLOWER` says.
pub fn slower(limit: Duration) -> Duration {
    static FACTOR: OnceLock<u32> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| match std::env::var("MVM_TEST_SLOWER") {
        Ok(text) => text.parse().expect("MVM_TEST_SLOWER is a whole number"),
        Err(_) => 1,
    });
    limit * *factor
}
