// SPDX-License-Identifier: Apache-2.0
//! What can go wrong on the way of a tree, and what is only worth saying.

use std::io;

use crate::archive::{Name, TarError};

/// Notes that are kept; of the others, their number.
const MAX_NOTES: usize = 20;

/// Why a tree was not packed or unpacked to its end. What was whole by then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tar, or the stream that it comes from.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The stream that it goes to.
    #[error("cannot write the archive: {}", text(.0))]
    Stream(io::Error),
    /// A file.
    #[error("cannot {doing} {path}: {}", text(.why))]
    File {
        /// What was to be done with it.
        doing: &'static str,
        /// In the tree, or the file system.
        path: Name,
        /// What the system says.
        why: io::Error,
    },
    /// A name that leads out of the tree, or none at all.
    #[error("refused path {path}: {what}")]
    Path {
        /// As the tar has it.
        path: Name,
        /// The rule it breaks.
        what: &'static str,
    },
    /// A tar without an entry, where one was to come.
    #[error("there is nothing to copy")]
    Empty,
    /// Where it should go, it cannot.
    #[error("{what}: {path}")]
    Landing {
        /// Why.
        what: &'static str,
        /// The place.
        path: Name,
    },
}

/// The outcome of work on a tree.
pub type Result<T> = std::result::Result<T, Error>;

/// Tells what was done with which file.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &[u8]) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &[u8]) -> Result<T> {
        self.map_err(|why| Error::File { doing, path: Name::new(path), why })
    }
}

/// What the system says, as it says it in a sentence: "no such file or directory".
pub fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What was not as it should be, and no reason to stop.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Vec<String>,
    more: usize,
    /// A file gave less than it said that it had.
    pub incomplete: bool,
}

impl Notes {
    pub(crate) fn add(&mut self, note: String) {
        match self.notes.len() < MAX_NOTES {
            true => self.notes.push(note),
            false => self.more += 1,
        }
    }

    /// One for each line, the last of them about those that there is no room for.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("and {} more of these", self.more));
        self.notes.iter().cloned().chain(more)
    }
}
