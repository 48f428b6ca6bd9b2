// SPDX-License-Identifier: Apache-2.0
//! Points in time as Docker takes them: how long ago, as Go writes durations;
//! a date of RFC 3339 with parts left out, local where it names no zone; or
//! seconds since 1970.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Failure, Result};

/// Nanoseconds since 1970; before that, 0.
pub fn point_in_time(text: &str) -> Result<u64> {
    parse(text, Timestamp::now(), TimeZone::system).map(nanoseconds).ok_or_else(|| {
        Failure::new(format!("{text:?} is no point in time")).hint(
            "say 10m or 1h30m for how long ago, 2026-01-31, 2026-01-31T12:00:00Z \
             or seconds since 1970",
        )
    })
}

/// As a value of a flag.
pub fn flag(text: &str) -> std::result::Result<u64, String> {
    point_in_time(text).map_err(|failure| match failure.hint {
        Some(hint) => format!("{}: {hint}", failure.message),
        None => failure.message,
    })
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond().max(0)).unwrap_or(u64::MAX)
}

fn parse(text: &str, now: Timestamp, zone: impl Fn() -> TimeZone) -> Option<Timestamp> {
    if let Some(ago) = go_duration(text) {
        return now.checked_sub(ago).ok();
    }
    seconds(text).or_else(|| date(text, zone))
}

/// `SECONDS[.FRACTION]`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

/// A date, with as much of the time as was given.
fn date(text: &str, zone: impl Fn() -> TimeZone) -> Option<Timestamp> {
    let (day, time) = text.split_once('T').unwrap_or((text, ""));
    // A zone may stand behind a date alone, too.
    let part = if text.contains('T') { time } else { day.get(10..)? };
    let (clock, offset) = match part.find(['Z', '+', '-']) {
        Some(at) => part.split_at(at),
        None => (part, ""),
    };
    let day = day.get(..10)?;
    let clock = match clock.len() {
        0 if !text.contains('T') => "00:00:00".to_owned(),
        2 => format!("{clock}:00:00"),
        5 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    let whole = format!("{day}T{clock}");
    if offset.is_empty() {
        let civil: DateTime = whole.parse().ok()?;
        return Some(civil.to_zoned(zone()).ok()?.timestamp());
    }
    format!("{whole}{offset}").parse().ok()
}

/// A duration of Go: `1h30m`, `1.5s`, `-10m`. A unit must be there, but for 0.
fn go_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" || rest.is_empty() {
        // Docker takes a bare 0 for the beginning of 1970.
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, after) = rest.split_at(number);
        let (unit, after) = unit(after)?;
        total = total.checked_add(scaled(value, unit)?)?;
        rest = after;
    }
    let total = total * sign;
    let limit = i128::from(i64::MAX);
    (-limit..=limit).contains(&total).then(|| SignedDuration::from_nanos(total as i64))
}

/// Nanoseconds of the unit that comes first, and what follows it.
fn unit(text: &str) -> Option<(i128, &str)> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    UNITS.iter().find_map(|(name, size)| Some((*size, text.strip_prefix(name)?)))
}

/// `value` times `unit`; digits below a nanosecond are dropped.
fn scaled(value: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || fraction.len() > 15 {
        return None;
    }
    let number = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<i128>().ok(),
    };
    let power = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    number(whole)?.checked_mul(unit)?.checked_add(number(fraction)?.checked_mul(unit)? / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<String> {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let zone = || TimeZone::fixed(jiff::tz::offset(2));
        parse(text, now, zone).map(|time| time.to_string())
    }

    #[test]
    fn points_in_time() {
        for (text, expected) in [
            ("10m", "2026-11-21T11:50:00Z"),
            ("1h30m", "2026-11-21T10:30:00Z"),
            ("1.5s", "2026-11-21T11:59:58.5Z"),
            ("100ms20us", "2026-11-21T11:59:59.89998Z"),
            ("-1h", "2026-11-21T13:00:00Z"),
            ("0s", "2026-11-21T12:00:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("10", "1970-01-01T00:00:10Z"),
            ("1136073600.000000001", "2006-01-01T00:00:00.000000001Z"),
            ("2026-01-31", "2026-01-30T22:00:00Z"),
            ("2026-01-31Z", "2026-01-31T00:00:00Z"),
            ("2026-01-31T08", "2026-01-31T06:00:00Z"),
            ("2026-01-31T08:15", "2026-01-31T06:15:00Z"),
            ("2026-01-31T08:15:30", "2026-01-31T06:15:30Z"),
            ("2026-01-31T08:15:30.25", "2026-01-31T06:15:30.25Z"),
            ("2026-01-31T08:15:30.25Z", "2026-01-31T08:15:30.25Z"),
            ("2026-01-31T08Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31T08:15-05:00", "2026-01-31T13:15:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "-",
            ".",
            "soon",
            "h",
            "1d",
            "1h30",
            "1.2.3s",
            "2026-13-01",
            "2026-01-31T",
            "2026-01-31T25",
            "2026-01-31T08:15:30.Z",
            "é026-01-31",
            "2026-01-3é",
            "99999999999999999999",
            "9999999999999999999h",
            "1..5",
            "+",
            "2026-01-31T08:15:30X",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert!(point_in_time("soon").unwrap_err().hint.is_some());
        assert_eq!(point_in_time("10").unwrap(), 10_000_000_000);
    }
}
