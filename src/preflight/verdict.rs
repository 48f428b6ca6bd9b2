// SPDX-License-Identifier: Apache-2.0
//! What the probe found out about this host's hardware virtualization. Only
//! the words for it live here; how it is found out is the platform's matter.

use serde::{Deserialize, Serialize};

/// Whether the host's hypervisor interface can run a guest, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Guests run on the processor. `micros_per_10k` is the time of 10,000
    /// rounds of a two-instruction loop; `None` where the platform only says
    /// that it can and nothing was timed (macOS).
    Usable { micros_per_10k: Option<u64> },
    /// There is no hypervisor interface at all.
    Absent { hint: String },
    /// The interface is there and this user may not open it. `group` is the
    /// group that may.
    NoPermission { group: Option<String>, hint: String },
    /// It opens and creates VMs, but emulates every instruction: seen where a
    /// cloud nests virtual machines. QEMU's translator is faster than that.
    Interpreted { micros_per_10k: u64 },
    /// It opens and then fails.
    Broken { why: String },
    /// The interface is there, and not for this program or on this system.
    Unfit { why: String, hint: String },
    /// mvm has no backend for this platform's hypervisor yet, so it was not
    /// asked.
    NotYet { what: String },
}

/// What current hardware takes for 10,000 rounds, in µs; for comparison only.
const HARDWARE_MICROS_PER_10K: u64 = 10;

impl Verdict {
    /// Whether a backend may rely on hardware virtualization.
    pub fn is_usable(&self) -> bool {
        matches!(self, Verdict::Usable { .. })
    }

    /// The reason in a few words, without the figures; fits in parentheses.
    pub fn reason(&self) -> String {
        match self {
            Verdict::Usable { .. } => "it runs guests".into(),
            Verdict::Absent { .. } => format!("{INTERFACE} is absent"),
            Verdict::NoPermission { .. } => format!("no permission to open {INTERFACE}"),
            Verdict::Interpreted { .. } => "KVM opens but interprets guests".into(),
            Verdict::Broken { why } => format!("{INTERFACE} fails: {why}"),
            Verdict::Unfit { why, .. } => why.clone(),
            Verdict::NotYet { what } => what.clone(),
        }
    }

    /// The reason with the figures behind it, for `mvm doctor`.
    pub fn detail(&self) -> String {
        match self {
            Verdict::Usable { micros_per_10k: Some(micros) } => {
                format!("runs guests: 10,000 loops take {micros} µs")
            }
            Verdict::Usable { micros_per_10k: None } => {
                "the system says that it runs guests".into()
            }
            Verdict::Interpreted { micros_per_10k } => format!(
                "KVM opens but interprets guests: 10,000 loops take {micros_per_10k} µs, \
                 some {} times slower than hardware",
                micros_per_10k / HARDWARE_MICROS_PER_10K
            ),
            other => other.reason(),
        }
    }

    /// What the user can do about it; `None` if there is nothing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Verdict::Usable { .. } | Verdict::NotYet { .. } => None,
            Verdict::Absent { hint }
            | Verdict::NoPermission { hint, .. }
            | Verdict::Unfit { hint, .. } => Some(hint.clone()),
            Verdict::Interpreted { .. } => Some(
                "this host is itself a virtual machine without nested virtualization: \
                 turn it on in the outer hypervisor, or use a bare-metal host"
                    .into(),
            ),
            Verdict::Broken { .. } => Some(
                "see `dmesg` for what the kernel says; another hypervisor may hold \
                 the processor's virtualization"
                    .into(),
            ),
        }
    }
}

#[cfg(target_os = "linux")]
const INTERFACE: &str = "/dev/kvm";
#[cfg(target_os = "macos")]
const INTERFACE: &str = "Hypervisor.framework";
#[cfg(windows)]
const INTERFACE: &str = "Hyper-V";

/// The sentence `mvm run` prints once on stderr before it goes on emulated;
/// `None` where nothing is emulated.
pub fn emulation_notice(verdict: &Verdict) -> Option<String> {
    (!verdict.is_usable()).then(|| {
        format!(
            "note: no usable hardware virtualization ({}); emulating with QEMU, which is slow",
            verdict.reason()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_only_without_hardware() {
        let slow = Verdict::Interpreted { micros_per_10k: 18_000 };
        assert_eq!(
            emulation_notice(&slow).unwrap(),
            "note: no usable hardware virtualization (KVM opens but interprets guests); \
             emulating with QEMU, which is slow"
        );
        assert!(slow.detail().contains("1800 times slower"));
        let fast = Verdict::Usable { micros_per_10k: Some(9) };
        assert_eq!(emulation_notice(&fast), None);
        assert_eq!(fast.hint(), None);
    }

    #[test]
    fn survives_the_cache_file() {
        for verdict in [
            Verdict::Usable { micros_per_10k: Some(9) },
            Verdict::Usable { micros_per_10k: None },
            Verdict::NoPermission { group: Some("kvm".into()), hint: "x".into() },
            Verdict::Broken { why: "y".into() },
            Verdict::Unfit { why: "y".into(), hint: "x".into() },
        ] {
            let text = serde_json::to_string(&verdict).unwrap();
            assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
        }
    }
}
