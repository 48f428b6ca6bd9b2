// SPDX-License-Identifier: Apache-2.0
//! Sparse files: which parts of a file a tar holds.

/// A piece of a sparse file that the tar has data for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// The pieces of a sparse file, checked: ascending, apart, inside the file.
#[derive(Debug, PartialEq, Eq)]
pub struct SparseMap(Vec<Extent>);

impl SparseMap {
    /// Checks pairs of offset and length against the file's size and the stored data's.
    pub fn new(
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

    /// In the order of the file.
    pub fn extents(&self) -> &[Extent] {
        &self.0
    }

    /// Whether there is no hole after all.
    pub fn is_whole(&self, size: u64) -> bool {
        match self.0[..] {
            [] => size == 0,
            [only] => only.offset == 0 && only.length == size,
            _ => false,
        }
    }
}
