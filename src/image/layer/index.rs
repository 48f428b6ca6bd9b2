// SPDX-License-Identifier: Apache-2.0
//! A hash table of directory entries that holds four bytes per slot: the keys stay in the tree.

use std::hash::{BuildHasher, RandomState};

/// Finds entry numbers by (directory, name). Open addressing; entries are never removed.
pub(super) struct Index {
    /// Entry number plus one; zero is free. The length is a power of two.
    slots: Vec<u32>,
    used: usize,
    // Seeded per run, so that no layer can be made whose names all collide.
    hasher: RandomState,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { slots: vec![0; 1024], used: 0, hasher: RandomState::new() }
    }

    fn first_slot(&self, key: (u32, &[u8])) -> usize {
        self.hasher.hash_one(key) as usize & (self.slots.len() - 1)
    }

    /// The entry with this key, where `key_of` tells an entry's key.
    pub(super) fn find<'k>(
        &self,
        key: (u32, &[u8]),
        key_of: impl Fn(u32) -> (u32, &'k [u8]),
    ) -> Option<u32> {
        let mut at = self.first_slot(key);
        loop {
            match self.slots[at] {
                0 => return None,
                entry if key_of(entry - 1) == key => return Some(entry - 1),
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Adds an entry whose key is not there yet.
    pub(super) fn insert<'k>(&mut self, entry: u32, key_of: impl Fn(u32) -> (u32, &'k [u8])) {
        if self.used >= self.slots.len() / 4 * 3 {
            let doubled = vec![0; self.slots.len() * 2];
            let old = std::mem::replace(&mut self.slots, doubled);
            for entry in old.into_iter().filter(|&entry| entry != 0) {
                self.place(entry - 1, &key_of);
            }
        }
        self.place(entry, &key_of);
        self.used += 1;
    }

    fn place<'k>(&mut self, entry: u32, key_of: &impl Fn(u32) -> (u32, &'k [u8])) {
        let mut at = self.first_slot(key_of(entry));
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = entry + 1;
    }
}
