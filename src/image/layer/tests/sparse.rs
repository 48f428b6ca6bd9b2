// SPDX-License-Identifier: Apache-2.0
//! Sparse files of all four tar formats, with their holes kept.

use super::tar_maker::{Entry, octal};
use super::{Tar, image, refusal, try_with};
use crate::image::layer::Limits;

/// A file of `size` bytes with `pieces` of data, as (offset, bytes).
struct Sparse<'a> {
    size: u64,
    pieces: &'a [(u64, &'a [u8])],
}

impl Sparse<'_> {
    fn data(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|(_, data)| data.to_vec()).collect()
    }

    fn whole(&self) -> Vec<u8> {
        let mut whole = vec![0; self.size as usize];
        for (offset, data) in self.pieces {
            whole[*offset as usize..][..data.len()].copy_from_slice(data);
        }
        whole
    }

    fn old_gnu(&self) -> Tar {
        let data = self.data();
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"f");
        put(100, &octal(0o600, 8));
        put(124, &octal(data.len() as u64, 12));
        put(156, b"S");
        put(257, b"ustar  \0");
        put(483, &octal(self.size, 12));
        let field = |&(offset, data): &(u64, &[u8])| {
            [octal(offset, 12), octal(data.len() as u64, 12)].concat()
        };
        let (first, rest) = self.pieces.split_at(self.pieces.len().min(4));
        for (n, piece) in first.iter().enumerate() {
            put(386 + 24 * n, &field(piece));
        }
        put(482, &[u8::from(!rest.is_empty())]);
        let mut tar = Tar::new().block(block);
        for (n, chunk) in rest.chunks(21).enumerate() {
            let mut block: Vec<u8> = chunk.iter().flat_map(field).collect();
            block.resize(512, 0);
            block[504] = u8::from((n + 1) * 21 < rest.len());
            tar.bytes.extend_from_slice(&block);
        }
        tar.data(&data)
    }

    fn pax_0_0(&self) -> Tar {
        let numbers: Vec<_> = self.numbers().iter().map(u64::to_string).collect();
        let size = self.size.to_string();
        let count = self.pieces.len().to_string();
        let mut records =
            vec![("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.numblocks", count.as_bytes())];
        for pair in numbers.chunks(2) {
            records.push(("GNU.sparse.offset", pair[0].as_bytes()));
            records.push(("GNU.sparse.numbytes", pair[1].as_bytes()));
        }
        Tar::new().pax(&records).file("f", &self.data())
    }

    fn pax_0_1(&self) -> Tar {
        let numbers: Vec<_> = self.numbers().iter().map(u64::to_string).collect();
        let map = numbers.join(",");
        let size = self.size.to_string();
        let records = [
            ("GNU.sparse.name", &b"f"[..]),
            ("GNU.sparse.size", size.as_bytes()),
            ("GNU.sparse.map", map.as_bytes()),
        ];
        Tar::new().pax(&records).file("GNUSparseFile.0/f", &self.data())
    }

    fn pax_1_0(&self) -> Tar {
        let mut data = format!("{}\n", self.pieces.len());
        for number in self.numbers() {
            data += &format!("{number}\n");
        }
        let mut data = data.into_bytes();
        data.resize(data.len().next_multiple_of(512), 0);
        data.extend_from_slice(&self.data());
        let size = self.size.to_string();
        let records = [
            ("GNU.sparse.major", &b"1"[..]),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.realsize", size.as_bytes()),
        ];
        Tar::new().pax(&records).file("GNUSparseFile.0/f", &data)
    }

    fn numbers(&self) -> Vec<u64> {
        self.pieces.iter().flat_map(|(offset, data)| [*offset, data.len() as u64]).collect()
    }

    fn all(&self) -> [Tar; 4] {
        [self.old_gnu(), self.pax_0_0(), self.pax_0_1(), self.pax_1_0()]
    }
}

