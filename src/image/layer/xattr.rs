// SPDX-License-Identifier: Apache-2.0
//! Extended attributes as EROFS stores them behind an inode, each distinct set kept once.

use std::collections::HashMap;
use std::rc::Rc;

use super::tree::{S_IFDIR, S_IFLNK, S_IFREG};

/// Longest full name that Linux takes (`XATTR_NAME_MAX`).
const MAX_NAME: usize = 255;
/// The format has 16 bits for it; Linux would take one byte more.
const MAX_VALUE: usize = u16::MAX as usize;
/// Header in front of the attributes of an inode.
const HEADER: usize = 12;
/// The format counts the bytes of a set in 16 bits of units of four.
const MAX_SET: usize = HEADER + 4 * (u16::MAX as usize - 1);
/// What a kept set costs beside its bytes, counted so that many small ones cannot add up.
const OVERHEAD: usize = 96;

const USER: u8 = 1;
const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;
const TRUSTED: u8 = 4;
const SECURITY: u8 = 6;

/// Why a set cannot be kept; the first field is the attribute's name.
#[derive(Debug)]
pub(super) enum Refusal {
    Bad(Vec<u8>, &'static str),
    Full,
}

pub(super) struct Xattrs {
    sets: Vec<Rc<[u8]>>,
    numbers: HashMap<Rc<[u8]>, u32>,
    bytes: usize,
    max: usize,
    /// Attributes left out because the image or its mount has no place for them.
    pub(super) dropped: u64,
}

impl Xattrs {
    pub(super) fn new(max: usize) -> Self {
        let empty: Rc<[u8]> = Rc::from(Vec::new());
        Self {
            sets: vec![Rc::clone(&empty)],
            numbers: HashMap::from([(empty, 0)]),
            bytes: 0,
            max,
            dropped: 0,
        }
    }

    /// The attributes of set `number` as they stand behind an inode, header included; an
    /// opaque directory has one more.
    pub(super) fn encoded(&self, number: u32, opaque: bool) -> Vec<u8> {
        let set = &self.sets[number as usize];
        let mut encoded = Vec::with_capacity(self.encoded_len(number, opaque));
        if !set.is_empty() || opaque {
            encoded.extend_from_slice(&[0; HEADER]);
            encoded.extend_from_slice(set);
        }
        if opaque {
            push(&mut encoded, TRUSTED, b"overlay.opaque", b"y");
        }
        encoded
    }

    pub(super) fn encoded_len(&self, number: u32, opaque: bool) -> usize {
        let set = self.sets[number as usize].len();
        let opaque = if opaque { entry_len(14, 1) } else { 0 };
        if set + opaque == 0 { 0 } else { HEADER + set + opaque }
    }

    /// Keeps the attributes of a file of this mode and returns the number of their set.
    pub(super) fn keep(
        &mut self,
        xattrs: &[(Vec<u8>, Vec<u8>)],
        kind: u16,
    ) -> Result<u32, Refusal> {
        if xattrs.is_empty() {
            return Ok(0);
        }
        let mut kept: Vec<(u8, &[u8], &[u8])> = Vec::new();
        for (name, value) in xattrs {
            let bad = |what| Refusal::Bad(name.clone(), what);
            if name.len() > MAX_NAME {
                return Err(bad("its name is longer than 255 bytes"));
            }
            if value.len() > MAX_VALUE {
                return Err(bad("its value is longer than 65535 bytes"));
            }
            if name.contains(&0) {
                return Err(bad("its name holds a NUL byte"));
            }
            let Some((index, suffix)) = place(name, kind) else {
                self.dropped += 1;
                continue;
            };
            match index {
                ACL_ACCESS | ACL_DEFAULT if !is_acl(value) => {
                    return Err(bad("it is no POSIX ACL"));
                }
                ACL_ACCESS | ACL_DEFAULT => {}
                _ if suffix.is_empty() => return Err(bad("it has no name")),
                _ => {}
            }
            kept.push((index, suffix, value));
        }
        // Sorted for the same bytes whatever the order was. Of two with one name the last one
        // counts, as with the other records of an extended header.
        kept.sort_by_key(|&(index, suffix, _)| (index, suffix));
        let mut set = Vec::new();
        for (at, &(index, suffix, value)) in kept.iter().enumerate() {
            if kept.get(at + 1).is_none_or(|next| (next.0, next.1) != (index, suffix)) {
                push(&mut set, index, suffix, value);
            }
        }
        // Leaves room for the mark of an opaque directory.
        if HEADER + set.len() + entry_len(14, 1) > MAX_SET {
            return Err(Refusal::Bad(b"*".to_vec(), "they are too long together"));
        }
        if let Some(&number) = self.numbers.get(&set[..]) {
            return Ok(number);
        }
        self.bytes += set.len() + OVERHEAD;
        if self.bytes > self.max {
            return Err(Refusal::Full);
        }
        let set: Rc<[u8]> = Rc::from(set);
        let number = self.sets.len() as u32;
        self.sets.push(Rc::clone(&set));
        self.numbers.insert(set, number);
        Ok(number)
    }
}

/// The format's number for the attribute's prefix and the rest of its name; `None` if the
/// attribute is left out.
fn place(name: &[u8], kind: u16) -> Option<(u8, &[u8])> {
    // The overlay mount obeys these in a lower layer: `redirect` and `metacopy` would give the
    // layer's own owner and mode to any file of the layers below, `opaque` and `whiteout` hide
    // them without a trace that a scanner of whiteouts sees, `origin` feeds it file handles.
    if name.starts_with(b"trusted.overlay.") {
        return None;
    }
    match name {
        b"system.posix_acl_access" if kind != S_IFLNK => return Some((ACL_ACCESS, b"")),
        b"system.posix_acl_default" if kind == S_IFDIR => return Some((ACL_DEFAULT, b"")),
        _ => {}
    }
    if let Some(suffix) = name.strip_prefix(b"user.") {
        // Linux has these on files and directories only; elsewhere they list but do not read,
        // which breaks every copy.
        return matches!(kind, S_IFREG | S_IFDIR).then_some((USER, suffix));
    }
    if let Some(suffix) = name.strip_prefix(b"trusted.") {
        return Some((TRUSTED, suffix));
    }
    name.strip_prefix(b"security.").map(|suffix| (SECURITY, suffix))
}

/// Version 2, then entries of eight bytes: anything else makes each permission check fail.
fn is_acl(value: &[u8]) -> bool {
    value.starts_with(&[2, 0, 0, 0]) && value.len() % 8 == 4
}

fn entry_len(name: usize, value: usize) -> usize {
    (4 + name + value).next_multiple_of(4)
}

fn push(set: &mut Vec<u8>, index: u8, suffix: &[u8], value: &[u8]) {
    set.push(suffix.len() as u8);
    set.push(index);
    set.extend_from_slice(&(value.len() as u16).to_le_bytes());
    set.extend_from_slice(suffix);
    set.extend_from_slice(value);
    set.resize(set.len().next_multiple_of(4), 0);
}
