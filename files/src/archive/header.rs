// SPDX-License-Identifier: Apache-2.0
//! The fields of one 512-byte tar header block (POSIX ustar, GNU, v7).

/// Size of a tar block.
pub(super) const TAR_BLOCK: usize = 512;

/// Where the checksum field stands in the header.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Whether the block's checksum fits, as unsigned sum or as the signed sum of old tars.
pub(super) fn checksum_fits(block: &[u8; TAR_BLOCK]) -> bool {
    let Some(stated) = number(&block[CHECKSUM]) else {
        return false;
    };
    let sum = |bytes: &[u8]| i64::from(bytes.iter().map(|&b| u32::from(b)).sum::<u32>());
    // The field itself counts as eight spaces.
    let unsigned = sum(block) - sum(&block[CHECKSUM]) + 8 * i64::from(b' ');
    if stated == unsigned {
        return true;
    }
    let high = |bytes: &[u8]| bytes.iter().filter(|b| !b.is_ascii()).count() as i64;
    let signed = unsigned - 256 * (high(block) - high(&block[CHECKSUM]));
    stated == signed
}

/// A numeric field: octal digits, or two's complement in base 256 when the top bit is set.
/// `None` if it is neither or does not fit.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // The marker bit is dropped and the bit below it is the sign.
        let mut value = i128::from(((first & 0x7f) << 1) as i8 >> 1);
        for &byte in &field[1..] {
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).ok();
    }
    let skipped = field.iter().take_while(|b| matches!(b, b' ' | 0)).count();
    let mut digits = field[skipped..].split(|b| matches!(b, b' ' | 0));
    digits.next().unwrap_or_default().iter().try_fold(0i64, |value, &b| match b {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(b - b'0')),
        _ => None,
    })
}

/// A decimal number of a pax record or a sparse map; `None` if it is none or does not fit.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &b| match b {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}
