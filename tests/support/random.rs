// SPDX-License-Identifier: Apache-2.0
//! Chance that can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (xorshift) that can be started again where a test failed:
/// `MVM_TEST_RANDOM=SEED`.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let seed = match std::env::var("MVM_TEST_RANDOM") {
            Ok(text) => text.parse().expect("MVM_TEST_RANDOM is a number"),
            Err(_) => u64::from(std::process::id()) << 32 | u64::from(now_nanos()),
        };
        eprintln!("MVM_TEST_RANDOM={seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Another one, for a thread.
    pub fn fork(&mut self) -> Self {
        Self(u64::from(self.below(u32::MAX)) << 16 | 1)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as u32) % limit
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len() as u32) as usize]
    }
}

fn now_nanos() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos()
}
