// SPDX-License-Identifier: Apache-2.0
//! Values of flags in Docker's notations.

use crate::spec::StopTimeout;

/// A size: a number of MiB, or a number with the unit b, k, m, g or t.
pub fn mib(text: &str) -> std::result::Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or(lower.strip_suffix('b')).unwrap_or(&lower);
    let bytes_given = lower.len() < text.len() && lower.ends_with(|c: char| c.is_ascii_digit());
    let (digits, unit) = match lower.strip_suffix(['k', 'm', 'g', 't']) {
        Some(digits) => (digits, lower.as_bytes()[lower.len() - 1]),
        None => (lower, if bytes_given { b'b' } else { b'm' }),
    };
    let number: f64 = digits.parse().map_err(|_| format!("{text:?} is no size"))?;
    if !number.is_finite() || number < 0.0 || digits.starts_with(['+', '-']) {
        return Err(format!("{text:?} is no size"));
    }
    let factor: f64 = match unit {
        b'b' => 1.0 / f64::from(1 << 20),
        b'k' => 1.0 / 1024.0,
        b'm' => 1.0,
        b'g' => 1024.0,
        _ => 1024.0 * 1024.0,
    };
    let mib = (number * factor).ceil();
    // More MiB than this is no machine of ours, and exact in an f64.
    if mib > 1e12 {
        return Err(format!("{text} is too much"));
    }
    Ok(mib as u64)
}

/// A size in bytes, or with a unit, as Docker's go-units reads it.
pub fn bytes(text: &str) -> std::result::Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit()).ok_or_else(invalid)? + 1;
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(invalid()),
    };
    let bytes = number * f64::from(power).exp2();
    // Exact in an f64, and more than any machine has.
    if !(0.0..=9e15).contains(&bytes) {
        return Err(invalid());
    }
    Ok(bytes as u64)
}

/// CPUs, with a fraction allowed, in thousandths.
pub fn cpus(text: &str) -> std::result::Result<u32, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number of CPUs"))?;
    let milli = (number * 1000.0).round();
    if !(10.0..=1e6).contains(&milli) {
        return Err("from 0.01 to 1000".into());
    }
    Ok(milli as u32)
}

/// Whole or fractional seconds.
pub fn seconds(text: &str) -> std::result::Result<std::time::Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    if !(0.001..=1e6).contains(&number) {
        return Err("from 0.001 to 1000000".into());
    }
    Ok(std::time::Duration::from_secs_f64(number))
}

/// Whole seconds, or -1 for ever.
pub fn stop_timeout(text: &str) -> std::result::Result<StopTimeout, String> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(StopTimeout::Never),
        Ok(seconds) => u32::try_from(seconds)
            .map(StopTimeout::Seconds)
            .map_err(|_| "from 0 on, or -1 for ever".into()),
        Err(_) => Err(format!("{text:?} is no number of seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512", 512),
            ("512m", 512),
            ("512MiB", 512),
            ("2g", 2048),
            ("2GB", 2048),
            ("1.5g", 1536),
            ("1048576b", 1),
            ("1b", 1),
            ("1024k", 1),
            ("1t", 1 << 20),
            ("0", 0),
        ] {
            assert_eq!(mib(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "b", "x", "-1", "+1", "1e400", "nan", "inf", "1q", "1 g", "9e20g"] {
            assert!(mib(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_in_bytes() {
        for (text, expected) in [
            ("0", 0),
            ("512", 512),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("32 kB", 32 << 10),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1 m b", "1ib", "1mm", "1e30", "+-1", "nan", "99999p"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn cpus_and_seconds() {
        assert_eq!(cpus("2"), Ok(2000));
        assert_eq!(cpus("0.5"), Ok(500));
        for bad in ["0", "-1", "nan", "", "x", "1e9"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
        assert!(seconds("0").is_err() && seconds("2.5").is_ok());
    }
}
