// SPDX-License-Identifier: Apache-2.0
//! Builds tars byte by byte, right ones and wrong ones.

#[derive(Clone, Default)]
pub(super) struct Tar {
    pub(super) bytes: Vec<u8>,
}

/// The fields of one header; `..Entry::default()` fills the rest.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) flag: u8,
    pub(super) mode: u64,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: i64,
    pub(super) link: &'a [u8],
    pub(super) device: (u64, u64),
    pub(super) data: &'a [u8],
    /// Stated size, if it is not the data's.
    pub(super) size: Option<u64>,
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self {
            name: b"",
            flag: b'0',
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1_700_000_000,
            link: b"",
            device: (0, 0),
            data: b"",
            size: None,
        }
    }
}

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(&Entry { name: name.as_bytes(), data, ..Entry::default() })
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.entry(&Entry { name: name.as_bytes(), flag: b'5', mode: 0o755, ..Entry::default() })
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(super) fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    fn link(self, flag: u8, name: &str, target: &str) -> Self {
        self.entry(&Entry {
            name: name.as_bytes(),
            flag,
            link: target.as_bytes(),
            mode: 0o777,
            ..Entry::default()
        })
    }

    /// Adds an entry, with GNU long name and link if they do not fit the header.
    pub(super) fn entry(mut self, entry: &Entry) -> Self {
        for (flag, text) in [(b'L', entry.name), (b'K', entry.link)] {
            if text.len() > 100 {
                let data = [text, b"\0"].concat();
                self = self.raw(&Entry {
                    name: b"././@LongLink",
                    flag,
                    data: &data,
                    ..Entry::default()
                });
            }
        }
        self.raw(entry)
    }

    /// Adds one header block and its data.
    pub(super) fn raw(mut self, entry: &Entry) -> Self {
        let size = entry.size.unwrap_or(entry.data.len() as u64);
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &entry.name[..entry.name.len().min(100)]);
        put(100, &octal(entry.mode, 8));
        put(108, &octal(entry.uid, 8));
        put(116, &octal(entry.gid, 8));
        put(124, &octal(size, 12));
        put(136, &time(entry.mtime));
        put(156, &[entry.flag]);
        put(157, &entry.link[..entry.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, &octal(entry.device.0, 8));
        put(337, &octal(entry.device.1, 8));
        self = self.block(block);
        self.data(entry.data)
    }

    /// Adds a header block after setting its checksum.
    pub(super) fn block(mut self, mut block: [u8; 512]) -> Self {
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
        block[148..156].copy_from_slice(&octal(sum, 8));
        self.bytes.extend_from_slice(&block);
        self
    }

    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Adds a pax extended header for the next entry.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            data.extend_from_slice(&record(key, value));
        }
        self.raw(&Entry { name: b"PaxHeaders/x", flag: b'x', data: &data, ..Entry::default() })
    }

    /// The tar with the two blocks that end it.
    pub(super) fn finished(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }
}

/// One pax record, whose length counts its own digits.
pub(super) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    let head = format!("{length} {key}=");
    [head.as_bytes(), value, b"\n"].concat()
}

/// Octal digits and a NUL, or base 256 if they do not suffice.
pub(super) fn octal(value: u64, width: usize) -> Vec<u8> {
    let digits = format!("{value:0width$o}\0", width = width - 1);
    if digits.len() == width {
        return digits.into_bytes();
    }
    let mut field = vec![0; width];
    field[width - 8..].copy_from_slice(&value.to_be_bytes());
    field[0] |= 0x80;
    field
}

fn time(value: i64) -> Vec<u8> {
    match u64::try_from(value) {
        Ok(value) => octal(value, 12),
        Err(_) => [&[0xff; 4][..], &value.to_be_bytes()].concat(),
    }
}
