// SPDX-License-Identifier: Apache-2.0
//! The line for people that goes with each name of a directory (section 7):
//! what `ls -ln` shows.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Half a year, after which the year says more than the hour.
const RECENT: i64 = 182 * 86_400;

/// `now`: seconds since 1970.
pub fn line(name: &[u8], metadata: &Metadata, now: i64) -> Vec<u8> {
    let mut line = format!(
        "{} {:>4} {:<8} {:<8} {:>8} {} ",
        mode(metadata.mode()),
        metadata.nlink(),
        metadata.uid(),
        metadata.gid(),
        metadata.size(),
        date(metadata.mtime(), now),
    )
    .into_bytes();
    line.extend_from_slice(name);
    line
}

fn mode(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn date(time: i64, now: i64) -> String {
    let (year, month, day) = civil(time.div_euclid(86_400));
    let month = MONTHS.get(month).copied().unwrap_or_default();
    if (now - RECENT..=now).contains(&time) {
        let seconds = time.rem_euclid(86_400);
        return format!("{month} {day:>2} {:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    }
    format!("{month} {day:>2}  {year:>4}")
}

/// Year, month from 0 and day of a day since 1970, in the Gregorian calendar:
/// eras of 400 years that begin with March.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 2 } else { from_march - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    (year, usize::try_from(month).unwrap_or_default(), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_modes_are_those_of_ls() {
        let now = 1_795_298_400; // 2026-11-21 22:00
        assert_eq!(date(now - 3600, now), "Nov 21 21:00");
        assert_eq!(date(0, now), "Jan  1  1970");
        assert_eq!(date(951_782_400, now), "Feb 29  2000");
        assert_eq!(date(now + 60, now), "Nov 21  2026");
        assert_eq!(date(-1, now), "Dec 31  1969");
        assert_eq!(mode(0o100_644), "-rw-r--r--");
        assert_eq!(mode(0o041_777), "drwxrwxrwt");
        assert_eq!(mode(0o104_711), "-rws--x--x");
        assert_eq!(mode(0o102_600), "-rw---S---");
        assert_eq!(mode(0o120_777), "lrwxrwxrwx");
    }
}
