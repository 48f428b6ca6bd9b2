// SPDX-License-Identifier: Apache-2.0
//! Remembers what was found out about the host, in one small file of the cache
//! directory. What depends on the running kernel is kept per boot; a file that
//! is damaged, foreign or of another version counts as absent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::qemu::QemuEntry;
use super::{Verdict, platform};
use crate::kernel;
use crate::state::{make_private_dir, replace_file};

const FILE: &str = "host.json";
const SCHEMA: u32 = 1;

/// A damaged file must not be read without end.
const MAX_BYTES: u64 = 64 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct HostCache {
    pub boot: Option<Boot>,
    pub qemu: Option<QemuEntry>,
    /// The kernel that came with mvm.
    pub kernel: Option<kernel::Verified>,
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    host: HostCache,
}

/// What holds until the next boot, or until the hypervisor interface or our
/// right to it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Boot {
    boot_id: String,
    /// The interface's identity and our access to it, as the platform puts it:
    /// joining the group `kvm` changes it.
    interface: String,
    pub verdict: Verdict,
    pub tsc: Option<Tsc>,
}

/// The host's time stamp counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tsc {
    pub khz: u64,
    pub anchor: Anchor,
}

/// One instant on both clocks. Against a later one it tells, for free and with
/// a long base line, whether the counter still runs at the rate we remember: a
/// VM that was moved to another host keeps its boot ID.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Anchor {
    pub ticks: u64,
    /// CLOCK_MONOTONIC_RAW.
    pub nanos: u64,
}

impl HostCache {
    /// The file in `dir`, or an empty cache if there is none that can be used.
    pub fn load(dir: &Path) -> Self {
        Self::read(&dir.join(FILE)).unwrap_or_default()
    }

    fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        if !platform::is_ours(&file) {
            return None;
        }
        let mut text = String::with_capacity(4096);
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        let document: Document = serde_json::from_str(&text).ok()?;
        (document.schema == SCHEMA).then_some(document.host)
    }

    /// Replaces the file in one step.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        make_private_dir(dir)?;
        let document = Document { schema: SCHEMA, host: self.clone() };
        replace_file(&dir.join(FILE), &serde_json::to_vec_pretty(&document)?)
    }
}

impl Boot {
    /// What was just found out, under the keys that it holds for. `None` if it
    /// is not to be believed later: this platform has no boot ID, or KVM was
    /// broken, which may pass, as when another hypervisor lets go of it.
    pub fn now(verdict: Verdict, tsc: Option<Tsc>) -> Option<Self> {
        if let Verdict::Broken { .. } = verdict {
            return None;
        }
        Some(Self {
            boot_id: platform::boot_id()?,
            interface: platform::interface_identity(),
            verdict,
            tsc,
        })
    }

    /// Whether it still holds.
    pub fn holds(&self) -> bool {
        Some(&self.boot_id) == platform::boot_id().as_ref()
            && self.interface == platform::interface_identity()
            && match (&self.tsc, platform::clocks()) {
                (Some(tsc), Some(now)) => tsc.agrees(now),
                (None, _) => true,
                (Some(_), None) => false,
            }
    }
}

impl Tsc {
    /// Whether the counter kept its rate from the anchor to `now`.
    fn agrees(&self, now: Anchor) -> bool {
        /// Any shorter and the two readings' own distance shows.
        const SHORTEST_BASE: u64 = 20_000_000;
        let (Some(ticks), Some(nanos)) =
            (now.ticks.checked_sub(self.anchor.ticks), now.nanos.checked_sub(self.anchor.nanos))
        else {
            return false;
        };
        if nanos < SHORTEST_BASE {
            return true;
        }
        let khz = u128::from(ticks) * 1_000_000 / u128::from(nanos);
        khz.abs_diff(u128::from(self.khz)) * 1000 <= u128::from(self.khz)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TSC: Tsc =
        Tsc { khz: 2_596_120, anchor: Anchor { ticks: 5_000_000_000, nanos: 1_000_000_000 } };

    fn sample() -> HostCache {
        HostCache {
            boot: Some(Boot {
                boot_id: "b".into(),
                interface: "i".into(),
                verdict: Verdict::Broken { why: "w".into() },
                tsc: Some(TSC),
            }),
            ..HostCache::default()
        }
    }

    #[test]
    fn comes_back_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("made");
        sample().store(&inner).unwrap();
        sample().store(&inner).unwrap();
        assert_eq!(HostCache::load(&inner), sample());
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_used_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(HostCache::load(dir.path()), HostCache::default());
        sample().store(dir.path()).unwrap();
        let file = dir.path().join(FILE);
        let good = fs::read_to_string(&file).unwrap();
        let half = &good[..good.len() / 2];
        let newer = good.replace("\"schema\": 1", "\"schema\": 2");
        assert_ne!(newer, good);
        for bad in ["", "{}", "[1]", "\0\0\0", half, &newer] {
            fs::write(&file, bad).unwrap();
            assert_eq!(HostCache::load(dir.path()), HostCache::default(), "{bad}");
        }
    }

    #[test]
    fn another_boot_or_interface_does_not_hold() {
        assert_eq!(Boot::now(Verdict::Broken { why: "w".into() }, None), None);
        let Some(boot) = Boot::now(Verdict::Absent { hint: "h".into() }, None) else {
            return crate::skip::skip_because("needs a boot ID");
        };
        assert!(boot.holds());
        let rebooted = Boot { boot_id: "another".into(), ..boot.clone() };
        assert!(!rebooted.holds());
        let joined_the_group = Boot { interface: "another".into(), ..boot };
        assert!(!joined_the_group.holds());
    }

    #[test]
    fn a_counter_at_another_rate_does_not_agree() {
        let later = |nanos: u64, khz: u64| Anchor {
            ticks: TSC.anchor.ticks + nanos * khz / 1_000_000,
            nanos: TSC.anchor.nanos + nanos,
        };
        assert!(TSC.agrees(TSC.anchor));
        assert!(TSC.agrees(later(60_000_000_000, 2_596_120)));
        assert!(TSC.agrees(later(60_000_000_000, 2_596_620)));
        assert!(!TSC.agrees(later(60_000_000_000, 2_600_120)));
        assert!(!TSC.agrees(Anchor { ticks: 0, ..later(1, 1) }));
        assert!(!TSC.agrees(Anchor { nanos: 0, ..later(1, 1) }));
    }
}
