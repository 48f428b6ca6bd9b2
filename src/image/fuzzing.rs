// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets reach of this module. Built for them only.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Mutex;

use tar::{EntryType, Header};

use super::config::ConfigDocument;
use super::layer::{self, Limits, Reader};
use super::manifest::Document;
use super::pull::decompressed;

/// A manifest, an index or a configuration.
pub fn document(bytes: &[u8]) {
    let Some((which, body)) = bytes.split_first() else { return };
    match which % 4 {
        0 => drop(Document::parse(body, None, 127)),
        1 => drop(Document::parse(body, Some("application/vnd.oci.image.manifest.v1+json"), 127)),
        2 => drop(Document::parse(body, Some("application/vnd.oci.image.index.v1+json"), 127)),
        _ => drop(ConfigDocument::parse(body, usize::from(which / 4))),
    }
}

/// A layer's blob, compressed or not. An image that is made of it is whole, and
/// everything in it can be found.
pub fn layer(blob: &[u8]) {
    let Ok(tar) = decompressed(blob) else { return };
    convert(tar);
}

/// The body of a pax header, and a file that it describes.
pub fn pax(records: &[u8]) {
    let mut tar = Vec::new();
    append(&mut tar, EntryType::XHeader, b"PaxHeaders/f", records);
    append(&mut tar, EntryType::Regular, b"f", b"content");
    tar.resize(tar.len() + 1024, 0);
    convert(tar.as_slice());
}

fn append(tar: &mut Vec<u8>, kind: EntryType, name: &[u8], body: &[u8]) {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(body.len() as u64);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    tar.extend_from_slice(body);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn convert(tar: impl std::io::Read) {
    static OUT: Mutex<Option<File>> = Mutex::new(None);
    let mut out = OUT.lock().expect("no target panics twice");
    let out = out.get_or_insert_with(|| {
        rustix::fs::memfd_create("layer", rustix::fs::MemfdFlags::CLOEXEC).expect("a file").into()
    });
    out.set_len(0).expect("an empty file");
    out.seek(SeekFrom::Start(0)).expect("the start");
    let limits = Limits {
        max_entries: 10_000,
        max_bytes: 64 << 20,
        max_xattr_bytes: 1 << 20,
        ..Limits::default()
    };
    if layer::convert(tar, out, &limits).is_err() {
        return;
    }
    assert!(layer::looks_whole(out).expect("a file that can be read"));
    let reader = Reader::of(out.try_clone().expect("a descriptor")).expect("a superblock");
    let root = reader.root().expect("a root");
    assert!(root.is_directory());
    reader.find(&root, b"etc").expect("a directory that can be read");
}
