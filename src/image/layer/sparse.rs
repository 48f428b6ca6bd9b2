// SPDX-License-Identifier: Apache-2.0
//! Sparse files: which parts of a file a tar holds, and how an image keeps the rest as holes.

use super::format::BLOCK;

/// A piece of a sparse file that the tar has data for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The pieces of a sparse file, checked: ascending, apart, inside the file.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::image) struct SparseMap(Vec<Extent>);

impl SparseMap {
    /// Checks pairs of offset and length against the file's size and the stored data's.
    pub(super) fn new(
        pairs: impl IntoIterator<Item = (u64, u64)>,
        size: u64,
        stored: u64,
    ) -> Option<Self> {
        let mut extents: Vec<Extent> = Vec::new();
        let mut end = 0;
        let mut total = 0u64;
        for (offset, length) in pairs {
            if offset < end {
                return None;
            }
            end = offset.checked_add(length).filter(|&end| end <= size)?;
            total = total.checked_add(length)?;
            match extents.last_mut() {
                _ if length == 0 => {}
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => extents.push(Extent { offset, length }),
            }
        }
        (total == stored).then_some(Self(extents))
    }

    pub(super) fn extents(&self) -> &[Extent] {
        &self.0
    }

    /// Whether there is no hole after all.
    pub(super) fn is_whole(&self, size: u64) -> bool {
        match self.0[..] {
            [] => size == 0,
            [only] => only.offset == 0 && only.length == size,
            _ => false,
        }
    }
}

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
