// SPDX-License-Identifier: Apache-2.0
//! An EROFS reader of its own, written from the kernel's description of the format, that
//! checks all it passes: checksum, sorted directories, link counts, inline tails.

use std::collections::BTreeMap;

const BLOCK: usize = 4096;

/// An inode as the kernel would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) nid: u64,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    pub(super) mtime: (i64, u32),
    pub(super) size: u64,
    /// Device number as the kernel packs it.
    pub(super) device: u32,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Content of a file, target of a symlink.
    pub(super) data: Vec<u8>,
    /// Offsets of the holes of a file in chunks, and the size of a chunk.
    pub(super) holes: Vec<u64>,
    pub(super) chunk: u64,
}

impl Node {
    pub(super) fn is(&self, kind: u16) -> bool {
        self.mode & 0o170_000 == kind
    }

    pub(super) fn is_whiteout(&self) -> bool {
        self.is(0o020_000) && self.device == 0
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.xattrs.get(&b"trusted.overlay.opaque"[..]) == Some(&b"y".to_vec())
    }
}

/// Every path of an image, the root as the empty one.
pub(super) struct Image {
    pub(super) nodes: BTreeMap<Vec<u8>, Node>,
}

impl Image {
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let disk = Disk::new(bytes);
        let mut nodes = BTreeMap::new();
        let mut todo = vec![(Vec::new(), disk.root, disk.root)];
        let mut names: BTreeMap<u64, u32> = BTreeMap::new();
        let mut subdirs: BTreeMap<u64, u32> = BTreeMap::new();
        let mut inos: BTreeMap<u32, u64> = BTreeMap::new();
        while let Some((path, nid, parent)) = todo.pop() {
            let (node, ino) = disk.node(nid);
            assert_eq!(*inos.entry(ino).or_insert(nid), nid, "inode numbers are unique");
            *names.entry(nid).or_default() += 1;
            if node.is(0o040_000) {
                subdirs.entry(nid).or_default();
                for (name, child, kind) in disk.list(&node.data) {
                    match &name[..] {
                        b"." => assert_eq!(child, nid),
                        b".." => assert_eq!(child, parent),
                        _ => {
                            let kinds = [0, 8, 4, 2, 6, 1, 12, 10];
                            let mode = disk.node(child).0.mode;
                            assert_eq!(mode >> 12, kinds[usize::from(kind)], "file type");
                            if kind == 2 {
                                *subdirs.entry(nid).or_default() += 1;
                            }
                            let path =
                                if path.is_empty() { name } else { [&path[..], &name].join(&b'/') };
                            todo.push((path, child, nid));
                        }
                    }
                }
            }
            nodes.insert(path, node);
        }
        for node in nodes.values_mut() {
            let links = match subdirs.get(&node.nid) {
                Some(subdirs) => 2 + subdirs,
                None => names[&node.nid],
            };
            assert_eq!(node.nlink, links, "link count");
            if node.is(0o040_000) {
                node.data.clear();
            }
        }
        assert_eq!(disk.inodes, names.len() as u64, "inode count");
        Self { nodes }
    }

    #[track_caller]
    pub(super) fn get(&self, path: &str) -> &Node {
        match self.nodes.get(path.as_bytes()) {
            Some(node) => node,
            None => panic!("no {path:?} among {:?}", self.paths()),
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.nodes.contains_key(path.as_bytes())
    }

    /// Every path but the root's, readable.
    pub(super) fn paths(&self) -> Vec<String> {
        let paths = self.nodes.keys().skip(1);
        paths.map(|p| p.escape_ascii().to_string()).collect()
    }
}

