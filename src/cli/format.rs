// SPDX-License-Identifier: Apache-2.0
//! How lists are shown: tables for people, JSON lines for programs.

mod list;
mod table;
mod template;

pub use list::{ListArgs, Output};
pub use table::{table, table_for_people};
pub use template::Template;

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Failure, Result};
use crate::state::now_ms;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    /// One JSON object for each line
    Json,
}

pub fn json_lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String> {
    let mut text = String::new();
    print_json_lines(rows, |part| {
        text.push_str(part);
        Ok(())
    })?;
    Ok(text)
}

/// As `json_lines`, printed a part at a time: who reads a thousand of them at
/// the other end of a pipe need not wait for the last.
pub fn print_json_lines<T: Serialize>(
    rows: impl IntoIterator<Item = T>,
    mut print: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    const PART: usize = 32 << 10;
    let failed = |e: &dyn std::fmt::Display| Failure::cannot("write JSON", e);
    let mut text = Vec::with_capacity(2 * PART);
    let mut rows = rows.into_iter();
    loop {
        for row in rows.by_ref() {
            serde_json::to_writer(&mut text, &row).map_err(|e| failed(&e))?;
            text.push(b'\n');
            if text.len() >= PART {
                break;
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        print(std::str::from_utf8(&text).map_err(|e| failed(&e))?)?;
        text.clear();
    }
}

/// Whatever a guest or an image wrote, made harmless for a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// A letter that does nothing to a terminal.
pub fn harmless(letter: char) -> char {
    if letter.is_control() { '?' } else { letter }
}

/// A span of time in Docker's words: "About a minute".
pub fn duration(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        s if s < MINUTE => format!("{s} seconds"),
        s if s < 2 * MINUTE => "About a minute".into(),
        s if s < HOUR => format!("{} minutes", s / MINUTE),
        s if s < 2 * HOUR => "About an hour".into(),
        s if s < 2 * DAY => format!("{} hours", s / HOUR),
        s if s < 14 * DAY => format!("{} days", s / DAY),
        s if s < 60 * DAY => format!("{} weeks", s / (7 * DAY)),
        s if s < 730 * DAY => format!("{} months", s / (30 * DAY)),
        s => format!("{} years", s / (365 * DAY)),
    }
}

/// When something was made, by its own word, in milliseconds since 1970.
pub fn parse_time(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// A point in time, RFC 3339, in UTC.
pub fn timestamp(ms: u64) -> String {
    humantime::format_rfc3339_millis(time(ms)).to_string()
}

fn time(ms: u64) -> std::time::SystemTime {
    // The last year that can be written.
    const END: u64 = 253_402_300_799_000;
    std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms.min(END))
}

/// A point in time as Docker prints it, in UTC.
pub fn date(ms: u64) -> String {
    let time = time(ms);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " +0000 UTC")
}

/// "2 minutes ago", from milliseconds since 1970.
pub fn ago(then_ms: u64) -> String {
    format!("{} ago", duration(now_ms().saturating_sub(then_ms) / 1000))
}

/// Bytes in decimal units with three digits, as Docker shows them.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].iter();
    let mut unit = units.next().unwrap_or(&"B");
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let digits = match value {
        v if *unit == "B" || v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let number = format!("{value:.digits$}");
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number
    };
    format!("{number}{unit}")
}

/// Bytes in binary units with four digits, as Docker shows memory.
pub fn memory(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].iter();
    let mut unit = units.next().unwrap_or(&"B");
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = match value {
        v if *unit == "B" || v >= 999.95 => 0,
        v if v >= 99.995 => 1,
        v if v >= 9.9995 => 2,
        _ => 3,
    };
    let number = format!("{value:.digits$}");
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of commands that print JSON, `image ls` and its like by the short one.
    fn with_json(command: &clap::Command, path: &str, names: &mut Vec<String>) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name());
            let json = inner.get_arguments().filter(|arg| arg.get_long() == Some("format"));
            let listed = |arg: &clap::Arg| arg.get_possible_values();
            let mut json = json.filter(|arg| {
                listed(arg).is_empty() || listed(arg).iter().any(|value| value.get_name() == "json")
            });
            if json.next().is_some() {
                names.push(match path.as_str() {
                    "mvm image ls" => "mvm images".into(),
                    "mvm image history" => "mvm history".into(),
                    _ => path.clone(),
                });
            }
            with_json(inner, &path, names);
        }
    }

    #[test]
    fn every_json_is_documented() {
        use clap::CommandFactory;
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/JSON.md");
        let document = std::fs::read_to_string(document).unwrap();
        let mut names = Vec::new();
        with_json(&crate::cli::Cli::command(), "mvm", &mut names);
        assert!(names.contains(&"mvm ps".to_owned()), "{names:?}");
        for name in names {
            let heading = |line: &str| {
                let title = line.strip_prefix("## `").map(|title| title.trim_end_matches('`'));
                title.is_some_and(|t| t == name || t.starts_with(&format!("{name} --format")))
            };
            assert!(document.lines().any(heading), "docs/JSON.md has no `{name} --format json`");
        }
        let schema = format!("**Schema {}**", crate::cli::version::JSON_SCHEMA);
        assert!(document.contains(&schema), "docs/JSON.md is of another schema");
    }

    #[test]
    fn sizes_as_docker_shows_them() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1kB"),
            (4_260_000, "4.26MB"),
            (116_600_000, "117MB"),
            (12_340_000_000, "12.3GB"),
            (999_999, "1MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn memory_as_docker_shows_it() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (512 << 20, "512MiB"),
            (2_088_763_392, "1.945GiB"),
            (12_939_428, "12.34MiB"),
            (1_073_741_823, "1024MiB"),
        ] {
            assert_eq!(memory(bytes), text);
        }
    }

    #[test]
    fn dates_as_docker_prints_them() {
        let ms = parse_time("2024-01-02T03:04:05.678Z").unwrap();
        assert_eq!(date(ms), "2024-01-02 03:04:05 +0000 UTC");
        assert_eq!(date(u64::MAX), "9999-12-31 23:59:59 +0000 UTC");
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn durations_as_docker_says_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3_700, "About an hour"),
            (90_000, "25 hours"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
