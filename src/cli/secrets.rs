// SPDX-License-Identifier: Apache-2.0
//! `--secret`, in the notation of `docker build`, with the target, owner and
//! mode of Docker's services.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::limits::one_target;
use crate::error::{Failure, Result};
use crate::spec::{MAX_SECRET_COUNT, SECRETS, Secret, SecretSource, Tmpfs, Volume, clean_target};

/// Characters of an ID: it is the name of a file.
const MAX_ID: usize = 255;

/// Read by its owner only.
const MODE: u32 = 0o400;

const HINT: &str =
    "--secret id=NAME,src=FILE or id=NAME,env=VARIABLE[,target=PATH][,uid=…][,gid=…][,mode=…]";

/// What the flags ask for; `volumes` and `tmpfs` are mounted as well.
pub fn parse(given: &[OsString], volumes: &[Volume], tmpfs: &[Tmpfs]) -> Result<Vec<Secret>> {
    let mut secrets: Vec<Secret> = Vec::new();
    for text in given {
        let secret = one(text)?;
        if secrets.iter().any(|other| other.id == secret.id) {
            return Err(Failure::new(format!("two secrets have the ID {}", secret.id)).hint(HINT));
        }
        secrets.push(secret);
    }
    if secrets.len() > MAX_SECRET_COUNT {
        return Err(Failure::new(format!("{} secrets are too many", secrets.len()))
            .hint(format!("{MAX_SECRET_COUNT} at most; one file can hold many")));
    }
    let targets = secrets.iter().map(|secret| secret.target.as_bytes());
    let mounted = volumes.iter().map(|volume| volume.target.as_slice());
    one_target(targets.chain(mounted).chain(tmpfs.iter().map(|tmpfs| tmpfs.target.as_bytes())))?;
    Ok(secrets)
}

fn one(text: &OsString) -> Result<Secret> {
    // The text is no secret, and names what is wrong.
    let shown = text.to_string_lossy();
    let invalid = |why: String| Failure::new(format!("invalid secret {shown:?}: {why}")).hint(HINT);
    let text = text.to_str().ok_or_else(|| invalid("it is not UTF-8".into()))?;
    let mut words = Words::default();
    for word in text.split(',') {
        words.add(word).map_err(invalid)?;
    }
    words.secret().map_err(invalid)
}

#[derive(Default)]
struct Words {
    id: Option<String>,
    kind: Option<String>,
    file: Option<String>,
    env: Option<String>,
    target: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<u32>,
}

impl Words {
    fn add(&mut self, word: &str) -> std::result::Result<(), String> {
        let Some((key, value)) = word.split_once('=') else {
            return Err(format!("{word:?} must be a key=value pair"));
        };
        let number = || value.parse::<u32>().map_err(|_| format!("{key} takes a number"));
        match key {
            "id" => self.id = Some(check_id(value)?),
            "type" => self.kind = Some(value.to_owned()),
            "src" | "source" => self.file = Some(value.to_owned()),
            "env" => self.env = Some(value.to_owned()),
            "target" | "dst" | "destination" => self.target = Some(value.to_owned()),
            "uid" => self.uid = Some(number()?),
            "gid" => self.gid = Some(number()?),
            "mode" => {
                let mode = u32::from_str_radix(value.trim_start_matches("0o"), 8).ok();
                let mode = mode.filter(|mode| *mode <= 0o777);
                self.mode = Some(mode.ok_or("mode takes up to three octal digits: 0440")?);
            }
            _ => return Err(format!("unknown key {key:?}")),
        }
        Ok(())
    }

    fn secret(self) -> std::result::Result<Secret, String> {
        let id = self.id.ok_or("it has no id")?;
        let source = match (self.file, self.env, self.kind.as_deref()) {
            (Some(_), Some(_), _) => return Err("it has a src and an env".into()),
            (Some(path), None, None | Some("file")) => file(&path)?,
            // As with docker build.
            (Some(name), None, Some("env")) | (None, Some(name), None | Some("env")) => env(&name)?,
            (None, None, _) => return Err("it has neither src nor env".into()),
            (_, _, Some(kind)) => return Err(format!("type {kind:?} does not go with that")),
        };
        let target = match self.target {
            Some(target) if !target.starts_with('/') => format!("{SECRETS}/{target}"),
            Some(target) => target,
            None => format!("{SECRETS}/{id}"),
        };
        let mode = self.mode.unwrap_or(MODE);
        Ok(Secret { id, source, target: place(&target)?, uid: self.uid, gid: self.gid, mode })
    }
}