#[test]
fn every_format_gives_the_same_file() {
    let many: Vec<(u64, &[u8])> = (0..60).map(|n| (n * 12_288 + 100, &b"piece"[..])).collect();
    let files = [
        Sparse { size: 100_000, pieces: &[(0, b"head"), (50_000, &[9; 9000]), (100_000, b"")] },
        Sparse { size: 1 << 20, pieces: &[(4096, &[1; 4096]), (8192, &[2; 5]), (9000, b"x")] },
        Sparse { size: 1 << 20, pieces: &[((1 << 20) - 3, b"end")] },
        Sparse { size: 60 * 12_288, pieces: &many },
        Sparse { size: 5, pieces: &[(0, b"dense")] },
        Sparse { size: 0, pieces: &[] },
        Sparse { size: 70_000, pieces: &[(70_000, b"")] },
    ];
    for file in &files {
        for tar in file.all() {
            let image = image(&tar.file("next", b"n"));
            assert!(image.get("f").data == file.whole());
            assert_eq!(image.get("f").size, file.size);
            assert_eq!(image.get("next").data, b"n");
        }
    }
}

#[test]
fn holes_stay_holes() {
    let file = Sparse { size: 1 << 20, pieces: &[(4096, &[1; 4096]), (500_000, b"x")] };
    let node = image(&file.pax_1_0()).get("f").clone();
    assert_eq!(node.chunk, 4096);
    assert_eq!(node.holes.len(), 256 - 2);
}

#[test]
fn a_huge_file_with_little_in_it_stays_small() {
    // As lastlog is after a user with a large number has logged in.
    for size in [300 << 30, 1 << 40, 1 << 45] {
        let file = Sparse { size, pieces: &[(size - 5, b"entry")] };
        let (image, summary) = try_with(&file.old_gnu(), &Limits::default()).expect("accepted");
        assert_eq!(image.get("f").size, size);
        assert!(summary.image_bytes < 64 << 20, "{}", summary.image_bytes);
    }
}

#[test]
fn maps_that_lie_are_refused() {
    let bad: [(&[u64], u64); 6] = [
        (&[10, 5, 5, 5], 100),
        (&[0, 5, 4, 5], 100),
        (&[96, 5, 101, 5], 100),
        (&[0, 5], 100),
        (&[0, 5, 50, 6], 100),
        (&[u64::MAX, 5, 0, 5], 100),
    ];
    for (numbers, size) in bad {
        let map: Vec<_> = numbers.iter().map(u64::to_string).collect();
        let size = size.to_string();
        let map = map.join(",");
        let records = [("GNU.sparse.size", size.as_bytes()), ("GNU.sparse.map", map.as_bytes())];
        let message = refusal(&Tar::new().pax(&records).file("f", b"1234567890"));
        assert_eq!(message, r#""f": its sparse map is damaged"#);
    }
    let version = [("GNU.sparse.major", &b"2"[..]), ("GNU.sparse.minor", b"0")];
    let message = refusal(&Tar::new().pax(&version).file("f", b""));
    assert!(message.contains("sparse format is not known"), "{message}");
    for map in ["", "x\n", "1\n2\n", "999999999999\n", "300000\n", "1\n0\n5\n"] {
        let records = [
            ("GNU.sparse.major", &b"1"[..]),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"10"),
        ];
        let message = refusal(&Tar::new().pax(&records).file("f", map.as_bytes()));
        assert!(message.contains("sparse map"), "{message}");
    }
    let ustar = Tar::new().entry(&Entry { name: b"f", flag: b'S', ..Entry::default() });
    assert!(refusal(&ustar).contains("not of GNU's format"));
}

#[test]
fn a_sparse_file_pays_for_its_index() {
    let pieces: Vec<(u64, &[u8])> = (0..2000).map(|n| (n << 32, &b"x"[..])).collect();
    let file = Sparse { size: 2000 << 32, pieces: &pieces };
    let limits = Limits { max_bytes: 16 << 20, ..Limits::default() };
    let message = super::refusal_with(&file.pax_1_0(), &limits);
    assert!(message.contains("bytes of file data"), "{message}");
}
