// SPDX-License-Identifier: Apache-2.0

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which walls stand around a VMM; the kernel and the administrator of the host
/// have a say in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Landlock's ABI, 0 where there is none. Files from 1 on; TCP from 4;
    /// abstract sockets and signals from 6.
    pub landlock_abi: i32,
    /// A user namespace, in which volumes have the owners they should.
    pub user_namespace: bool,
    /// A network namespace with nothing in it.
    pub network_namespace: bool,
    /// A file system with the VM's own files and programs' libraries only.
    pub mount_namespace: bool,
    /// System calls are filtered.
    pub seccomp: bool,
    /// Capabilities that are left, a bit each (capabilities(7)).
    pub capabilities: u64,
}

impl Report {
    /// What the host lacks, and how its administrator can give it.
    pub fn hint(&self) -> Option<&'static str> {
        if !self.mount_namespace || !self.network_namespace {
            Some(
                "let users make user namespaces (sysctl user.max_user_namespaces; on Ubuntu \
                 kernel.apparmor_restrict_unprivileged_userns=0, or a profile for mvm)",
            )
        } else if self.landlock_abi == 0 {
            Some("use a kernel with Landlock, and name it in lsm= on the kernel's command line")
        } else {
            None
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock_abi {
            0 => write!(f, "no Landlock")?,
            abi => write!(f, "Landlock ABI {abi}")?,
        }
        let word = |there: bool| if there { "" } else { "no " };
        write!(f, ", {}seccomp filter", word(self.seccomp))?;
        write!(f, ", {}user namespace", word(self.user_namespace))?;
        write!(f, ", {}network namespace", word(self.network_namespace))?;
        write!(f, ", {}mount namespace", word(self.mount_namespace))?;
        match self.capabilities {
            0 => write!(f, ", no capabilities"),
            some => write!(f, ", capabilities {some:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_missing_too() {
        assert_eq!(
            Report::default().to_string(),
            "no Landlock, no seccomp filter, no user namespace, no network namespace, \
             no mount namespace, no capabilities"
        );
        let report =
            Report { landlock_abi: 7, seccomp: true, capabilities: 1, ..Report::default() };
        assert!(report.to_string().starts_with("Landlock ABI 7, seccomp filter, no user"));
        assert!(report.to_string().ends_with("capabilities 0x1"));
    }
}
