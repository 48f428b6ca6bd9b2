// SPDX-License-Identifier: Apache-2.0
//! Which devices the workload may open, whatever nodes it makes: a BPF program
//! on its control group (Documentation/admin-guide/cgroup-v2.rst, "Device
//! controller"), with runc's list. Without it, root could make a node of a
//! disk below its own root and write there past the file system.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// A device that may be opened.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub block: bool,
    pub major: u32,
    /// None: all of them.
    pub minor: Option<u32>,
}

/// Character devices. Nodes of all kinds may be made, as in Docker.
const ALWAYS: [(u32, Option<u32>); 10] = [
    (1, Some(3)),    // null
    (1, Some(5)),    // zero
    (1, Some(7)),    // full
    (1, Some(8)),    // random
    (1, Some(9)),    // urandom
    (5, Some(0)),    // tty
    (5, Some(1)),    // console
    (5, Some(2)),    // ptmx
    (10, Some(200)), // net/tun
    (136, None),     // pts/*
];

// Commands, types and flags of linux/bpf.h.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Runtimes in the guest add their own.
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_DEVCG_ACC_MKNOD: i32 = 1;
const BPF_DEVCG_DEV_BLOCK: i32 = 1;
const BPF_DEVCG_DEV_CHAR: i32 = 2;

// Registers: the argument, then what is read from it.
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;
const KIND: u8 = 5;
const RESULT: u8 = 0;

// Operations of linux/bpf.h and linux/bpf_common.h.
const LOAD_WORD: u8 = 0x61; // LDX | MEM | W
const MOVE: u8 = 0xbf; // ALU64 | MOV | X
const SET: u8 = 0xb7; // ALU64 | MOV | K
const AND: u8 = 0x57; // ALU64 | AND | K
const SHIFT_RIGHT: u8 = 0x77; // ALU64 | RSH | K
const JUMP_UNLESS: u8 = 0x55; // JMP | JNE | K
const EXIT: u8 = 0x95; // JMP | EXIT

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    operation: u8,
    /// Destination in the low four bits, source in the high ones.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The first fields of `union bpf_attr` for BPF_PROG_LOAD; the kernel takes
/// those left out for zeros.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

/// The same for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// Puts the rules on a control group and all below it; `more` are allowed, too.
pub fn attach(group: impl AsFd, more: &[Rule]) -> io::Result<()> {
    let instructions = program(more);
    let mut load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
    };
    // SAFETY: the attributes point to so many instructions and to a C string,
    // all of which outlive the call; the kernel copies them.
    let program = unsafe { bpf(BPF_PROG_LOAD, &mut load) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let mut attach = Attach {
        target: group.as_fd().as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: numbers only. The group holds the program from here on.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attach) }.map(drop)
}

/// bpf(2).
///
/// # Safety
/// `attributes` are those of `command`, and what they point to is valid.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: a structure and its size; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    match i32::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns 1 to allow, 0 to deny, for a `struct bpf_cgroup_dev_ctx`: kind and
/// access in one word, major, minor.
fn program(more: &[Rule]) -> Vec<Instruction> {
    let instruction = |operation, to: u8, from: u8, offset, immediate| Instruction {
        operation,
        registers: from << 4 | to,
        offset,
        immediate,
    };
    let load = |to, at| instruction(LOAD_WORD, to, CONTEXT, at, 0);
    let unless = |register, is, skip| instruction(JUMP_UNLESS, register, 0, skip, is);
    let answer = |word| [instruction(SET, RESULT, 0, 0, word), instruction(EXIT, 0, 0, 0, 0)];
    let mut program = vec![
        load(ACCESS, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        instruction(MOVE, KIND, ACCESS, 0, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        unless(ACCESS, BPF_DEVCG_ACC_MKNOD, 2),
    ];
    program.extend(answer(1));
    let always = ALWAYS.map(|(major, minor)| Rule { block: false, major, minor });
    for rule in always.iter().chain(more) {
        let kind = if rule.block { BPF_DEVCG_DEV_BLOCK } else { BPF_DEVCG_DEV_CHAR };
        let mut checks = vec![(KIND, kind), (MAJOR, rule.major.cast_signed())];
        checks.extend(rule.minor.map(|minor| (MINOR, minor.cast_signed())));
        let left = |n: usize| (checks.len() - n + 2) as i16;
        for (n, (register, is)) in (1..).zip(&checks) {
            // Over the rest of them and the answer.
            program.push(unless(*register, *is, left(n)));
        }
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel would run it.
    fn allows(kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let disk = Rule { block: true, major: 254, minor: Some(16) };
        let program = program(&[disk]);
        let mut registers = [0_i64; 11];
        let mut at = 0;
        loop {
            let Instruction { operation, registers: pair, offset, immediate } = program[at];
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            at += 1;
            match operation {
                LOAD_WORD => {
                    let words = [access << 16 | kind, major, minor];
                    registers[to] = words[usize::try_from(offset).unwrap() / 4].into();
                }
                MOVE => registers[to] = registers[from],
                SET => registers[to] = immediate.into(),
                AND => registers[to] &= i64::from(immediate),
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP_UNLESS if registers[to] == i64::from(immediate) => {}
                JUMP_UNLESS => at += usize::try_from(offset).unwrap(),
                EXIT => return registers[usize::from(RESULT)] == 1,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn devices_of_the_list_are_open_and_no_others() {
        use super::{BPF_DEVCG_DEV_BLOCK as BLOCK, BPF_DEVCG_DEV_CHAR as CHAR};
        const READ_WRITE: i32 = 6;
        for (major, minor) in [(1, 3), (1, 9), (5, 0), (5, 2), (10, 200), (136, 0), (136, 77)] {
            assert!(allows(CHAR, READ_WRITE, major, minor), "{major}:{minor}");
            assert!(!allows(BLOCK, READ_WRITE, major, minor), "{major}:{minor}");
        }
        for (major, minor) in [(1, 1), (1, 4), (1, 11), (4, 64), (10, 229), (247, 1), (137, 0)] {
            assert!(!allows(CHAR, 2, major, minor), "{major}:{minor}");
        }
        // One was asked for.
        assert!(allows(BLOCK, READ_WRITE, 254, 16));
        assert!(!allows(CHAR, READ_WRITE, 254, 16) && !allows(BLOCK, READ_WRITE, 254, 17));
        for kind in [BLOCK, CHAR] {
            assert!(allows(kind, BPF_DEVCG_ACC_MKNOD, 254, 0));
            assert!(!allows(kind, BPF_DEVCG_ACC_MKNOD | 2, 254, 0));
        }
    }

    #[test]
    fn structures_have_the_size_of_the_kernels() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!((size_of::<Load>(), size_of::<Attach>()), (24, 16));
    }
}
