// SPDX-License-Identifier: Apache-2.0
//! `--add-host`, `--dns` and its like. What they hold becomes lines of files in
//! the guest: no value may make a second line.

use std::net::IpAddr;

use crate::error::{Failure, Result};
use crate::spec::{ExtraHost, HOST_GATEWAY};

/// `NAME:IP` or `NAME=IP`; an IPv6 address with brackets or without.
pub fn host(text: &str) -> Result<ExtraHost> {
    let invalid = |why: String| Failure::new(why).hint("--add-host db:10.0.0.5");
    let (name, address) = text
        .find(['=', ':'])
        .and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)))
        .filter(|(name, _)| is_word(name))
        .ok_or_else(|| invalid(format!("bad format for add-host: {text:?}")))?;
    let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(bare) => bare,
        None => address,
    };
    if address != HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
        return Err(invalid(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok(ExtraHost { name: name.into(), address: address.into() })
}

/// The address of a name server.
pub fn server(text: &str) -> Result<String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(Failure::new(format!("IP address is not correctly formatted: {text:?}"))
            .hint("--dns 9.9.9.9")),
    }
}

/// Docker's `.` is no domain at all.
pub fn domains(given: &[String]) -> Result<Vec<String>> {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner)
    };
    let valid = |domain: &str| {
        domain.len() <= 253 && domain.strip_suffix('.').unwrap_or(domain).split('.').all(label)
    };
    if let Some(bad) = given.iter().find(|domain| *domain != "." && !valid(domain)) {
        return Err(
            Failure::new(format!("{bad:?} is not a valid domain")).hint("--dns-search example.com")
        );
    }
    Ok(given.iter().filter(|domain| *domain != ".").cloned().collect())
}

/// A word for the resolver.
pub fn option(text: &str) -> Result<String> {
    match is_word(text) {
        true => Ok(text.into()),
        false => Err(Failure::new(format!("{text:?} is no option of a resolver"))
            .hint("--dns-option ndots:2")),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.contains(|c: char| c <= ' ' || c == '#' || c == '\x7f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_every_notation() {
        for (text, name, address) in [
            ("db:10.0.0.5", "db", "10.0.0.5"),
            ("db=10.0.0.5", "db", "10.0.0.5"),
            ("six:::1", "six", "::1"),
            ("six=[fe80::1]", "six", "fe80::1"),
            ("h:host-gateway", "h", HOST_GATEWAY),
        ] {
            let expected = ExtraHost { name: name.into(), address: address.into() };
            assert_eq!(host(text).unwrap(), expected, "{text}");
        }
        for text in
            ["", "db", ":1.2.3.4", "db:", "db:x", "a b:1.2.3.4", "a\nb:1.2.3.4", "#:1.1.1.1"]
        {
            assert!(host(text).unwrap_err().hint.is_some(), "{text}");
        }
    }

    #[test]
    fn resolvers() {
        assert_eq!(server("9.9.9.9").unwrap(), "9.9.9.9");
        assert_eq!(server("FE80::1").unwrap(), "fe80::1");
        assert!(server("dns.example").is_err() && server("1.1.1.1\nx").is_err());
        let texts = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(domains(&texts(&["a.example", "."])).unwrap(), ["a.example"]);
        for bad in ["", "a..b", "a b", "a\nb", "a/b"] {
            assert!(domains(&texts(&[bad])).is_err(), "{bad:?}");
        }
        assert!(option("ndots:2").is_ok());
        assert!(option("a b").is_err() && option("").is_err() && option("a\nb").is_err());
    }
}
