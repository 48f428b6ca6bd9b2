// SPDX-License-Identifier: Apache-2.0
//! Records of a pax extended header (POSIX.1-2001 pax, "pax Extended Header").
//!
//! Values are length-prefixed and may hold newlines, as binary attributes do.

use super::header::decimal;

/// What an extended header says about the entry behind it.
#[derive(Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The `GNU.sparse.*` records, of all three versions.
#[derive(Default)]
pub(super) struct PaxSparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offset and length of each piece of data, in turn.
    pub(super) map: Vec<u64>,
    pub(super) has_map: bool,
}

impl Pax {
    pub(super) fn parse(mut data: &[u8]) -> Result<Self, &'static str> {
        const BAD: &str = "its extended header is damaged";
        let mut pax = Self::default();
        // Some writers fill the last block with NULs and count them.
        while !data.is_empty() && data[0] != 0 {
            let space = data.iter().take(20).position(|&b| b == b' ').ok_or(BAD)?;
            let length = decimal(&data[..space]).ok_or(BAD)?;
            let length = usize::try_from(length).map_err(|_| BAD)?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return Err(BAD);
            }
            let record = &data[space + 1..length - 1];
            data = &data[length..];
            let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
            pax.take(&record[..equals], &record[equals + 1..])?;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.take(key, value);
        }
        // An empty value takes an earlier record back.
        let given = !value.is_empty();
        match key {
            b"path" => self.path = given.then(|| value.to_vec()),
            b"linkpath" => self.linkpath = given.then(|| value.to_vec()),
            b"size" => self.size = optional(value, "its pax size is no number")?,
            b"uid" => self.uid = optional(value, "its pax uid is no number")?,
            b"gid" => self.gid = optional(value, "its pax gid is no number")?,
            b"mtime" if given => {
                self.mtime = Some(time(value).ok_or("its pax mtime is no time")?);
            }
            b"mtime" => self.mtime = None,
            _ => {}
        }
        Ok(())
    }
}

impl PaxSparse {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        const BAD: &str = "its sparse map is damaged";
        match key {
            b"major" => self.major = optional(value, BAD)?,
            b"minor" => self.minor = optional(value, BAD)?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.real_size = optional(value, BAD)?,
            b"numblocks" => self.has_map = true,
            b"offset" | b"numbytes" => {
                let wanted = usize::from(key == b"numbytes");
                if self.map.len() % 2 != wanted {
                    return Err(BAD);
                }
                self.has_map = true;
                self.map.push(decimal(value).ok_or(BAD)?);
            }
            b"map" => {
                self.has_map = true;
                self.map.clear();
                for number in value.split(|&b| b == b',').filter(|n| !n.is_empty()) {
                    self.map.push(decimal(number).ok_or(BAD)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn optional(value: &[u8], error: &'static str) -> Result<Option<u64>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value).map(Some).ok_or(error)
}

/// Seconds and nanoseconds, rounded towards the past as a file system stores them.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|&b| b == b'.').unwrap_or(text.len());
    let seconds = i64::try_from(decimal(&text[..dot])?).ok()?;
    let fraction = text.get(dot + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos =
        (0..9).fold(0u32, |n, at| n * 10 + fraction.get(at).map_or(0, |b| u32::from(b - b'0')));
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => ((-seconds).checked_sub(1)?, 1_000_000_000 - nanos),
    })
}
