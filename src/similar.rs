// SPDX-License-Identifier: Apache-2.0
//! "Did you mean": the word that someone mistyped.

use strsim::damerau_levenshtein;

/// More candidates than a person has are not looked through.
const MAX_CANDIDATES: usize = 10_000;
/// A longer word is no slip of a key.
const MAX_WORD: usize = 128;

/// The candidate that is nearest to `word`, if one is near: a third of the
/// letters may be wrong.
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>) -> Option<S> {
    if word.is_empty() || word.len() > MAX_WORD {
        return None;
    }
    let far = word.chars().count().div_ceil(3);
    let distance = |candidate: S| {
        let text = candidate.as_ref();
        let off = match text.len() > MAX_WORD {
            true => usize::MAX,
            // What was not typed to its end is near, too.
            false if word.len() >= 3 && text.starts_with(word) => 1,
            false => damerau_levenshtein(word, text),
        };
        (off, candidate)
    };
    let near = candidates.into_iter().take(MAX_CANDIDATES).map(distance);
    near.filter(|(off, _)| *off <= far).min_by_key(|(off, _)| *off).map(|(_, candidate)| candidate)
}

/// As a hint.
pub fn did_you_mean<S: AsRef<str>>(
    word: &str,
    candidates: impl IntoIterator<Item = S>,
) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean {}?", candidate.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_a_key_are_seen() {
        let known = ["web", "database", "start", "stop"];
        for (word, near) in [
            ("wbe", Some("web")),
            ("wep", Some("web")),
            ("databse", Some("database")),
            ("data", Some("database")),
            ("stpo", Some("stop")),
            ("xyz", None),
            ("", None),
            ("q", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
        assert_eq!(did_you_mean("wbe", known).unwrap(), "did you mean web?");
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
