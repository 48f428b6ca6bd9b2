// SPDX-License-Identifier: Apache-2.0
//! `--env-file` and `--label-file`: lines of NAME=VALUE by the rules of Docker's
//! own parser (docker/cli, pkg/kvfile).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Failure, Result};
use crate::sys;

/// More than any command's environment can be.
const MAX_BYTES: u64 = 16 << 20;

/// The variables of files, in order; a name alone has the value it has here,
/// and is left out where it is not set.
pub fn env_files(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let variable = |line: String| match line.contains('=') {
        true => Some(line.into_bytes()),
        false => {
            let value = std::env::var_os(&line)?;
            Some([line.as_bytes(), b"=", &sys::os_bytes(&value)].concat())
        }
    };
    Ok(lines_of(paths)?.into_iter().filter_map(variable).collect())
}

/// The lines of files that say something.
pub fn lines_of(paths: &[PathBuf]) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for path in paths {
        let bad = |why: String| {
            Failure::new(format!("invalid file {}: {why}", path.display()))
                .hint("a line is NAME=VALUE, NAME or a comment that begins with #")
        };
        lines.extend(parse(&read(path)?).map_err(bad)?);
    }
    Ok(lines)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |e| Failure::cannot(format!("read {}", path.display()), e);
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(format!(
            "{} has more than {} MiB",
            path.display(),
            MAX_BYTES >> 20
        ))
        .hint("is it the right file?"));
    }
    Ok(bytes)
}

/// No quotes, no continuation: what follows the `=` is the value, to the end of
/// the line.
fn parse(bytes: &[u8]) -> std::result::Result<Vec<String>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line)
            .map_err(|_| format!("line {number} contains invalid utf8 bytes"))?
            .trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() {
            return Err(format!("no variable name on line {number}"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("variable '{name}' contains whitespaces (line {number})"));
        }
        if line.contains('\0') {
            return Err(format!("line {number} contains a NUL"));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_docker_does() {
        let text = b"\xef\xbb\xbfFIRST=1\r\n\n  # a comment\n\t INDENTED= x \nQUOTED=\"a b\"\n\
                     HASH=a # b\nEMPTY=\nALONE\nTWO=a=b\nLAST=no newline";
        assert_eq!(
            parse(text).unwrap(),
            [
                "FIRST=1",
                "INDENTED= x ",
                "QUOTED=\"a b\"",
                "HASH=a # b",
                "EMPTY=",
                "ALONE",
                "TWO=a=b",
                "LAST=no newline"
            ]
        );
        assert_eq!(parse(b"").unwrap(), [""; 0]);
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_line() {
        for (text, says) in [
            (&b"A=1\n=x"[..], "no variable name on line 2"),
            (b"A B=1", "variable 'A B' contains whitespaces"),
            (b"export A=1", "contains whitespaces"),
            (b"ALONE ", "contains whitespaces"),
            (b"A=\xff", "line 1 contains invalid utf8"),
            (b"A=\0", "NUL"),
        ] {
            assert!(parse(text).unwrap_err().contains(says), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn names_alone_have_the_value_they_have_here() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        std::fs::write(&path, "PATH\nMVM_TEST_IS_NOT_SET\nA=1\n").unwrap();
        let found = env_files(&[path]).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(b"PATH=") && found[0].len() > 5);
        assert_eq!(found[1], b"A=1");
        let missing = env_files(&[directory.path().join("none")]).unwrap_err();
        assert!(missing.message.contains("none"), "{missing}");
        assert!(env_files(&[directory.path().to_owned()]).is_err());
    }
}
