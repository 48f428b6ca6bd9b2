// SPDX-License-Identifier: Apache-2.0
//! `--ssh-key FILE`: public keys of people, for a VM to let in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use russh::keys::PublicKey;

use crate::error::{Failure, Result};

/// Bytes of a file of keys.
const MAX_FILE: u64 = 256 << 10;
/// Keys of one VM.
const MAX_KEYS: usize = 256;

/// The keys in these files, a line each, in the order given.
pub fn authorized_keys(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for file in files {
        keys.extend(keys_in(file)?);
    }
    if keys.len() > MAX_KEYS {
        return Err(Failure::new(format!("{} keys are more than {MAX_KEYS}", keys.len()))
            .hint("name the files of those who are to get in"));
    }
    Ok(keys)
}

/// A file in the format of authorized_keys, without options. That of a private
/// key stands for the public one beside it.
fn keys_in(path: &Path) -> Result<Vec<String>> {
    let failed = |e: io::Error| Failure::cannot(format!("read the SSH key {}", path.display()), e);
    let text = read(path).map_err(failed)?;
    if !text.starts_with("-----BEGIN ") {
        return public_keys(&text, path);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let beside = PathBuf::from(beside);
    match read(&beside) {
        Ok(text) => public_keys(&text, &beside),
        Err(e) => {
            Err(Failure::cannot(format!("read {}, beside the private key", beside.display()), e)
                .hint(format!("ssh-keygen -y -f {} prints what belongs there", path.display())))
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(format!("it has more than {} KiB", MAX_FILE >> 10))),
        false => Ok(text),
    }
}

fn public_keys(text: &str, path: &Path) -> Result<Vec<String>> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(number, line)| match PublicKey::from_openssh(line) {
        Ok(key) if is_taken(&key) => Ok(line.to_owned()),
        other => {
            let why = match other {
                Ok(key) => format!("keys of the kind {} are not taken", key.algorithm()),
                Err(_) => "it is no public key, or has options before it".into(),
            };
            let place = format!("{}, line {}", path.display(), number + 1);
            Err(Failure::new(format!("{place}: {why}"))
                .hint("a line is: ssh-ed25519 AAAA… COMMENT; ecdsa and rsa are taken, too"))
        }
    });
    let keys: Vec<String> = keys.collect::<Result<_>>()?;
    match keys.is_empty() {
        true => Err(Failure::new(format!("there is no public key in {}", path.display()))
            .hint("ssh-keygen -t ed25519 makes one")),
        false => Ok(keys),
    }
}

fn is_taken(key: &PublicKey) -> bool {
    let data = key.key_data();
    data.is_ed25519() || data.is_ecdsa() || data.is_rsa()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFhpvyW5cd2bTBTZLGHcuEkSgFIMNmW2Q0bHBUYGPqEv";

    #[test]
    fn keys_are_read_from_files_and_from_beside_private_ones() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        let write = |name: &str, text: &str| {
            std::fs::write(path(name), text).unwrap();
            path(name)
        };
        let several = write("several", &format!("# mine\n\n{KEY} me\n  {KEY}\n"));
        assert_eq!(authorized_keys(&[several]).unwrap(), [format!("{KEY} me"), KEY.into()]);
        let private = write("id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        assert!(authorized_keys(std::slice::from_ref(&private)).is_err_and(|e| e.hint.is_some()));
        write("id.pub", KEY);
        assert_eq!(authorized_keys(&[private]).unwrap(), [KEY]);
        for (name, text) in [
            ("empty", ""),
            ("options", &format!("restrict {KEY}")),
            ("nonsense", "hello"),
            ("large", &"#\n".repeat(200_000)),
        ] {
            let file = write(name, text);
            assert!(authorized_keys(&[file]).is_err(), "{name}");
        }
        assert!(authorized_keys(&[path("missing")]).is_err());
    }
}
