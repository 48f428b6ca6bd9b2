// SPDX-License-Identifier: Apache-2.0
//! `--device`: a device of the VM's own kernel, such as /dev/fuse. Those of the
//! host cannot be given to a VM.

use crate::error::{Failure, Result};
use crate::spec::Device;

/// `PATH[:TARGET][:rwm]`.
pub fn parse(text: &str) -> Result<Device> {
    let invalid = |why: &str| {
        Failure::new(format!("invalid --device '{text}': {why}"))
            .hint("--device /dev/fuse; it is the VM's, none of the host's")
    };
    let mut parts: Vec<&str> = text.split(':').collect();
    if let [_, .., mode] = parts[..]
        && is_mode(mode)
    {
        if !"rwm".chars().all(|right| mode.contains(right)) {
            return Err(invalid("it can be given with all rights (rwm) only"));
        }
        parts.pop();
    }
    let (path, target) = match parts[..] {
        [path] => (path, path),
        [path, target] => (path, target),
        _ => return Err(invalid("it has more than path, path in the VM and rights")),
    };
    if ![path, target].into_iter().all(is_in_dev) {
        return Err(invalid("a device has a path below /dev"));
    }
    Ok(Device { path: path.into(), target: target.into() })
}

fn is_mode(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|b| b"rwm".contains(&b))
}

fn is_in_dev(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|rest| {
        !rest.contains('\0') && rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_notation() {
        for (text, path, target) in [
            ("/dev/fuse", "/dev/fuse", "/dev/fuse"),
            ("/dev/fuse:rwm", "/dev/fuse", "/dev/fuse"),
            ("/dev/vda:/dev/xvdc", "/dev/vda", "/dev/xvdc"),
            ("/dev/net/tun:/dev/net/tun:mrw", "/dev/net/tun", "/dev/net/tun"),
        ] {
            let expected = Device { path: path.into(), target: target.into() };
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "fuse",
            "/dev",
            "/dev/",
            "/etc/passwd",
            "/dev/../etc/passwd",
            "/dev/fuse:/fuse",
            "/dev/fuse:r",
            "/dev/a:/dev/b:x",
            "/dev/a:/dev/b:rwm:rwm",
            "vendor.com/class=name",
        ] {
            assert!(parse(text).unwrap_err().hint.is_some(), "{text}");
        }
    }
}