fn check_id(id: &str) -> std::result::Result<String, String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(known);
    match fits && id != "." && id != ".." {
        true => Ok(id.to_owned()),
        false => {
            Err("an id is a file's name of letters, digits and . _ -; target=PATH says where \
                      it goes"
                .into())
        }
    }
}

fn file(path: &str) -> std::result::Result<SecretSource, String> {
    let path: PathBuf = std::path::absolute(path).map_err(|e| e.to_string())?;
    Ok(SecretSource::File(path))
}

fn env(name: &str) -> std::result::Result<SecretSource, String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("{name:?} is no variable's name")),
        false => Ok(SecretSource::Env(name.to_owned())),
    }
}

/// A file in the guest that may be one.
fn place(text: &str) -> std::result::Result<String, String> {
    if text.ends_with('/') || text.split('/').any(|part| part == "..") {
        return Err(format!("{text:?} is no file's path"));
    }
    let target = String::from_utf8(clean_target(text)?).map_err(|e| e.to_string())?;
    match target.split('/').nth(1) {
        Some("proc" | "sys" | "dev") => Err("/proc, /sys and /dev are the kernel's".into()),
        _ if target == SECRETS => Err(format!("{SECRETS} is the directory of the others")),
        _ => Ok(target),
    }
}

/// As `inspect` shows them.
pub fn document(secrets: &[Secret]) -> Value {
    let secret = |secret: &Secret| {
        let (kind, from) = match &secret.source {
            SecretSource::File(path) => ("file", path.display().to_string()),
            SecretSource::Env(name) => ("env", name.clone()),
        };
        json!({
            "Id": secret.id,
            "Type": kind,
            "Source": from,
            "Target": secret.target,
            "Uid": secret.uid,
            "Gid": secret.gid,
            "Mode": format!("{:04o}", secret.mode),
        })
    };
    secrets.iter().map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Result<Vec<Secret>> {
        let given: Vec<OsString> = texts.iter().map(OsString::from).collect();
        parse(&given, &[], &[])
    }

    #[test]
    fn defaults_are_private() {
        let secrets = parsed(&["id=a,src=/x/y", "id=b,env=B", "type=env,id=c,src=C"]).unwrap();
        assert_eq!(secrets[0].source, SecretSource::File("/x/y".into()));
        assert_eq!(secrets[1].source, SecretSource::Env("B".into()));
        assert_eq!(secrets[2].source, SecretSource::Env("C".into()));
        assert_eq!((secrets[0].target.as_str(), secrets[0].mode), ("/run/secrets/a", 0o400));
        assert_eq!((secrets[0].uid, secrets[0].gid), (None, None));
    }

    #[test]
    fn place_owner_and_mode_can_be_said() {
        let text = "id=a,env=A,target=/etc//x/./key,uid=5,gid=6,mode=0440";
        let secret = parsed(&[text]).unwrap().remove(0);
        assert_eq!((secret.target.as_str(), secret.mode), ("/etc/x/key", 0o440));
        assert_eq!((secret.uid, secret.gid), (Some(5), Some(6)));
        let secret = parsed(&["id=a,env=A,target=b/c"]).unwrap().remove(0);
        assert_eq!(secret.target, "/run/secrets/b/c");
    }

    #[test]
    fn nonsense_is_refused_with_a_hint() {
        for texts in [
            &[""][..],
            &["id=a"],
            &["src=/x"],
            &["id=,env=A"],
            &["id=a/b,env=A"],
            &["id=..,env=A"],
            &["id=a\u{e9},env=A"],
            &["id=a,env="],
            &["id=a,env=A,src=/x"],
            &["id=a,type=file,env=A"],
            &["id=a,type=x,src=A"],
            &["id=a,env=A,target=/"],
            &["id=a,env=A,target=/x/"],
            &["id=a,env=A,target=../x"],
            &["id=a,env=A,target=/proc/x"],
            &["id=a,env=A,target=/run/secrets"],
            &["id=a,env=A,mode=9"],
            &["id=a,env=A,mode=7777"],
            &["id=a,env=A,uid=root"],
            &["id=a,env=A,more=1"],
            &["id=a,env=A", "id=a,env=B"],
            &["id=a,env=A", "id=b,env=B,target=a"],
        ] {
            assert!(parsed(texts).unwrap_err().hint.is_some(), "{texts:?}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("id=a{n},env=A")).collect();
        assert!(parsed(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
    }
}
