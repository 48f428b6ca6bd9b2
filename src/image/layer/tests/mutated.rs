// SPDX-License-Identifier: Apache-2.0
//! Tars with random damage: an error or a whole image, never a panic, never long.

use std::time::{Duration, Instant};

use super::reader::Image;
use super::tar_maker::Entry;
use super::{Tar, image_bytes};
use crate::image::layer::Limits;

/// xorshift64*: the same damage in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let map = b"2\n0\n5\n9000\n3\n";
    let mut sparse = map.to_vec();
    sparse.resize(512, 0);
    sparse.extend_from_slice(b"12345678");
    let rich = Tar::new()
        .dir("./")
        .dir("d")
        .pax(&[("SCHILY.xattr.user.x", b"1\n2"), ("mtime", b"-5.25")])
        .file("d/f", &[1; 600])
        .hardlink("d/g", "d/f")
        .symlink("l", "d")
        .file("l/.wh.x", b"")
        .file("l/.wh..wh..opq", b"")
        .symlink(&"n".repeat(200), &"t".repeat(300))
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"sparse"),
            ("GNU.sparse.realsize", b"10000"),
        ])
        .file("x", &sparse)
        .entry(&Entry { name: b"dev", flag: b'3', device: (1, 3), ..Entry::default() })
        .file(".wh.d", b"");
    let small = Tar::new().file("a", b"1").dir("b").file("b/c", b"2");
    vec![rich.finished(), small.finished()]
}

/// Makes the checksum of every header-sized block fit, so that damage gets further in.
fn fix_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
        }
    }
}

#[test]
fn no_damage_panics_or_takes_long() {
    let seeds = seeds();
    let limits = Limits { max_bytes: 8 << 20, max_entries: 10_000, ..Limits::default() };
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    let rounds = 3000;
    for round in 0..rounds {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len());
            match random.below(6) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = random.next() as u8,
                2 => bytes[at] = b"0123457xLKSg/.\0 \n="[random.below(18)],
                3 => bytes.truncate(at.max(1)),
                4 => {
                    // A block comes twice or goes.
                    let block = at / 512 * 512;
                    let end = (block + 512).min(bytes.len());
                    let copy = bytes[block..end].to_vec();
                    let to = random.below(bytes.len()) / 512 * 512;
                    bytes.splice(to..to, copy);
                }
                _ => {
                    let block = at / 512 * 512;
                    let field = [0, 100, 108, 124, 136, 156, 157, 329, 345][random.below(9)];
                    let value = random.next().to_le_bytes();
                    for (n, byte) in value.iter().enumerate().take(random.below(8) + 1) {
                        if let Some(place) = bytes.get_mut(block + field + n) {
                            *place = *byte;
                        }
                    }
                }
            }
        }
        if round % 4 != 0 {
            fix_checksums(&mut bytes);
        }
        let start = Instant::now();
        if let Ok((image, _)) = image_bytes(&bytes, &limits) {
            Image::read(image);
            accepted += 1;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "round {round}");
    }
    // Both ways out must have been met often, or the damage is not well chosen.
    assert!((rounds / 20..rounds * 19 / 20).contains(&accepted), "{accepted}");
}
