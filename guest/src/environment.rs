// SPDX-License-Identifier: Apache-2.0
//! The environment of a process: what the host sent, and Docker's additions
//! for what it did not.

/// Docker's own, for images that set none.
pub const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's word on what every terminal can do.
const TERM: &[u8] = b"xterm";

/// Later entries win; PATH and HOSTNAME are added if missing, on a terminal
/// TERM too, HOME also if empty.
pub fn complete(entries: &[Vec<u8>], home: &[u8], hostname: &[u8], terminal: bool) -> Vec<Vec<u8>> {
    let mut complete: Vec<Vec<u8>> = Vec::with_capacity(entries.len() + 4);
    for entry in entries {
        match complete.iter_mut().find(|earlier| name(earlier) == name(entry)) {
            Some(earlier) => earlier.clone_from(entry),
            None => complete.push(entry.clone()),
        }
    }
    let term = terminal.then_some((&b"TERM"[..], TERM));
    let always = [(&b"PATH"[..], DEFAULT_PATH), (b"HOSTNAME", hostname)];
    for (key, value) in always.into_iter().chain(term) {
        if get(&complete, key).is_none() {
            complete.push([key, b"=", value].concat());
        }
    }
    if get(&complete, b"HOME").is_none_or(<[u8]>::is_empty) {
        complete.retain(|entry| name(entry) != b"HOME");
        complete.push([b"HOME=", home].concat());
    }
    complete
}

/// The value of a variable.
pub fn get<'a>(environment: &'a [Vec<u8>], key: &[u8]) -> Option<&'a [u8]> {
    environment.iter().find(|entry| name(entry) == key)?.get(key.len() + 1..)
}

fn name(entry: &[u8]) -> &[u8] {
    entry.split(|b| *b == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete_text(entries: &[&str]) -> Vec<String> {
        let entries: Vec<_> = entries.iter().map(|e| e.as_bytes().to_vec()).collect();
        complete(&entries, b"/root", b"box", false)
            .into_iter()
            .map(|entry| String::from_utf8(entry).unwrap())
            .collect()
    }

    #[test]
    fn what_is_missing_is_added() {
        let path = format!("PATH={}", String::from_utf8_lossy(DEFAULT_PATH));
        assert_eq!(complete_text(&[]), [&path, "HOSTNAME=box", "HOME=/root"]);
        let own = ["PATH=", "HOSTNAME=", "HOME=/h"];
        assert_eq!(complete_text(&own), own);
        assert_eq!(complete_text(&["HOME=", "PATH=/b", "HOSTNAME=x"])[2], "HOME=/root");
    }

    #[test]
    fn a_terminal_has_a_name() {
        let term = |entries: &[Vec<u8>]| {
            let all = complete(entries, b"/", b"box", true);
            get(&all, b"TERM").map(<[u8]>::to_vec)
        };
        assert_eq!(term(&[]).as_deref(), Some(TERM));
        assert_eq!(term(&[b"TERM=vt100".to_vec()]).as_deref(), Some(&b"vt100"[..]));
        assert_eq!(term(&[b"TERM=".to_vec()]).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_later_of_two_wins_in_the_place_of_the_first() {
        let all = complete_text(&["A=1", "PATHS=3", "A=2=3", "B"]);
        assert_eq!(all[..3], ["A=2=3", "PATHS=3", "B"]);
        let all: Vec<_> = all.into_iter().map(String::into_bytes).collect();
        assert_eq!(get(&all, b"A"), Some(&b"2=3"[..]));
        assert_eq!(get(&all, b"B"), None);
        assert_eq!(get(&all, b"PATH"), Some(DEFAULT_PATH));
    }
}
