// SPDX-License-Identifier: Apache-2.0
//! What ssh(1) has to be told to reach a VM: a block for ~/.ssh/config.

use std::ffi::OsStr;
use std::fmt::Write;
use std::path::Path;

use super::Keys;
use crate::error::{Failure, Result};
use crate::state::Record;

/// Variables that say which VMs there are.
const STORE: [&str; 6] =
    ["MVM_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "HOME"];

/// A block for one VM. `program` is this one.
pub fn host_block(record: &Record, keys: &Keys, user: &str, program: &Path) -> Result<String> {
    let alias = format!("mvm-{}", &record.id[..record.id.len().min(12)]);
    let known = keys.known_hosts(&alias)?;
    let mut block = format!("Host {}\n", record.name);
    let mut line = |name: &str, value: &str| writeln!(block, "  {name} {value}");
    let lines = [
        ("HostName", alias.clone()),
        ("User", argument(user)?),
        ("IdentityFile", argument(text(keys.client_file().as_os_str())?)?),
        ("IdentitiesOnly", "yes".into()),
        ("UserKnownHostsFile", argument(text(known.as_os_str())?)?),
        ("GlobalKnownHostsFile", "none".into()),
        ("HostKeyAlias", alias),
        ("StrictHostKeyChecking", "yes".into()),
        ("UpdateHostKeys", "no".into()),
        ("ForwardAgent", "no".into()),
        ("ProxyCommand", proxy(record, program)?),
    ];
    for (name, value) in lines {
        line(name, &value).map_err(|e| Failure::cannot("write the block", e))?;
    }
    Ok(block)
}

/// The command that ssh runs with the user's shell. The store is that of this
/// process, whoever runs it.
fn proxy(record: &Record, program: &Path) -> Result<String> {
    let mut words = Vec::new();
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // Home is where ssh has it, unless it was set apart.
    let store: Vec<_> = STORE
        .into_iter()
        .filter(|name| *name != "HOME")
        .filter_map(|name| Some((name, set(name)?)))
        .collect();
    if !store.is_empty() && cfg!(unix) {
        words.push("/usr/bin/env".to_owned());
        for (name, value) in store {
            words.push(quoted(&format!("{name}={}", text(&value)?)));
        }
    }
    words.push(quoted(text(program.as_os_str())?));
    words.extend(["ssh".into(), "--stdio".into(), record.id.clone()]);
    // ssh expands what follows a percent sign.
    Ok(words.join(" ").replace('%', "%%"))
}

fn text(value: &OsStr) -> Result<&str> {
    value.to_str().ok_or_else(|| {
        Failure::new(format!("{} is no text, as ssh's configuration has to be", value.display()))
            .hint("move mvm's directories: MVM_HOME")
    })
}

/// A word of the shell that ssh runs.
#[cfg(unix)]
fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-=+,:@".contains(&b);
    match word.bytes().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(windows)]
fn quoted(word: &str) -> String {
    match word.contains(' ') {
        true => format!("\"{word}\""),
        false => word.to_owned(),
    }
}

/// A value in ssh's configuration: quoted where it has blanks; percent signs
/// begin tokens, and there is no way to have a quote or a dollar sign.
fn argument(value: &str) -> Result<String> {
    if value.contains(['"', '$', '\n']) {
        return Err(Failure::new(format!("ssh's configuration cannot hold {value:?}"))
            .hint("move mvm's directories: MVM_HOME"));
    }
    let value = value.replace('%', "%%");
    Ok(match value.contains([' ', '\t', '#', '\\']) {
        true => format!("\"{}\"", value.replace('\\', r"\\")),
        false => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        assert_eq!(argument("/a/b").unwrap(), "/a/b");
        assert_eq!(argument("/a b/100%").unwrap(), "\"/a b/100%%\"");
        assert!(argument("/a\"b").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn words_are_those_of_a_shell() {
        for word in ["/a/mvm", "MVM_HOME=/x y", "it's", "$(reboot)", "a;b", ""] {
            let line = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("/bin/sh").args(["-c", &line]).output();
            assert_eq!(output.unwrap().stdout, word.as_bytes());
        }
    }
}
