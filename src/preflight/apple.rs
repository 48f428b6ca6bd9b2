// SPDX-License-Identifier: Apache-2.0
//! Whether a Mac runs guests for this program. It gets what the system says
//! and returns a verdict; it asks the system nothing, so that it is tested
//! where there is no Mac.

use super::Verdict;

/// The oldest macOS that libkrun supports.
const OLDEST: u32 = 14;

/// What a program has to be signed with to use Hypervisor.framework.
const ENTITLEMENT: &str = "com.apple.security.hypervisor";

/// What the system says; `None` where it says nothing.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// This program was made for Apple silicon.
    pub arm: bool,
    /// sysctl.proc_translated: this process runs under Rosetta.
    pub translated: Option<String>,
    /// kern.osproductversion
    pub version: Option<String>,
    /// kern.hv_support
    pub hv_support: Option<String>,
    /// The property list of this program's entitlements; empty if it has none.
    pub entitlements: Option<String>,
}

/// What keeps guests from running, or nothing.
pub(super) fn judge(facts: &Facts) -> Verdict {
    let unfit =
        |why: &str, hint: &str| Verdict::Unfit { why: why.to_owned(), hint: hint.to_owned() };
    if facts.translated.as_deref() == Some("1") {
        return unfit("this mvm is for Intel and runs under Rosetta", "use the one for arm64");
    }
    if !facts.arm {
        return unfit("libkrun does not know Intel's Macs", "use a Mac with Apple silicon");
    }
    if let Some(version) = &facts.version
        && major(version).is_some_and(|major| major < OLDEST)
    {
        let why = format!("macOS {version} is older than {OLDEST}, the oldest that libkrun knows");
        return Verdict::Unfit { why, hint: format!("update to macOS {OLDEST} or newer") };
    }
    if facts.hv_support.as_deref() != Some("1") {
        return Verdict::Absent {
            hint: "use a Mac with Hypervisor.framework (`sysctl kern.hv_support` says 1); \
                   a virtual Mac has none unless its host nests virtualization"
                .to_owned(),
        };
    }
    if let Some(list) = &facts.entitlements
        && !is_entitled(list)
    {
        return Verdict::NoPermission {
            group: None,
            hint: format!(
                "sign this mvm with the entitlement {ENTITLEMENT}: `just sign` in its source"
            ),
        };
    }
    Verdict::Usable { micros_per_10k: None }
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// Whether a property list, as codesign(1) prints it, sets the entitlement.
fn is_entitled(list: &str) -> bool {
    let key = format!("<key>{ENTITLEMENT}</key>");
    list.split_once(&key).is_some_and(|(_, value)| value.trim_start().starts_with("<true/>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTITLED: &str = r#"<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "https://www.apple.com/DTDs/PropertyList-1.0.dtd"><plist version="1.0"><dict><key>com.apple.security.cs.disable-library-validation</key><true/><key>com.apple.security.hypervisor</key><true/></dict></plist>"#;

    fn good() -> Facts {
        Facts {
            arm: true,
            translated: Some("0".into()),
            version: Some("15.3.1".into()),
            hv_support: Some("1".into()),
            entitlements: Some(ENTITLED.into()),
        }
    }

    #[test]
    fn a_mac_that_runs_guests() {
        assert_eq!(judge(&good()), Verdict::Usable { micros_per_10k: None });
        // Not to be known is not to be refused: the VM's start will tell.
        let silent = Facts { translated: None, version: None, entitlements: None, ..good() };
        assert!(judge(&silent).is_usable());
        for version in ["14.0", "26.1", "not a version"] {
            assert!(judge(&Facts { version: Some(version.into()), ..good() }).is_usable());
        }
    }

    #[test]
    fn each_no_has_its_reason_and_its_fix() {
        let intel = Facts { arm: false, ..good() };
        let rosetta = Facts { translated: Some("1".into()), ..intel.clone() };
        let old = Facts { version: Some("13.7.2".into()), ..good() };
        let virtual_mac = Facts { hv_support: Some("0".into()), ..good() };
        let mute = Facts { hv_support: None, ..good() };
        let unsigned = Facts { entitlements: Some(String::new()), ..good() };
        for (facts, reason, fix) in [
            (intel, "Intel's Macs", "Apple silicon"),
            (rosetta, "under Rosetta", "arm64"),
            (old, "macOS 13.7.2 is older than 14", "update"),
            (virtual_mac, "is absent", "kern.hv_support"),
            (mute, "is absent", "kern.hv_support"),
            (unsigned, "no permission to open", "just sign"),
        ] {
            let verdict = judge(&facts);
            assert!(!verdict.is_usable(), "{verdict:?}");
            assert!(verdict.reason().contains(reason), "{}", verdict.reason());
            assert!(verdict.hint().unwrap().contains(fix), "{verdict:?}");
        }
    }

    #[test]
    fn what_we_sign_with_is_what_we_look_for() {
        for list in [
            include_str!("../../packaging/macos/mvm.entitlements"),
            include_str!("../../packaging/macos/mvm-system-libkrun.entitlements"),
        ] {
            assert!(is_entitled(list), "{list}");
            // The kernel's parser of these takes no comments.
            assert!(!list.contains("<!--"), "{list}");
        }
    }

    #[test]
    fn an_entitlement_is_set_and_not_only_named() {
        assert!(is_entitled(ENTITLED));
        assert!(is_entitled("<key>com.apple.security.hypervisor</key>\n\t<true/>"));
        for list in [
            "",
            "<dict/>",
            "<key>com.apple.security.hypervisor</key><false/>",
            "<key>com.apple.security.virtualization</key><true/>",
            "<key>x</key><string>com.apple.security.hypervisor</string><true/>",
        ] {
            assert!(!is_entitled(list), "{list}");
        }
    }
}
