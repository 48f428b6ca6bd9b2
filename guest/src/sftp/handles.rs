// SPDX-License-Identifier: Apache-2.0
//! What a client has open. A handle is a number that is not used twice.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::io;
use std::path::PathBuf;

use super::wire::{Writer, bad};

/// Open at once.
pub const MAX_HANDLES: usize = 1024;

pub enum Open {
    File(File),
    Directory { path: PathBuf, entries: ReadDir, dots: u8 },
}

#[derive(Default)]
pub struct Handles {
    open: HashMap<u32, Open>,
    last: u32,
}

impl Handles {
    pub fn add(&mut self, open: Open, answer: &mut Writer) -> io::Result<()> {
        if self.open.len() >= MAX_HANDLES {
            return Err(io::Error::other("too many open files"));
        }
        while self.open.contains_key(&self.last) {
            self.last = self.last.wrapping_add(1);
        }
        self.open.insert(self.last, open);
        answer.string(&self.last.to_be_bytes());
        self.last = self.last.wrapping_add(1);
        Ok(())
    }

    pub fn get(&mut self, handle: &[u8]) -> io::Result<&mut Open> {
        self.open.get_mut(&number(handle)?).ok_or_else(|| bad("no such handle"))
    }

    pub fn file(&mut self, handle: &[u8]) -> io::Result<&File> {
        match self.get(handle)? {
            Open::File(file) => Ok(file),
            Open::Directory { .. } => Err(bad("the handle is of a directory")),
        }
    }

    pub fn close(&mut self, handle: &[u8]) -> io::Result<()> {
        self.open.remove(&number(handle)?).map(drop).ok_or_else(|| bad("no such handle"))
    }
}

fn number(handle: &[u8]) -> io::Result<u32> {
    handle.try_into().map(u32::from_be_bytes).map_err(|_| bad("no such handle"))
}
