// SPDX-License-Identifier: Apache-2.0
//! Tars in memory, converted, and the images read back by a reader that shares no code with
//! the writer.

mod entries;
mod extensions;
mod hostile;
mod mutated;
mod paths;
mod reader;
mod sparse;
mod tar_maker;
mod tools;
#[cfg(target_os = "linux")]
mod umoci;
mod whiteouts;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::{LayerError, Limits, Summary, convert, looks_whole};
use reader::Image;
use tar_maker::Tar;

/// Converts a tar and returns the image's bytes.
fn image_bytes(tar: &[u8], limits: &Limits) -> Result<(Vec<u8>, Summary), LayerError> {
    let mut file = tempfile::tempfile().expect("a temporary file");
    let summary = convert(tar, &file, limits)?;
    assert!(looks_whole(&file).expect("readable"));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).expect("seekable");
    file.read_to_end(&mut bytes).expect("readable");
    assert_eq!(bytes.len() as u64, summary.image_bytes);
    Ok((bytes, summary))
}

fn try_with(tar: &Tar, limits: &Limits) -> Result<(Image, Summary), LayerError> {
    let (bytes, summary) = image_bytes(&tar.finished(), limits)?;
    Ok((Image::read(bytes), summary))
}

/// Converts a tar that must be accepted.
fn image(tar: &Tar) -> Image {
    summary(tar).0
}

fn summary(tar: &Tar) -> (Image, Summary) {
    try_with(tar, &Limits::default()).expect("accepted")
}

/// Converts a tar that must be refused; returns the message.
fn refusal(tar: &Tar) -> String {
    refusal_with(tar, &Limits::default())
}

fn refusal_with(tar: &Tar, limits: &Limits) -> String {
    match try_with(tar, limits) {
        Ok((image, _)) => panic!("accepted: {:?}", image.paths()),
        Err(e) => e.to_string(),
    }
}

/// A new, empty file with a path, for other programs.
fn named() -> (tempfile::NamedTempFile, File) {
    let named = tempfile::NamedTempFile::new().expect("a temporary file");
    let file = named.reopen().expect("open");
    (named, file)
}

/// A test that cannot run here says so.
fn skip(why: &str) {
    crate::skip::skip_because(why);
}
