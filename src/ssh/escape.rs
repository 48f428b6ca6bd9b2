// SPDX-License-Identifier: Apache-2.0
//! `~.` at the start of a line ends a session, as in ssh(1).

/// What comes first of an escape.
const ESCAPE: u8 = b'~';

/// What is typed on a terminal, looked through.
pub struct Escape {
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    Escaped,
    Within,
}

impl Escape {
    pub fn new() -> Self {
        Self { state: State::LineStart }
    }

    /// Appends to `passed` what is to go on; false if the session is to end.
    pub fn pass(&mut self, typed: &[u8], passed: &mut Vec<u8>) -> bool {
        for byte in typed.iter().copied() {
            match (self.state, byte) {
                (State::LineStart, ESCAPE) => {
                    self.state = State::Escaped;
                    continue;
                }
                (State::Escaped, b'.') => return false,
                // Twice is once, as typed.
                (State::Escaped, ESCAPE) => {}
                (State::Escaped, _) => passed.push(ESCAPE),
                _ => {}
            }
            passed.push(byte);
            let ends_line = matches!(byte, b'\r' | b'\n');
            self.state = if ends_line { State::LineStart } else { State::Within };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> (bool, String) {
        let (mut escape, mut passed) = (Escape::new(), Vec::new());
        let stays = pieces.iter().all(|piece| escape.pass(piece.as_bytes(), &mut passed));
        (stays, String::from_utf8(passed).unwrap())
    }

    #[test]
    fn it_counts_at_the_start_of_a_line_only() {
        assert_eq!(typed(&["~."]), (false, String::new()));
        assert_eq!(typed(&["ls\r", "~", "."]), (false, "ls\r".into()));
        assert_eq!(typed(&["cd ~.\r"]), (true, "cd ~.\r".into()));
        assert_eq!(typed(&["~~.\r"]), (true, "~.\r".into()));
        assert_eq!(typed(&["~/bin\r~"]), (true, "~/bin\r".into()));
        assert_eq!(typed(&["~x.\r~."]), (false, "~x.\r".into()));
    }
}
