// SPDX-License-Identifier: Apache-2.0
//! File data on its way from the tar to the image, block by block and counted before written.

use std::io::Read;

use super::error::{LayerError, Name};
use super::format::BLOCK;
use super::sink::Sink;
use super::sparse::{ChunkPlan, Runs};
use mvm_files::archive::{Entries, Entry, SparseMap};

/// Cap of the pieces of all sparse files together (12 bytes each).
const MAX_RUNS: usize = 1 << 20;

/// Where the chunks of a sparse file stand.
pub(super) struct Chunks {
    pub(super) bits: u32,
    pub(super) first_run: usize,
    pub(super) runs: usize,
}

/// Chunks `start..end` of a file stand from block `addr` on.
pub(super) struct PlacedRun {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) addr: u32,
}

/// The data area of the image, which grows as entries come.
pub(super) struct Data<'a> {
    pub(super) sink: Sink<'a>,
    pub(super) chunks: Vec<Chunks>,
    pub(super) runs: Vec<PlacedRun>,
    /// Bytes counted so far, in whole blocks.
    pub(super) used: u64,
    max: u64,
}

impl<'a> Data<'a> {
    pub(super) fn new(sink: Sink<'a>, max: u64) -> Self {
        Self { sink, chunks: Vec::new(), runs: Vec::new(), used: 0, max }
    }

    /// Writes the data of a file without holes; returns its first block.
    pub(super) fn file<R: Read>(
        &mut self,
        entry: &Entry,
        tar: &mut Entries<R>,
    ) -> Result<u32, LayerError> {
        if entry.size == 0 {
            return Ok(0);
        }
        self.reserve(entry.size, entry)?;
        let block = self.next_block(entry)?;
        self.copy(entry.size, tar)?;
        Ok(block)
    }

    /// Writes a symlink's target; returns its block.
    pub(super) fn target(&mut self, entry: &Entry) -> Result<u32, LayerError> {
        self.reserve(BLOCK, entry)?;
        let block = self.next_block(entry)?;
        self.sink.write(&entry.link)?;
        Ok(block)
    }

    /// Writes the chunks of a sparse file that hold data; returns the number of its chunk list.
    pub(super) fn sparse_file<R: Read>(
        &mut self,
        map: &SparseMap,
        entry: &Entry,
        tar: &mut Entries<R>,
    ) -> Result<u32, LayerError> {
        let plan = ChunkPlan::cheapest(map, entry.size);
        self.reserve(plan.cost, entry)?;
        if entry.size.div_ceil(plan.chunk()) > u64::from(u32::MAX) {
            return Err(limit(entry, "chunks in one file", u64::from(u32::MAX)));
        }
        let file_end = entry.size.next_multiple_of(BLOCK);
        let first_run = self.runs.len();
        for run in Runs::new(map, plan.chunk()) {
            if self.runs.len() >= MAX_RUNS {
                return Err(limit(entry, "pieces of sparse files", MAX_RUNS as u64));
            }
            let addr = self.next_block(entry)?;
            let mut at = run.start * plan.chunk();
            for extent in run.extents {
                self.sink.zeros(extent.offset - at)?;
                self.copy(extent.length, tar)?;
                at = extent.offset + extent.length;
            }
            let run_end = run.end.saturating_mul(plan.chunk());
            self.sink.zeros(run_end.min(file_end) - at)?;
            self.runs.push(PlacedRun { start: run.start as u32, end: run.end as u32, addr });
        }
        self.chunks.push(Chunks { bits: plan.bits, first_run, runs: self.runs.len() - first_run });
        Ok(self.chunks.len() as u32 - 1)
    }

    fn copy<R: Read>(&mut self, mut n: u64, tar: &mut Entries<R>) -> Result<(), LayerError> {
        while n > 0 {
            let data = tar.data()?;
            let take = n.min(data.len() as u64) as usize;
            if take == 0 {
                return Err(tar.truncated().into());
            }
            self.sink.write(&data[..take])?;
            tar.consume(take);
            n -= take as u64;
        }
        Ok(())
    }

    /// Counts what is about to be written, before it is.
    fn reserve(&mut self, bytes: u64, entry: &Entry) -> Result<(), LayerError> {
        let used = bytes.checked_next_multiple_of(BLOCK);
        let used = used.and_then(|bytes| self.used.checked_add(bytes));
        match used {
            Some(used) if used <= self.max => {
                self.used = used;
                Ok(())
            }
            _ => Err(limit(entry, "bytes of file data", self.max)),
        }
    }

    fn next_block(&mut self, entry: &Entry) -> Result<u32, LayerError> {
        let block = self.sink.align()?;
        u32::try_from(block).map_err(|_| limit(entry, "blocks", u64::from(u32::MAX)))
    }
}

fn limit(entry: &Entry, what: &'static str, max: u64) -> LayerError {
    LayerError::Limit { entry: Name::new(&entry.path), what, max }
}
