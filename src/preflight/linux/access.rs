// SPDX-License-Identifier: Apache-2.0
//! Why /dev/kvm does not open, and the fix for this very host.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::{KVM, Verdict};

/// Puts a failed open into words.
pub(super) fn cannot_open(error: &io::Error) -> Verdict {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        // No such node; or a node left without its driver.
        Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => Verdict::Absent {
            hint: absent_hint(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        },
        Some(Errno::ACCESS | Errno::PERM) => {
            let (gid, mode) = fs::metadata(KVM).map_or((0, 0), |m| (m.gid(), m.mode()));
            let groups = fs::read_to_string("/etc/group").unwrap_or_default();
            no_permission(group_name(&groups, gid), mode)
        }
        _ => Verdict::Broken { why: format!("opening it: {error}") },
    }
}

fn absent_hint(cpuinfo: &str) -> String {
    let has = |flag| cpuinfo.split_whitespace().any(|word| word == flag);
    if has("vmx") {
        "load the module: `sudo modprobe kvm_intel`".into()
    } else if has("svm") {
        "load the module: `sudo modprobe kvm_amd`".into()
    } else {
        "turn on virtualization in the firmware, or, if this host is a VM, nested \
         virtualization in its hypervisor; in a container, pass --device /dev/kvm"
            .into()
    }
}

fn no_permission(group: Option<String>, mode: u32) -> Verdict {
    const GROUP_MAY: u32 = 0o060;
    let hint = match &group {
        Some(group) if group != "root" && mode & GROUP_MAY == GROUP_MAY => {
            format!("join its group: `sudo usermod -aG {group} $USER`, then log in again")
        }
        _ => format!("let your user in: `sudo setfacl -m u:$USER:rw {KVM}`"),
    };
    Verdict::NoPermission { group, hint }
}

/// The name of a group in the form of group(5).
fn group_name(text: &str, gid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found: u32 = fields.nth(1)?.parse().ok()?;
        (found == gid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_errors_become_verdicts_with_a_fix() {
        let verdict = |errno: rustix::io::Errno| cannot_open(&errno.into());
        use rustix::io::Errno;
        for absent in [Errno::NOENT, Errno::NODEV, Errno::NXIO] {
            assert!(matches!(verdict(absent), Verdict::Absent { .. }));
        }
        for denied in [Errno::ACCESS, Errno::PERM] {
            let verdict = verdict(denied);
            assert!(matches!(verdict, Verdict::NoPermission { .. }));
            assert!(verdict.hint().is_some());
        }
        assert!(matches!(verdict(Errno::IO), Verdict::Broken { .. }));
    }

    #[test]
    fn hints_fit_the_host() {
        assert!(absent_hint("flags : fpu vmx sse").contains("kvm_intel"));
        assert!(absent_hint("flags : fpu svm").contains("kvm_amd"));
        assert!(absent_hint("flags : fpu svm_lock").contains("firmware"));
        let groups = "root:x:0:\nkvm:x:105:a,b\nbroken\nx:y\n";
        assert_eq!(group_name(groups, 105).as_deref(), Some("kvm"));
        assert_eq!(group_name(groups, 7), None);
        let hint = |group: Option<&str>, mode| {
            no_permission(group.map(str::to_owned), mode).hint().unwrap()
        };
        assert!(hint(Some("kvm"), 0o20660).contains("usermod -aG kvm"));
        assert!(hint(Some("kvm"), 0o20600).contains("setfacl"));
        assert!(hint(Some("root"), 0o20660).contains("setfacl"));
        assert!(hint(None, 0o20660).contains("setfacl"));
    }
}
