// SPDX-License-Identifier: Apache-2.0
//! `WWW-Authenticate`: which login a registry asks for (RFC 9110 section 11.6.1,
//! RFC 6750, and the distribution project's token authentication).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// A login that is understood, the best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A token from `realm`.
    Bearer {
        /// A URL.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What for; ours outranks it, unless we have none.
        scope: Option<String>,
    },
    /// User name and password with every request.
    Basic,
}

/// The challenge to answer; else the names of those that are not understood.
pub fn choose(headers: &HeaderMap) -> Result<Challenge, String> {
    let mut basic = false;
    let mut strange = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        for (scheme, parameters) in parse(text) {
            let get = |name: &str| {
                parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            };
            match (scheme.as_str(), get("realm")) {
                ("bearer", Some(realm)) => {
                    let (service, scope) = (get("service"), get("scope"));
                    return Ok(Challenge::Bearer { realm, service, scope });
                }
                ("basic", _) => basic = true,
                _ => strange.push(scheme),
            }
        }
    }
    match basic {
        true => Ok(Challenge::Basic),
        false => Err(strange.join(", ")),
    }
}

type Parsed = (String, Vec<(String, String)>);

/// Schemes and their parameters, both in lower case. What makes no sense is
/// passed over.
fn parse(text: &str) -> Vec<Parsed> {
    let mut found: Vec<Parsed> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let trimmed = after.trim_start_matches([' ', '\t']);
        match (trimmed.strip_prefix('='), found.last_mut()) {
            _ if word.is_empty() => break,
            (Some(value), Some((_, parameters))) => {
                let (value, after) = take_value(value.trim_start_matches([' ', '\t']));
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            // A parameter of nothing.
            (Some(value), None) => rest = take_value(value).1,
            (None, _) => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = trimmed;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// A token or a quoted string, and what follows.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[&str]) -> Result<Challenge, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        choose(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull,push""#;
        assert_eq!(
            chosen(&[hub]),
            Ok(bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:library/a:pull,push")
            ))
        );
        assert_eq!(chosen(&["basic realm=x"]), Ok(Challenge::Basic));
        assert_eq!(chosen(&["Basic"]), Ok(Challenge::Basic));
        let both = [r#"Basic realm="a, b", Bearer realm=https://t/x , service = "q\"uoted""#];
        assert_eq!(chosen(&both), Ok(bearer("https://t/x", Some("q\"uoted"), None)));
        assert_eq!(
            chosen(&["Basic realm=\"r\"", "BEARER REALM=\"u\""]),
            Ok(bearer("u", None, None))
        );
    }

    #[test]
    fn what_it_does_not_know_is_named() {
        assert_eq!(chosen(&["Negotiate", "Digest realm=\"x\""]), Err("negotiate, digest".into()));
        assert_eq!(chosen(&["Bearer scope=\"x\""]), Err("bearer".into()));
        assert_eq!(chosen(&[]), Err(String::new()));
    }

    #[test]
    fn nonsense_is_no_panic() {
        for text in [
            "",
            ",,,",
            "=",
            "a=",
            "a==b",
            "\"",
            "Bearer realm=\"",
            "Bearer realm=\"\\",
            "é",
            "Bearer =\"x\"",
            "Bearer a=b=c",
            "(((",
        ] {
            let _ = parse(text);
        }
        assert_eq!(
            parse("Bearer realm=\"half"),
            [("bearer".into(), vec![("realm".into(), "half".into())])]
        );
    }

    #[test]
    fn no_text_is_too_odd() {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            usize::try_from(state >> 40).unwrap_or_default()
        };
        let alphabet: Vec<char> = "aB =,\"\\é\t;/:".chars().collect();
        for _ in 0..20_000 {
            let text: String =
                (0..next() % 24).map(|_| alphabet[next() % alphabet.len()]).collect();
            for (scheme, parameters) in parse(&text) {
                assert!(!scheme.is_empty() && parameters.iter().all(|(key, _)| !key.is_empty()));
            }
        }
    }
}
