// SPDX-License-Identifier: Apache-2.0
//! `--cap-add`, `--cap-drop` and `--security-opt`.

use mvm_proto::capabilities;

use crate::error::{Failure, Result};
use crate::spec::{ALL, Limits};

/// `ALL`, or a name as `capabilities` prints it, from a name with or without
/// its `CAP_`.
pub fn capability(text: &str) -> std::result::Result<String, String> {
    let upper = text.to_ascii_uppercase();
    if upper == ALL {
        return Ok(upper);
    }
    match capabilities::by_name(&upper) {
        Some(_) if upper.starts_with("CAP_") => Ok(upper),
        Some(_) => Ok(format!("CAP_{upper}")),
        None => Err(format!("invalid capability: {upper:?}")),
    }
}

/// One option, `NAME`, `NAME=VALUE` or Docker's older `NAME:VALUE`. What would
/// be less than Docker gives is refused, what would be nothing here is taken.
pub fn option(text: &str, limits: &mut Limits) -> Result<()> {
    let (name, value) = match text.find(['=', ':']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let refuse = |why: &str, hint: &str| {
        Err(Failure::new(format!("--security-opt {text}: {why}")).hint(hint))
    };
    match (name, value) {
        ("no-new-privileges", None | Some("true")) => limits.no_new_privileges = Some(true),
        ("no-new-privileges", Some("false")) => limits.no_new_privileges = Some(false),
        ("no-new-privileges", Some(_)) => return refuse("neither true nor false", "=true"),
        ("systempaths", Some("unconfined")) => limits.writable_system = true,
        // There is none of it to be rid of.
        ("seccomp" | "apparmor", Some("unconfined")) | ("label", Some("disable")) => {}
        ("writable-cgroups", Some("false")) => {}
        ("seccomp", _) => {
            return refuse(
                "no filter of system calls stands in a VM: its kernel is its own",
                "leave it out; --cap-drop takes rights from the command",
            );
        }
        ("apparmor" | "label", _) => {
            return refuse("the kernel of a VM has no AppArmor and no SELinux", "leave it out");
        }
        _ => {
            return refuse(
                "unknown option",
                "no-new-privileges[=false] or systempaths=unconfined; docs/SECURITY.md",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_one_name() {
        for (text, expected) in
            [("all", "ALL"), ("net_admin", "CAP_NET_ADMIN"), ("CAP_Chown", "CAP_CHOWN")]
        {
            assert_eq!(capability(text).as_deref(), Ok(expected));
        }
        assert_eq!(capability("cap_foo"), Err("invalid capability: \"CAP_FOO\"".into()));
        assert!(capability("").is_err() && capability("CAP_ALL").is_err());
    }

    #[test]
    fn options_are_set_taken_or_refused() {
        let of = |text: &str| {
            let mut limits = Limits::default();
            option(text, &mut limits).map(|()| limits)
        };
        for (text, expected) in [
            ("no-new-privileges", Some(true)),
            ("no-new-privileges:true", Some(true)),
            ("no-new-privileges=false", Some(false)),
            ("seccomp=unconfined", None),
            ("apparmor=unconfined", None),
            ("label=disable", None),
        ] {
            assert_eq!(of(text).unwrap().no_new_privileges, expected, "{text}");
        }
        assert!(of("systempaths=unconfined").unwrap().writable_system);
        for text in [
            "",
            "no-new-privileges=1",
            "seccomp=profile.json",
            "seccomp",
            "apparmor=docker-default",
            "label=type:x",
            "systempaths",
            "nonsense=1",
        ] {
            assert!(of(text).unwrap_err().hint.is_some(), "{text}");
        }
    }
}
