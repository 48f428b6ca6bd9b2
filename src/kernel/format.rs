// SPDX-License-Identifier: Apache-2.0
//! Reads a kernel file's headers: ELF-64 (System V gABI, chapters 4 and 5)
//! with the PVH note of Xen's `elfnote.h`, and the arm64 Image header
//! (Documentation/arch/arm64/booting.rst). The file is the user's and may be
//! anything: all sizes are checked before they are used.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::{Arch, KernelError};

/// What is wrong with a file, whichever it is.
#[derive(Debug)]
pub(super) enum Problem {
    Read(io::Error),
    WrongArchitecture(String),
    Truncated(String),
    Format(&'static str),
    NoPvh,
}

impl Problem {
    pub fn at(self, path: &Path, wanted: Arch) -> KernelError {
        let path = path.to_owned();
        match self {
            Problem::Read(source) => KernelError::Unreadable { path, source },
            Problem::WrongArchitecture(found) => {
                KernelError::WrongArchitecture { path, found, wanted }
            }
            Problem::Truncated(why) => KernelError::Truncated { path, why },
            Problem::Format(found) => KernelError::Format { path, found, wanted },
            Problem::NoPvh => KernelError::NoPvh { path },
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Problem::Truncated("it ends early".into()),
            _ => Problem::Read(error),
        }
    }
}

const ELF_HEADER: usize = 64;
const PROGRAM_HEADER: u16 = 56;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;

/// XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader, such as QEMU's, jumps to.
const PVH_NOTE: u32 = 18;

/// More program headers than any kernel has; and notes.
const MOST_HEADERS: u16 = 128;
const MOST_NOTES: u64 = 64 * 1024;

/// Enough of the file to tell its format.
const START: u64 = 1024;

/// Whether a file is a kernel to boot as `arch`.
pub(super) fn check(file: &mut (impl Read + Seek), arch: Arch) -> Result<(), Problem> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut start = Vec::with_capacity(2 * START as usize);
    file.take(START).read_to_end(&mut start)?;
    if start.is_empty() {
        return Err(Problem::Truncated("it is empty".into()));
    }
    match (recognize(&start), arch) {
        (Found::Elf, Arch::X86_64) => elf(file, &start, size),
        (Found::Image, Arch::Aarch64) => Ok(()),
        (Found::Elf, Arch::Aarch64) => match elf_machine(&start)? {
            EM_AARCH64 => Err(Problem::Format("an ELF file")),
            other => Err(Problem::WrongArchitecture(machine_name(other))),
        },
        (Found::Image, Arch::X86_64) => Err(Problem::WrongArchitecture(Arch::Aarch64.to_string())),
        (Found::BzImage, Arch::Aarch64) => {
            Err(Problem::WrongArchitecture(Arch::X86_64.to_string()))
        }
        (Found::BzImage, Arch::X86_64) => Err(Problem::Format("a bzImage")),
        (Found::Other(what), _) => Err(Problem::Format(what)),
    }
}

enum Found {
    Elf,
    Image,
    BzImage,
    Other(&'static str),
}

fn recognize(start: &[u8]) -> Found {
    let at = |offset: usize, magic: &[u8]| {
        start.get(offset..).is_some_and(|rest| rest.starts_with(magic))
    };
    if at(0, b"\x7fELF") {
        Found::Elf
    } else if at(0x38, b"ARM\x64") {
        Found::Image
    } else if at(0x202, b"HdrS") && at(0x1fe, &[0x55, 0xaa]) {
        Found::BzImage
    } else if at(0, &[0x1f, 0x8b]) {
        Found::Other("compressed with gzip")
    } else if at(0, &[0x28, 0xb5, 0x2f, 0xfd]) {
        Found::Other("compressed with zstd")
    } else if at(0, b"\xfd7zXZ\0") {
        Found::Other("compressed with xz")
    } else if at(0, b"MZ") {
        Found::Other("an EFI program")
    } else {
        Found::Other("of an unknown format")
    }
}

fn elf_machine(start: &[u8]) -> Result<u16, Problem> {
    if start.len() < ELF_HEADER {
        return Err(Problem::Truncated("it ends in its ELF header".into()));
    }
    Ok(u16_at(start, 18))
}

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "i386".into(),
        EM_X86_64 => "x86_64".into(),
        EM_AARCH64 => "aarch64".into(),
        243 => "riscv64".into(),
        other => format!("ELF machine {other}"),
    }
}

fn elf(file: &mut (impl Read + Seek), start: &[u8], size: u64) -> Result<(), Problem> {
    const CLASS_64_LITTLE_ENDIAN: [u8; 2] = [2, 1];
    let machine = elf_machine(start)?;
    if machine != EM_X86_64 {
        return Err(Problem::WrongArchitecture(machine_name(machine)));
    }
    if start[4..6] != CLASS_64_LITTLE_ENDIAN {
        return Err(Problem::WrongArchitecture("a 32-bit or big-endian x86".into()));
    }
    let (table, entry, count) = (u64_at(start, 32), u16_at(start, 54), u16_at(start, 56));
    if count == 0 || count > MOST_HEADERS || entry != PROGRAM_HEADER {
        return Err(Problem::Format("an ELF file that is no kernel"));
    }
    let within = |what: &str, offset: u64, length: u64| match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(Problem::Truncated(format!("its {what} lies beyond its {size} bytes"))),
    };
    let length = usize::from(count) * usize::from(entry);
    within("program header table", table, length as u64)?;
    let mut headers = vec![0; length];
    file.seek(SeekFrom::Start(table))?;
    file.read_exact(&mut headers)?;

    let (mut loads, mut pvh) = (false, false);
    for header in headers.chunks_exact(usize::from(entry)) {
        let (kind, offset, length) = (u32_at(header, 0), u64_at(header, 8), u64_at(header, 32));
        within("program", offset, length)?;
        loads |= kind == PT_LOAD;
        if kind == PT_NOTE && !pvh {
            let mut notes = Vec::with_capacity(4096);
            file.seek(SeekFrom::Start(offset))?;
            file.take(length.min(MOST_NOTES)).read_to_end(&mut notes)?;
            pvh = has_pvh_note(&notes);
        }
    }
    // The section table is not needed to boot. But it is the last thing in
    // the file, so that its absence tells of a copy that was cut short.
    let (sections, entry, count) = (u64_at(start, 40), u16_at(start, 58), u16_at(start, 60));
    within("section header table", sections, u64::from(entry) * u64::from(count))?;
    match (loads, pvh) {
        (false, _) => Err(Problem::Format("an ELF file that is no kernel")),
        (true, false) => Err(Problem::NoPvh),
        (true, true) => Ok(()),
    }
}

/// Notes are a name's size, a descriptor's size and a type, then both, each
/// padded to four bytes.
fn has_pvh_note(mut notes: &[u8]) -> bool {
    while notes.len() >= 12 {
        let sizes = [u32_at(notes, 0), u32_at(notes, 4)].map(|n| (n as usize).next_multiple_of(4));
        let kind = u32_at(notes, 8);
        if kind == PVH_NOTE && notes[12..].starts_with(b"Xen\0") && u32_at(notes, 0) == 4 {
            return true;
        }
        let Some(rest) = notes.get(12usize.saturating_add(sizes[0]).saturating_add(sizes[1])..)
        else {
            return false;
        };
        notes = rest;
    }
    false
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes([bytes[offset], bytes[offset + 1]])
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from(u16_at(bytes, offset)) | u32::from(u16_at(bytes, offset + 2)) << 16
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}
