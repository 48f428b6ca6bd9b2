// SPDX-License-Identifier: Apache-2.0
//! Settings of the guest's kernel: ours, then the host's (`--sysctl`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mvm_proto::Sysctl;

use crate::error::{Failure, Step};

/// The first two are Docker's for a container with a network of its own: anyone
/// may bind any port and ping. The others are what distributions set, and tell
/// a workload less about the kernel it could attack.
const DEFAULTS: [(&str, &str); 9] = [
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
    ("kernel/dmesg_restrict", "1"),
    ("kernel/kptr_restrict", "1"),
    // Debian's kernel, unlike Linux, begins with 0.
    ("kernel/yama/ptrace_scope", "1"),
    ("fs/protected_symlinks", "1"),
    ("fs/protected_hardlinks", "1"),
    ("fs/protected_fifos", "1"),
    ("fs/protected_regular", "2"),
];

const ROOT: &str = "/proc/sys";

/// Sets all of them, in order. Any setting of this kernel may be asked for: it
/// is this VM's alone.
pub fn configure(asked: &[Sysctl]) -> Result<(), Failure> {
    for (path, value) in DEFAULTS {
        // A kernel without them does not need them.
        let _ = fs::write(Path::new(ROOT).join(path), value);
    }
    asked.iter().try_for_each(|sysctl| set(sysctl).step(|| format!("set sysctl {}", sysctl.name)))
}

fn set(sysctl: &Sysctl) -> io::Result<()> {
    let path = path(&sysctl.name).ok_or(io::ErrorKind::InvalidInput)?;
    fs::write(path, &sysctl.value)
}

/// As sysctl(8) reads names: the first separator tells which of the two is
/// one; the other then stands for itself.
fn path(name: &str) -> Option<PathBuf> {
    let first = name.find(['.', '/'])?;
    let path = match name.as_bytes().get(first) {
        Some(b'/') => name.to_owned(),
        _ => name
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    };
    let inside = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    inside.then(|| Path::new(ROOT).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sysctl_does() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ] {
            assert_eq!(path(name), Some(Path::new(ROOT).join(expected)), "{name}");
        }
        for name in ["", "kernel", "/etc/passwd", "a/../../x", "a..b", "a/", ".a", "./a", "../a.b"]
        {
            assert_eq!(path(name), None, "{name}");
        }
    }
}
