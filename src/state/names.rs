// SPDX-License-Identifier: Apache-2.0
//! IDs and names of VMs.

use crate::error::{Failure, Result};

const LEFT: [&str; 32] = [
    "agile", "amber", "bold", "brave", "bright", "calm", "clever", "crisp", "daring", "deft",
    "eager", "early", "fair", "fleet", "frank", "gentle", "glad", "grand", "keen", "kind",
    "lively", "lucid", "merry", "neat", "noble", "plucky", "quick", "quiet", "ready", "sharp",
    "steady", "sunny",
];
const RIGHT: [&str; 32] = [
    "alder", "aspen", "badger", "beech", "birch", "cedar", "crane", "curlew", "elm", "falcon",
    "finch", "fir", "fox", "hare", "hazel", "heron", "ibis", "juniper", "kestrel", "larch", "lark",
    "linden", "lynx", "maple", "marten", "otter", "plover", "rowan", "spruce", "stoat", "swift",
    "willow",
];

/// 64 hexadecimal digits, as Docker's.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// Two words; `attempt` above 0 adds a number, for when names run out.
pub fn random_name(attempt: u32) -> Result<String> {
    let mut bytes = [0; 4];
    random(&mut bytes)?;
    let words = format!("{}_{}", LEFT[bytes[0] as usize % 32], RIGHT[bytes[1] as usize % 32]);
    Ok(match attempt {
        0 => words,
        _ => format!("{words}{}", u16::from_le_bytes([bytes[2], bytes[3]])),
    })
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Failure::cannot("get random bytes", e))
}

/// Docker's rule: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`; ours also caps the length.
pub fn validate_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let good = (2..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(allowed);
    if good {
        return Ok(());
    }
    Err(Failure::new(format!("invalid VM name {name:?}"))
        .hint("a name has 2 to 128 of a-z A-Z 0-9 _ . - and begins with a letter or digit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["ab", "web-1", "A_b.c", &"x".repeat(128)] {
            assert!(validate_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-a", ".a", "a b", "a/b", "é1", &"x".repeat(129)] {
            assert!(validate_name(bad).is_err(), "{bad}");
        }
        assert!(validate_name(&random_name(0).unwrap()).is_ok());
        assert!(validate_name(&random_name(1).unwrap()).is_ok());
    }

    #[test]
    fn ids_are_long_and_differ() {
        let (one, two) = (random_id().unwrap(), random_id().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, two);
    }
}