struct Disk {
    bytes: Vec<u8>,
    meta: usize,
    root: u64,
    inodes: u64,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Self {
        let mut disk = Self { bytes, meta: 0, root: 0, inodes: 0 };
        assert_eq!(disk.u32(1024), 0xE0F5_E1E2, "magic");
        let mut block = disk.bytes[1024..BLOCK].to_vec();
        block[4..8].fill(0);
        assert_eq!(disk.u32(1028), crc32c(&block), "checksum");
        assert_eq!(disk.bytes[1024 + 12], 12, "block size");
        disk.root = u64::from(disk.u16(1024 + 14));
        disk.inodes = disk.u64(1024 + 16);
        assert_eq!(disk.u32(1024 + 36) as usize * BLOCK, disk.bytes.len());
        disk.meta = disk.u32(1024 + 40) as usize * BLOCK;
        assert_ne!(disk.root, 0);
        disk
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes[at..at + 2].try_into().expect("two bytes"))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().expect("eight bytes"))
    }

    fn node(&self, nid: u64) -> (Node, u32) {
        let at = self.meta + nid as usize * 32;
        assert!(at % BLOCK + 64 <= BLOCK, "an inode in two blocks");
        let format = self.u16(at);
        assert_eq!(format & 1, 1, "extended");
        let xattr_words = usize::from(self.u16(at + 2));
        let xattr_len = if xattr_words == 0 { 0 } else { 12 + 4 * (xattr_words - 1) };
        let mode = self.u16(at + 4);
        let size = self.u64(at + 8);
        let union = self.u32(at + 16);
        let behind = at + 64 + xattr_len;
        let mut node = Node {
            nid,
            mode,
            uid: self.u32(at + 24),
            gid: self.u32(at + 28),
            nlink: self.u32(at + 44),
            mtime: (self.u64(at + 32) as i64, self.u32(at + 40)),
            size,
            device: 0,
            xattrs: self.xattrs(at + 64, behind),
            data: Vec::new(),
            holes: Vec::new(),
            chunk: 0,
        };
        let length = size as usize;
        match (mode >> 12, format >> 1) {
            (2 | 6, 0) => node.device = union,
            (1 | 12, 0) => {}
            (8 | 4 | 10, 0) => {
                let start = union as usize * BLOCK;
                node.data = self.bytes[start..start + length].to_vec();
                let used = length.next_multiple_of(BLOCK);
                let rest = &self.bytes[start + length..start + used];
                assert!(length == 0 || rest.iter().all(|&b| b == 0), "padding");
            }
            (8 | 4 | 10, 2) => {
                let tail = length % BLOCK;
                let start = union as usize * BLOCK;
                if length > tail {
                    node.data = self.bytes[start..start + length - tail].to_vec();
                }
                assert!(tail > 0 && behind % BLOCK + tail <= BLOCK, "tail in two blocks");
                node.data.extend_from_slice(&self.bytes[behind..behind + tail]);
            }
            (8, 4) => self.chunks(&mut node, union, behind),
            other => panic!("layout {other:?}"),
        }
        (node, self.u32(at + 20))
    }

    fn chunks(&self, node: &mut Node, format: u32, index: usize) {
        node.chunk = (BLOCK as u64) << format;
        if node.size > 1 << 30 {
            // Too large to hold: only where the holes are.
            node.chunk = node.chunk.min(node.size);
        }
        for number in 0..node.size.div_ceil((BLOCK as u64) << format) {
            let addr = self.u32(index + 4 * number as usize);
            let length = node.chunk.min(node.size - number * node.chunk) as usize;
            if addr == u32::MAX {
                node.holes.push(number * node.chunk);
            }
            if node.size > 1 << 30 {
                continue;
            }
            if addr == u32::MAX {
                node.data.resize(node.data.len() + length, 0);
            } else {
                let start = addr as usize * BLOCK;
                node.data.extend_from_slice(&self.bytes[start..start + length]);
            }
        }
    }

    fn xattrs(&self, start: usize, end: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut found = BTreeMap::new();
        if start == end {
            return found;
        }
        assert_eq!(self.bytes[start + 4], 0, "no shared ones");
        let mut at = start + 12;
        while at < end {
            let name_len = usize::from(self.bytes[at]);
            let prefix: &[u8] = match self.bytes[at + 1] {
                1 => b"user.",
                2 => b"system.posix_acl_access",
                3 => b"system.posix_acl_default",
                4 => b"trusted.",
                6 => b"security.",
                other => panic!("prefix {other}"),
            };
            let value_len = usize::from(self.u16(at + 2));
            let name = at + 4..at + 4 + name_len;
            let value = name.end..name.end + value_len;
            at = value.end.next_multiple_of(4);
            let name = [prefix, &self.bytes[name]].concat();
            let before = found.insert(name, self.bytes[value].to_vec());
            assert_eq!(before, None, "an attribute twice");
        }
        assert_eq!(at, end);
        found
    }

    /// The entries of a directory in order, which must be the bytewise order of the names.
    fn list(&self, data: &[u8]) -> Vec<(Vec<u8>, u64, u8)> {
        let mut entries: Vec<(Vec<u8>, u64, u8)> = Vec::new();
        for block in data.chunks(BLOCK) {
            let word = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
            let count = word(8) / 12;
            assert!(count > 0 && word(8) % 12 == 0, "first name offset");
            for number in 0..count {
                let at = number * 12;
                let start = word(at + 8);
                let end = if number + 1 < count { word(at + 20) } else { block.len() };
                let name = &block[start..end];
                let name = name.split(|&b| b == 0).next().expect("a name");
                assert!((1..=255).contains(&name.len()), "name length");
                if let Some((last, ..)) = entries.last() {
                    assert!(last[..] < *name, "sorted");
                }
                let nid = u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
                entries.push((name.to_vec(), nid, block[at + 10]));
            }
        }
        entries
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |mut crc, &byte| {
        for bit in 0..8 {
            let mix = (crc ^ u32::from(byte >> bit)) & 1;
            crc = (crc >> 1) ^ if mix == 1 { 0x82F6_3B78 } else { 0 };
        }
        crc
    })
}
