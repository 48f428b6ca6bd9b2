// SPDX-License-Identifier: Apache-2.0
//! `--tmpfs`, with Docker's defaults and options of mount(8).

use std::collections::BTreeSet;

use crate::error::{Failure, Result};
use crate::spec::{Tmpfs, Volume, clean_target};

// MS_* of a Linux guest, sys/mount.h.
const RDONLY: u32 = 1;
const NOSUID: u32 = 2;
const NODEV: u32 = 4;
const NOEXEC: u32 = 8;
const SYNCHRONOUS: u32 = 16;
const DIRSYNC: u32 = 128;
const NOATIME: u32 = 1024;
const NODIRATIME: u32 = 2048;
const RELATIME: u32 = 1 << 21;
const STRICTATIME: u32 = 1 << 24;

/// Docker's.
const DEFAULT: u32 = NOSUID | NODEV | NOEXEC;

/// Words that set flags, and that clear them.
const SET: [(&str, u32); 10] = [
    ("ro", RDONLY),
    ("nosuid", NOSUID),
    ("nodev", NODEV),
    ("noexec", NOEXEC),
    ("sync", SYNCHRONOUS),
    ("dirsync", DIRSYNC),
    ("noatime", NOATIME),
    ("nodiratime", NODIRATIME),
    ("relatime", RELATIME),
    ("strictatime", STRICTATIME),
];
const CLEAR: [(&str, u32); 10] = [
    ("rw", RDONLY),
    ("suid", NOSUID),
    ("dev", NODEV),
    ("exec", NOEXEC),
    ("async", SYNCHRONOUS),
    ("atime", NOATIME),
    ("diratime", NODIRATIME),
    ("norelatime", RELATIME),
    ("nostrictatime", STRICTATIME),
    ("defaults", 0),
];

pub fn parse(text: &str) -> Result<Tmpfs> {
    let (target, words) = text.split_once(':').unwrap_or((text, ""));
    let invalid = |why: String| {
        Failure::new(format!("invalid --tmpfs '{text}': {why}")).hint("--tmpfs /run:size=10m,exec")
    };
    let target = place(target).map_err(invalid)?;
    let mut flags = DEFAULT;
    let mut options: Vec<(&str, &str)> = Vec::new();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        if let Some((_, flag)) = SET.iter().find(|(known, _)| *known == word) {
            flags |= flag;
        } else if let Some((_, flag)) = CLEAR.iter().find(|(known, _)| *known == word) {
            flags &= !flag;
        } else {
            let (name, value) = option(word).map_err(|why| invalid(why.into()))?;
            options.retain(|(earlier, _)| *earlier != name);
            options.push((name, value));
        }
    }
    let options: Vec<String> =
        options.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(Tmpfs { target, flags, options: options.join(","), given: words.into() })
}

/// A directory in the guest that may be one.
fn place(text: &str) -> std::result::Result<String, String> {
    let clean = clean_target(text)?;
    let target = String::from_utf8(clean).map_err(|e| e.to_string())?;
    match target.split('/').nth(1) {
        Some("proc" | "sys") => Err("/proc and /sys are the kernel's".into()),
        _ => Ok(target),
    }
}

/// One that goes to the file system: see tmpfs(5).
fn option(word: &str) -> std::result::Result<(&str, &str), &'static str> {
    const UNKNOWN: &str = "unknown option; there are size, mode, uid, gid, nr_inodes, nr_blocks, \
                           ro, exec, suid, dev, noatime and the like";
    let (name, value) = word.split_once('=').ok_or(UNKNOWN)?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let sized = |units: &[char]| digits(value.strip_suffix(units).unwrap_or(value));
    let (holds, why) = match name {
        "size" => (sized(&['k', 'K', 'm', 'M', 'g', 'G', '%']), "its size is none: 64m, 1g, 10%"),
        "nr_inodes" | "nr_blocks" => (sized(&['k', 'K', 'm', 'M', 'g', 'G']), "it has no number"),
        "mode" => (u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777), "a bad mode"),
        "uid" | "gid" => (value.parse::<u32>().is_ok(), "an owner is given by number"),
        _ => return Err(UNKNOWN),
    };
    if holds { Ok((name, value)) } else { Err(why) }
}

/// Nothing may be mounted twice in one place.
pub fn check_targets(tmpfs: &[Tmpfs], volumes: &[Volume]) -> Result<()> {
    let volumes = volumes.iter().map(|volume| volume.target.as_slice());
    one_target(volumes.chain(tmpfs.iter().map(|one| one.target.as_bytes())))
}

/// As above, of anything that is mounted.
pub fn one_target<'a>(targets: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let mut taken: BTreeSet<&[u8]> = BTreeSet::new();
    for target in targets {
        if !taken.insert(target) {
            let shown = String::from_utf8_lossy(target);
            return Err(Failure::new(format!("duplicate mount point: {shown}"))
                .hint("give it one --tmpfs, one -v or one --secret"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::VolumeSource;

    #[test]
    fn options_change_dockers_defaults() {
        for (text, target, flags, options) in [
            ("/run", "/run", DEFAULT, ""),
            ("/run/", "/run", DEFAULT, ""),
            ("//a/./b:", "/a/b", DEFAULT, ""),
            ("/run:rw,exec,size=64m,mode=755", "/run", NOSUID | NODEV, "size=64m,mode=755"),
            ("/t:ro,size=1k,size=2K,uid=5", "/t", DEFAULT | RDONLY, "size=2K,uid=5"),
            ("/t:exec,noexec,suid,dev", "/t", NOEXEC, ""),
        ] {
            let found = parse(text).unwrap();
            assert_eq!((found.target.as_str(), found.flags), (target, flags), "{text}");
            assert_eq!(found.options, options, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for text in [
            "",
            "run",
            "/",
            "/.",
            "/proc",
            "/sys/fs",
            "/a/../proc",
            "/a/..",
            "/t:bind",
            "/t:remount",
            "/t:size=",
            "/t:size=-1",
            "/t:size=1x",
            "/t:mode=9",
            "/t:mode=77777",
            "/t:uid=root",
            "/t:context=x",
            "/t:size=1:exec",
        ] {
            assert!(parse(text).unwrap_err().hint.is_some(), "{text}");
        }
    }

    #[test]
    fn one_place_is_mounted_once() {
        let tmpfs = |targets: &[&str]| -> Vec<Tmpfs> {
            targets.iter().map(|target| parse(target).unwrap()).collect()
        };
        let volume =
            Volume { source: VolumeSource::OwnDisk, target: b"/data".to_vec(), read_only: true };
        assert!(check_targets(&tmpfs(&["/a", "/b"]), &[]).is_ok());
        assert!(check_targets(&tmpfs(&["/a", "/a/"]), &[]).is_err());
        assert!(check_targets(&tmpfs(&["/data"]), std::slice::from_ref(&volume)).is_err());
        assert!(check_targets(&tmpfs(&["/data/x"]), &[volume]).is_ok());
    }
}
