// SPDX-License-Identifier: Apache-2.0
//! The keys that take a command off a VM's terminal, in Docker's notation, and
//! how they are found among what is typed.

use std::str::FromStr;

use serde::Deserialize;

use crate::error::Failure;

/// More than anyone types to get away.
const MAX_KEYS: usize = 32;

/// A sequence of keys; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    /// ^P^Q
    fn default() -> Self {
        Self(vec![16, 17])
    }
}

impl FromStr for DetachKeys {
    type Err = Failure;

    /// `a`, `ctrl-a`, `DEL`, several with commas between.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        match keys {
            Some(keys) if keys.len() <= MAX_KEYS => Ok(Self(keys)),
            _ => Err(Failure::new(format!("invalid detach keys {text:?}")).hint(
                "a character, or ctrl- with a to z or one of @ [ \\ ] ^ _; several with commas \
                 between: ctrl-p,ctrl-q",
            )),
        }
    }
}

impl TryFrom<String> for DetachKeys {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self, Failure> {
        text.parse()
    }
}

fn key(name: &str) -> Option<u8> {
    if let (&[byte], true) = (name.as_bytes(), name.is_ascii()) {
        return Some(byte);
    }
    if name == "DEL" {
        return Some(127);
    }
    match name.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [sign @ (b'@' | b'['..=b'_')] => Some(sign - b'@'),
        _ => None,
    }
}

/// Looks for the keys in what is typed, however it is cut into pieces.
pub struct Matcher {
    keys: Vec<u8>,
    /// Typed keys that are held back: how many of the sequence's first.
    held: usize,
}

impl Matcher {
    pub fn new(keys: DetachKeys) -> Self {
        Self { keys: keys.0, held: 0 }
    }

    /// What is typed passes; what may be the start of the sequence is held
    /// back until it is clear. `false`: that was the sequence, and what comes
    /// after it counts no more.
    pub fn pass(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in typed {
            while self.held > 0 && self.keys.get(self.held) != Some(byte) {
                let shorter = self.shorter();
                passed.extend_from_slice(&self.keys[..self.held - shorter]);
                self.held = shorter;
            }
            match self.keys.get(self.held) == Some(byte) {
                true => self.held += 1,
                false => passed.push(*byte),
            }
            if self.held == self.keys.len() {
                return false;
            }
        }
        true
    }

    /// What is held back when nothing is typed any more.
    pub fn rest(&mut self) -> &[u8] {
        &self.keys[..std::mem::take(&mut self.held)]
    }

    /// The longest part of what is held, but not all of it, that the sequence
    /// could have begun with.
    fn shorter(&self) -> usize {
        let held = &self.keys[..self.held];
        (0..held.len()).rev().find(|&length| held.ends_with(&held[..length])).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_notation() {
        for (text, keys) in [
            ("ctrl-p,ctrl-q", &[16, 17][..]),
            ("a", b"a"),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[0, 27, 28, 29, 30, 31]),
            ("ctrl-a,ctrl-z,DEL,Q, ", &[1, 26, 127, b'Q', b' ']),
            ("-,=", b"-="),
        ] {
            assert_eq!(text.parse::<DetachKeys>().unwrap().0, keys, "{text}");
        }
        for text in ["", ",", "ctrl-", "ctrl-A", "ctrl-aa", "ctrl-1", "ctrl-,", "ab", "é", "a,"] {
            assert!(text.parse::<DetachKeys>().unwrap_err().hint.is_some(), "{text}");
        }
        assert!(vec!["a"; 33].join(",").parse::<DetachKeys>().is_err());
    }

    /// What came through, and whether the sequence was found.
    fn typed(keys: &[u8], pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut matcher = Matcher::new(DetachKeys(keys.into()));
        let mut passed = Vec::new();
        for piece in pieces {
            if !matcher.pass(piece, &mut passed) {
                return (passed, true);
            }
        }
        passed.extend_from_slice(matcher.rest());
        (passed, false)
    }

    #[test]
    fn found_and_passed_on_wherever_the_pieces_part() {
        let cases = [
            ("pq", "one pq two", "one ", true),
            ("pq", "ppq", "p", true),
            ("pq", "pxpqx", "px", true),
            ("pq", "no p q, but p", "no p q, but p", false),
            ("aab", "aaab", "a", true),
            ("abac", "ababac", "ab", true),
            ("abac", "abaabab", "abaabab", false),
            ("x", "yx", "y", true),
            ("\0\x7f", "\x7f\0\0\x7f", "\x7f\0", true),
        ];
        for (keys, text, passed, found) in cases {
            let (keys, text) = (keys.as_bytes(), text.as_bytes());
            let expected = (passed.as_bytes().to_vec(), found);
            assert_eq!(typed(keys, &[text]), expected, "{text:?}");
            for cut in 0..=text.len() {
                let (one, two) = text.split_at(cut);
                assert_eq!(typed(keys, &[one, two]), expected, "{text:?} at {cut}");
            }
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(typed(keys, &bytes), expected, "{text:?} in bytes");
        }
    }
}
