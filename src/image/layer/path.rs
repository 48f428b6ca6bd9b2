// SPDX-License-Identifier: Apache-2.0
//! What a tar path may be, and what its last part means (OCI image-spec, layer.md, "Whiteouts").

/// Longest name of one directory entry, on Linux and in the image.
pub(super) const MAX_NAME: usize = 255;

const PREFIX: &[u8] = b".wh.";
const META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry's path asks for. `dir` is the part in front of the last component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// The layer's root directory itself.
    Root,
    /// An entry of this name.
    Plain { dir: &'a [u8], name: &'a [u8] },
    /// Nothing of this name shows through from the layers below.
    Whiteout { dir: &'a [u8], name: &'a [u8] },
    /// Nothing in this directory shows through from the layers below.
    Opaque { dir: &'a [u8] },
    /// Bookkeeping of AUFS.
    Ignored,
}

/// The parts of a path that count: leading, doubled and trailing slashes and `.` do not.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// Checks a path of an entry or of a hard link's target.
pub(super) fn check(path: &[u8], max: usize) -> Result<(), &'static str> {
    if path.len() > max {
        return Err("it is too long");
    }
    if path.contains(&0) {
        return Err("it holds a NUL byte");
    }
    for part in components(path) {
        if part == b".." {
            return Err("it holds a .. component");
        }
        if part.len() > MAX_NAME {
            return Err("a name in it is longer than 255 bytes");
        }
    }
    Ok(())
}

/// Splits a checked path into directory and name, as bytes of the path.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = path.len();
    loop {
        let start = path[..end].iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        match &path[start..end] {
            b"" | b"." if start == 0 => return None,
            b"" | b"." => end = start - 1,
            name => return Some((&path[..start], name)),
        }
    }
}

/// What a checked path means.
pub(super) fn target(path: &[u8]) -> Result<Target<'_>, &'static str> {
    let Some((dir, name)) = split(path) else {
        return Ok(Target::Root);
    };
    if path.windows(PREFIX.len()).any(|w| w == PREFIX) {
        if components(path).any(|part| part.starts_with(META_PREFIX) && part != OPAQUE) {
            return Ok(Target::Ignored);
        }
        if components(dir).any(|part| part.starts_with(PREFIX)) {
            return Err("it runs through a whiteout");
        }
    }
    if name == OPAQUE {
        return Ok(Target::Opaque { dir });
    }
    match name.strip_prefix(PREFIX) {
        Some(b"" | b"." | b"..") => Err("it is a whiteout of no name"),
        Some(name) => Ok(Target::Whiteout { dir, name }),
        None => Ok(Target::Plain { dir, name }),
    }
}
