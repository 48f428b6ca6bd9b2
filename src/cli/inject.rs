// SPDX-License-Identifier: Apache-2.0
//! The words of `--inject`: SRC:DST[:MODE[:UID:GID]].

use std::ffi::OsString;
use std::path::PathBuf;

use crate::copy::Inject;
use crate::error::{Failure, Result};
use crate::spec::clean_target;

pub fn all(given: &[OsString]) -> Result<Vec<Inject>> {
    given.iter().map(one).collect()
}

fn one(given: &OsString) -> Result<Inject> {
    let invalid = |why: &str| {
        Failure::new(format!("invalid --inject {}: {why}", given.display()))
            .hint("--inject SRC:/DST[:MODE[:UID:GID]], as ./app.conf:/etc/app.conf:0640:0:33")
    };
    let text = given.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
    // SRC may have colons; where DST begins is the first that a slash follows.
    let drive = usize::from(cfg!(windows)) * 2;
    let at = text.get(drive..).and_then(|rest| rest.find(":/")).map(|at| at + drive);
    let (source, rest) = at
        .and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)))
        .filter(|(source, _)| !source.is_empty())
        .ok_or_else(|| invalid("it needs a source, and an absolute path in the VM"))?;
    let fields: Vec<&str> = rest.split(':').collect();
    let (target, mode, owner) = match fields[..] {
        [target] => (target, None, (0, 0)),
        [target, mode] => (target, Some(mode), (0, 0)),
        [target, mode, uid, gid] => {
            let id = |text: &str| {
                let id = text.parse().ok().filter(|id| *id != u32::MAX);
                id.ok_or_else(|| invalid("UID and GID are numbers"))
            };
            (target, Some(mode), (id(uid)?, id(gid)?))
        }
        _ => return Err(invalid("UID and GID come together, and nothing after them")),
    };
    // An empty one: as the file has it.
    let mode = mode.filter(|mode| !mode.is_empty()).map(|mode| {
        let octal = u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
        octal.ok_or_else(|| invalid("MODE is an octal number, as 0644"))
    });
    let source = PathBuf::from(source);
    let there = std::fs::metadata(&source).map_err(|e| {
        invalid(&format!("cannot read {}: {}", source.display(), mvm_files::text(&e)))
    })?;
    if !there.is_file() && !there.is_dir() {
        return Err(invalid(&format!("{} is neither a file nor a directory", source.display())));
    }
    let mut path = target.to_owned();
    if path.ends_with('/') {
        let name = source.canonicalize().ok().and_then(|path| path.file_name().map(OsString::from));
        let name = name.and_then(|name| name.into_string().ok());
        path.push_str(&name.ok_or_else(|| invalid("its source has no name"))?);
    }
    let target = clean_target(&path).map_err(|why| invalid(&why))?;
    Ok(Inject { source, target, mode: mode.transpose()?, owner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_from_the_target_on() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("a:b");
        std::fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        let parse = |rest: &str| one(&format!("{file}:{rest}").into());
        let inject = |target: &str, mode, owner| Inject {
            source: file.into(),
            target: target.into(),
            mode,
            owner,
        };
        for (rest, expected) in [
            ("/etc/x", inject("/etc/x", None, (0, 0))),
            ("/etc/", inject("/etc/a:b", None, (0, 0))),
            ("/", inject("/a:b", None, (0, 0))),
            ("/etc/x:0640", inject("/etc/x", Some(0o640), (0, 0))),
            ("/etc/../x:4755:1:2", inject("/x", Some(0o4755), (1, 2))),
            ("/x::1000:1000", inject("/x", None, (1000, 1000))),
        ] {
            assert_eq!(parse(rest).unwrap(), expected, "{rest}");
        }
        for rest in
            ["x", "", "/x:9", "/x:17777", "/x:644:1", "/x:644:1:-1", "/x:644:a:b", "/x:1:2:3:4"]
        {
            assert!(parse(rest).is_err(), "{rest}");
        }
        assert!(one(&"/nothing/here:/x".into()).unwrap_err().message.contains("no such file"));
        assert!(one(&"/dev/null:/x".into()).unwrap_err().message.contains("neither"));
    }
}
