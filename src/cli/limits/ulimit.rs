// SPDX-License-Identifier: Apache-2.0
//! `--ulimit`, as github.com/docker/go-units reads it.

use crate::error::{Failure, Result};
use crate::spec::{Limits, Ulimit};

/// Docker's names, and the numbers of RLIMIT_* on Linux.
const RESOURCES: [(&str, u32); 15] = [
    ("core", 4),
    ("cpu", 0),
    ("data", 2),
    ("fsize", 1),
    ("locks", 10),
    ("memlock", 8),
    ("msgqueue", 12),
    ("nice", 13),
    ("nofile", 7),
    ("nproc", 6),
    ("rss", 5),
    ("rtprio", 14),
    ("rttime", 15),
    ("sigpending", 11),
    ("stack", 3),
];

/// RLIMIT_NOFILE.
const FILES: u32 = 7;
/// What the kernel allows nobody to exceed (fs.nr_open).
const MAX_FILES: i64 = 1 << 20;
const MAX_FILES_SYSCTL: &str = "fs.nr_open";

pub fn parse(text: &str) -> std::result::Result<Ulimit, String> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    let Some((name, resource)) = RESOURCES.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = RESOURCES.iter().map(|(known, _)| *known).collect();
        return Err(format!("invalid ulimit type: {name} (one of {})", known.join(", ")));
    };
    let number = |text: &str| match text.parse::<i64>() {
        Ok(number @ -1..) => Ok(number),
        _ => Err(format!("{text:?} is no limit")),
    };
    let (soft, hard) = match limits.split(':').collect::<Vec<_>>()[..] {
        [both] => (number(both)?, number(both)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        let shown = if soft == -1 { "-1 (unlimited)".into() } else { soft.to_string() };
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {shown} > {hard}"
        ));
    }
    Ok(Ulimit { name: (*name).into(), resource: *resource, soft, hard })
}

/// The later of two for the same thing wins.
pub fn last_of_each(given: &[Ulimit]) -> Vec<Ulimit> {
    let mut kept: Vec<Ulimit> = Vec::new();
    for limit in given {
        kept.retain(|earlier| earlier.resource != limit.resource);
        kept.push(limit.clone());
    }
    kept
}

/// Open files are limited even for root, unless the kernel is told otherwise.
pub fn check_files(limits: &Limits) -> Result<()> {
    let too_many =
        |limit: &&Ulimit| limit.resource == FILES && !(0..=MAX_FILES).contains(&limit.hard);
    match limits.ulimits.iter().find(too_many) {
        Some(limit) if !limits.sysctls.contains_key(MAX_FILES_SYSCTL) => {
            Err(Failure::new(format!(
                "--ulimit nofile={}:{}: the kernel allows {MAX_FILES} at most",
                limit.soft, limit.hard
            ))
            .hint(format!("raise that, too: --sysctl {MAX_FILES_SYSCTL}=2097152")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_notation() {
        for (text, resource, soft, hard) in [
            ("nofile=1024", 7, 1024, 1024),
            ("nofile=1024:4096", 7, 1024, 4096),
            ("core=-1", 4, -1, -1),
            ("core=0:-1", 4, 0, -1),
            ("stack=8388608", 3, 8_388_608, 8_388_608),
        ] {
            let limit = parse(text).unwrap();
            assert_eq!((limit.resource, limit.soft, limit.hard), (resource, soft, hard), "{text}");
        }
        for (text, says) in [
            ("nofile", "invalid ulimit argument"),
            ("as=1", "invalid ulimit type: as"),
            ("nofile=", "no limit"),
            ("nofile=1:2:3", "too many"),
            ("nofile=2:1", "2 > 1"),
            ("nofile=-1:1", "-1 (unlimited) > 1"),
            ("nofile=-2", "no limit"),
            ("nofile=unlimited", "no limit"),
            ("nofile=99999999999999999999", "no limit"),
        ] {
            assert!(parse(text).unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn files_have_a_limit_of_the_kernel() {
        let check = |text: &str, sysctl: Option<&str>| {
            let sysctls =
                sysctl.map(|name| (name.to_owned(), "1".to_owned())).into_iter().collect();
            let ulimits = vec![parse(text).unwrap()];
            check_files(&Limits { ulimits, sysctls, ..Limits::default() })
        };
        assert!(check("nofile=1048576", None).is_ok());
        assert!(check("nofile=2097152", Some("fs.nr_open")).is_ok());
        assert!(check("core=-1", None).is_ok());
        assert!(check("nofile=1048577", None).is_err() && check("nofile=-1", None).is_err());
    }

    #[test]
    fn the_later_wins() {
        let given: Vec<Ulimit> =
            ["nofile=1", "core=0", "nofile=2"].iter().map(|text| parse(text).unwrap()).collect();
        let kept = last_of_each(&given);
        let shown: Vec<_> = kept.iter().map(|limit| (limit.name.as_str(), limit.soft)).collect();
        assert_eq!(shown, [("core", 0), ("nofile", 2)]);
    }
}
