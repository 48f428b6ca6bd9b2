// SPDX-License-Identifier: Apache-2.0
//! What is written is what is read.

use std::io::Read;

use super::{Entries, Entry, Kind, SparseMap, Writer};

fn entry(kind: Kind, path: &[u8]) -> Entry {
    Entry {
        path: path.to_vec(),
        link: Vec::new(),
        kind,
        mode: 0o4755,
        uid: 7,
        gid: 8,
        mtime: (1_700_000_000, 0),
        size: 0,
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}

fn samples() -> Vec<(Entry, Vec<u8>)> {
    let long = |byte, length| vec![byte; length];
    let mut all = vec![
        (Entry { size: 5, ..entry(Kind::File, b"a") }, b"hello".to_vec()),
        (entry(Kind::File, &long(b'p', 100)), vec![]),
        (entry(Kind::File, &long(b'p', 3000)), vec![]),
        (Entry { link: long(b't', 200), ..entry(Kind::Symlink, b"link") }, vec![]),
        (Entry { link: b"a".to_vec(), ..entry(Kind::HardLink, b"hard") }, vec![]),
        (Entry { device: (254, 70_000), ..entry(Kind::BlockDevice, b"disk") }, vec![]),
        (Entry { device: (1, 3), ..entry(Kind::CharDevice, b"null") }, vec![]),
        (entry(Kind::Fifo, b"fifo"), vec![]),
        (Entry { uid: u32::MAX - 1, gid: 2_097_152, ..entry(Kind::File, b"ids") }, vec![]),
        (Entry { size: 1 << 40, ..entry(Kind::File, "größe".as_bytes()) }, vec![]),
    ];
    for mtime in [(0, 1), (-1, 500_000_000), (-1, 0), (1 << 40, 999_999_999), (-5, 1)] {
        all.push((Entry { mtime, ..entry(Kind::File, b"time") }, vec![]));
    }
    let xattrs = vec![
        (b"user.text".to_vec(), b"two\nlines=\0".to_vec()),
        (b"security.capability".to_vec(), long(0xff, 4000)),
        (b"user.empty".to_vec(), vec![]),
    ];
    all.push((Entry { xattrs, ..entry(Kind::File, b"attributes") }, vec![]));
    let pieces = [(4096, 3), (1 << 33, 2)];
    let sparse = SparseMap::new(pieces, 1 << 34, 5);
    all.push((Entry { sparse, size: 1 << 34, ..entry(Kind::File, b"d/holes") }, b"hello".to_vec()));
    all
}

#[test]
fn entries_survive() {
    for (entry, data) in samples() {
        let mut tar = Writer::new(Vec::new());
        tar.begin(&entry).unwrap();
        tar.data(&data).unwrap();
        let bytes = match entry.stored() == data.len() as u64 {
            true => {
                tar.pad(entry.stored()).unwrap();
                tar.finish().unwrap()
            }
            // Of a file that is too large for a test, the header.
            false => tar.finish().unwrap(),
        };
        let mut entries = Entries::new(&bytes[..]);
        let mut read = entries.next().unwrap().expect("an entry");
        while read.path.ends_with(b"/") {
            read.path.pop();
        }
        assert_eq!(read, entry);
        if entry.stored() == data.len() as u64 && !data.is_empty() {
            assert_eq!(entries.data().unwrap(), data);
            entries.consume(data.len());
            assert!(entries.next().unwrap().is_none());
        }
    }
}

#[test]
fn data_come_from_files_and_nowhere() {
    let mut tar = Writer::new(Vec::new());
    let size = 600_000;
    tar.begin(&Entry { size, ..entry(Kind::File, b"f") }).unwrap();
    let mut source = std::io::repeat(7).take(500_000);
    let mut left = size;
    loop {
        match tar.data_from(&mut source, left).unwrap().unwrap() {
            0 => break,
            count => left -= count as u64,
        }
    }
    tar.zeros(left).unwrap();
    tar.pad(size).unwrap();
    let bytes = tar.finish().unwrap();
    assert_eq!(bytes.len() % 512, 0);
    let data = &bytes[512..][..size as usize];
    assert!(data[..500_000].iter().all(|&b| b == 7) && data[500_000..].iter().all(|&b| b == 0));
}
