// SPDX-License-Identifier: Apache-2.0
//! Sparse files: how an image keeps what a tar holds no data for as holes.

use mvm_files::archive::{Extent, SparseMap};

use super::format::BLOCK;

/// How a sparse file is cut into chunks of `BLOCK << bits` bytes, each all data or all hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkPlan {
    pub(super) bits: u32,
    /// Bytes of the image this takes: chunks with data and one index entry per chunk.
    pub(super) cost: u64,
}

impl ChunkPlan {
    /// The format has five bits for it, erofs-utils reads up to 2 GiB.
    const MAX_BITS: u32 = 19;

    /// Picks the chunk size that takes least room: small ones copy few zeros,
    /// large ones need few index entries. A file of 1 TiB with one byte in it stays small.
    pub(super) fn cheapest(map: &SparseMap, size: u64) -> Self {
        (0..=Self::MAX_BITS)
            .map(|bits| Self { bits, cost: Self::cost(map, size, BLOCK << bits) })
            .min_by_key(|plan| plan.cost)
            .unwrap_or(Self { bits: 0, cost: 0 })
    }

    fn cost(map: &SparseMap, size: u64, chunk: u64) -> u64 {
        let index = size.div_ceil(chunk).saturating_mul(4);
        Runs::new(map, chunk).fold(index, |cost, run| {
            cost.saturating_add((run.end - run.start).saturating_mul(chunk))
        })
    }

    pub(super) fn chunk(self) -> u64 {
        BLOCK << self.bits
    }
}

/// Consecutive chunks with data, by chunk number, and the extents that lie in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) extents: &'a [Extent],
}

pub(super) struct Runs<'a> {
    extents: &'a [Extent],
    chunk: u64,
}

impl<'a> Runs<'a> {
    pub(super) fn new(map: &'a SparseMap, chunk: u64) -> Self {
        Self { extents: map.extents(), chunk }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let span = |e: &Extent| (e.offset / self.chunk, (e.offset + e.length).div_ceil(self.chunk));
        let (start, mut end) = span(self.extents.first()?);
        let mut taken = 1;
        for extent in &self.extents[1..] {
            let (first, last) = span(extent);
            if first > end {
                break;
            }
            end = last;
            taken += 1;
        }
        let (extents, rest) = self.extents.split_at(taken);
        self.extents = rest;
        Some(Run { start, end, extents })
    }
}
