// SPDX-License-Identifier: Apache-2.0
//! Signals of the guest, which is Linux: by name and number.

pub const TERM: u32 = 15;

/// Signals of Linux guests by name (signal(7), x86 and Arm), from 1 on.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal by its name, with or without SIG, or by its number.
pub fn parse(text: &str) -> Result<u32, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = SIGNALS.iter().position(|signal| *signal == name) {
        return Ok(at as u32 + 1);
    }
    let real_time = name.strip_prefix("RTMIN").map(|more| match more.strip_prefix('+') {
        Some(more) => more.parse::<u32>().ok().and_then(|more| more.checked_add(34)),
        None => more.is_empty().then_some(34),
    });
    match real_time.unwrap_or_else(|| name.parse().ok()) {
        Some(number @ 1..=64) => Ok(number),
        _ => Err(format!("{text:?} is no signal")),
    }
}

/// A signal's name, SIG and all; for one without, its number.
pub fn name(signal: u32) -> String {
    let at = usize::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
    match at.and_then(|at| SIGNALS.get(at)) {
        Some(name) => format!("SIG{name}"),
        None => signal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_number() {
        for (text, number) in
            [("KILL", 9), ("sigterm", 15), ("2", 2), ("SIGRTMIN+3", 37), ("rtmin", 34), ("SYS", 31)]
        {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "SIG", "TERMX", "-9", "RTMIN+40", "RTMIN-1", "RTMIN+"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_come_back() {
        for signal in 1..=64 {
            assert_eq!(parse(&name(signal)), Ok(signal));
        }
        assert_eq!((name(15).as_str(), name(0).as_str()), ("SIGTERM", "0"));
    }
}
