// SPDX-License-Identifier: Apache-2.0
//! Streams that a program in the guest claims by name: what it says on the
//! socket, and how much of everything there is. See docs/STREAMS.md.

use std::time::Duration;

/// The socket, in the guest.
pub const SOCKET: &str = "/dev/mvm.sock";

/// mvm-init, for programs in the guest: `/dev/mvm stream ID`.
pub const PROGRAM: &str = "/dev/mvm";

/// Characters of a name.
pub const MAX_NAME: usize = 64;

/// Streams that are joined at once, or wait for a program or the host.
pub const MAX_JOINED: usize = 32;

/// How long one side waits for the other when it says nothing else.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The longest that it may ask for.
pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a program may take to say what it claims.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// Bytes of a line of the handshake.
pub const MAX_LINE: usize = 128;

/// The first byte of a stream that was joined.
pub const JOINED: u8 = b'+';

/// The line that says so to a program.
pub const OK: &str = "ok\n";

/// Why a name is none.
pub fn check_name(name: &str) -> Result<(), String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    match !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(known) {
        true => Ok(()),
        false => Err(format!("a stream's ID has 1 to {MAX_NAME} letters, digits and . _ : -")),
    }
}

/// The line with which a program claims a name: `claim NAME SECONDS`.
pub fn claim(name: &str, window: Duration) -> String {
    format!("claim {name} {}\n", window.as_secs_f64())
}

/// Reads such a line; the time may be left out.
pub fn parse_claim(line: &[u8]) -> Result<(String, Duration), String> {
    let line = std::str::from_utf8(line).map_err(|_| "that is no text".to_owned())?;
    let mut words = line.split_ascii_whitespace();
    let name = match (words.next(), words.next()) {
        (Some("claim"), Some(name)) => name,
        _ => return Err("say: claim ID [SECONDS]".into()),
    };
    check_name(name)?;
    let window = words.next().map_or(Ok(WINDOW), parse_window)?;
    match words.next() {
        None => Ok((name.to_owned(), window)),
        Some(_) => Err("say: claim ID [SECONDS]".into()),
    }
}

/// Reads a number of seconds, with a fraction or not.
pub fn parse_window(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    match (0.0..=MAX_WINDOW.as_secs_f64()).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(format!("from 0 to {} seconds", MAX_WINDOW.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_says_what_and_how_long() {
        let line = claim("a.b:c-1_x", Duration::from_millis(1500));
        let read = parse_claim(line.trim_end().as_bytes());
        assert_eq!(read, Ok(("a.b:c-1_x".into(), Duration::from_millis(1500))));
        assert_eq!(parse_claim(b"claim x"), Ok(("x".into(), WINDOW)));
        assert!(claim(&"x".repeat(MAX_NAME), MAX_WINDOW).len() <= MAX_LINE);
    }

    #[test]
    fn nonsense_is_no_claim() {
        let long = format!("claim {}", "x".repeat(MAX_NAME + 1));
        for line in [
            "",
            "claim",
            "claim  ",
            "give x",
            "claim a/b",
            "claim x y",
            "claim x 1 2",
            "claim x -1",
            "claim x nan",
            "claim x inf",
            "claim x 1e9",
            "claim \u{e9}",
            &long,
        ] {
            assert!(parse_claim(line.as_bytes()).is_err(), "{line}");
        }
        assert!(parse_claim(b"claim \xff").is_err());
    }
}
