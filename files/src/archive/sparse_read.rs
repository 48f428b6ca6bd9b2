// SPDX-License-Identifier: Apache-2.0
//! Reading the sparse maps of a tar: old GNU (in the header and blocks behind it),
//! pax 0.0 and 0.1 (in records), pax 1.0 (in front of the data).

use std::io::Read;

use tar::{GnuSparseHeader, Header};

use super::entry::Entries;
use super::error::TarError;
use super::header::{TAR_BLOCK, decimal, number};
use super::pax::PaxSparse;

/// Cap of the pieces of one file, so that a map cannot fill the memory.
const MAX_PIECES: usize = 1 << 18;

/// Size of the file and the pieces that the tar has, as offset and length.
type Map = (u64, Vec<(u64, u64)>);

const BAD: &str = "its sparse map is damaged";
const TOO_LONG: &str = "its sparse map has too many pieces";

pub(super) fn old_gnu_map<R: Read>(
    entries: &mut Entries<R>,
    header: &Header,
) -> Result<Map, TarError> {
    let Some(gnu) = header.as_gnu() else {
        return Err(entries.malformed("a sparse file in a tar that is not of GNU's format"));
    };
    let size = field(&gnu.realsize).ok_or_else(|| entries.malformed(BAD))?;
    let mut pieces = Vec::new();
    let mut more = gnu.isextended[0] != 0;
    take(&mut pieces, &gnu.sparse).ok_or_else(|| entries.malformed(BAD))?;
    while more {
        // These blocks stand in front of the data and are not counted in its size.
        let mut block = tar::GnuExtSparseHeader::new();
        if entries.source.read_up_to(block.as_mut_bytes())? < TAR_BLOCK {
            return Err(entries.truncated());
        }
        take(&mut pieces, block.sparse()).ok_or_else(|| entries.malformed(BAD))?;
        if pieces.len() > MAX_PIECES {
            return Err(entries.malformed(TOO_LONG));
        }
        more = block.is_extended();
    }
    Ok((size, pieces))
}

fn take(pieces: &mut Vec<(u64, u64)>, headers: &[GnuSparseHeader]) -> Option<()> {
    for piece in headers.iter().take_while(|h| h.offset[0] != 0) {
        pieces.push((field(&piece.offset)?, field(&piece.numbytes)?));
    }
    Some(())
}

fn field(bytes: &[u8]) -> Option<u64> {
    u64::try_from(number(bytes)?).ok()
}

pub(super) fn pax_map<R: Read>(
    entries: &mut Entries<R>,
    sparse: &PaxSparse,
) -> Result<Option<Map>, TarError> {
    let numbers = match (sparse.major.unwrap_or(0), sparse.minor.unwrap_or(0)) {
        (0, 0 | 1) if !sparse.has_map => return Ok(None),
        (0, 0 | 1) => sparse.map.clone(),
        (1, 0) => map_before_data(entries)?,
        _ => return Err(entries.malformed("its sparse format is not known")),
    };
    let size = sparse.real_size.ok_or_else(|| entries.malformed(BAD))?;
    if numbers.len() % 2 != 0 {
        return Err(entries.malformed(BAD));
    }
    let pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    Ok(Some((size, pieces)))
}

/// One decimal number a line: the count of pieces, then each one's offset and length,
/// filled up to a whole block.
fn map_before_data<R: Read>(entries: &mut Entries<R>) -> Result<Vec<u64>, TarError> {
    let mut numbers = Vec::new();
    let mut wanted = 1;
    let mut line = Vec::new();
    while numbers.len() < wanted {
        let mut block = [0; TAR_BLOCK];
        if entries.remaining < TAR_BLOCK as u64 {
            return Err(entries.malformed(BAD));
        }
        if entries.source.read_up_to(&mut block)? < TAR_BLOCK {
            return Err(entries.truncated());
        }
        entries.remaining -= TAR_BLOCK as u64;
        for byte in block {
            if numbers.len() == wanted {
                break;
            }
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let value = decimal(&line).ok_or_else(|| entries.malformed(BAD))?;
            line.clear();
            numbers.push(value);
            if numbers.len() == 1 {
                let count = usize::try_from(value).unwrap_or(usize::MAX);
                if count > MAX_PIECES {
                    return Err(entries.malformed(TOO_LONG));
                }
                wanted += 2 * count;
            }
        }
        if line.len() > 20 {
            return Err(entries.malformed(BAD));
        }
    }
    numbers.remove(0);
    Ok(numbers)
}
