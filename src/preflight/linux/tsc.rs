// SPDX-License-Identifier: Apache-2.0
//! The frequency of the x86 time stamp counter. A guest that QEMU emulates
//! reads the host's counter and has nothing to calibrate it against, so its
//! kernel is told (`tsc_early_khz=`).

use crate::preflight::cache::{Anchor, Tsc};

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn measure() -> Option<Tsc> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn clocks() -> Option<Anchor> {
    None
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{clocks, measure};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Anchor, Tsc};
    use std::arch::x86_64::{__cpuid, _rdtsc};
    use std::thread;
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// Long enough that two readings, each good to some 100 ns, give the rate
    /// to about 10 in a million.
    const BASE: Duration = Duration::from_millis(15);

    /// Measured against CLOCK_MONOTONIC_RAW, which no time daemon bends. What
    /// the processor or hypervisor states is exact, but is believed only where
    /// the measurement bears it out: it is wrong on some, and after a
    /// migration.
    pub(crate) fn measure() -> Option<Tsc> {
        let (from, to) = {
            let from = clocks()?;
            thread::sleep(BASE);
            (from, clocks()?)
        };
        let ticks = u128::from(to.ticks.checked_sub(from.ticks)?);
        let nanos = u128::from(to.nanos.checked_sub(from.nanos)?);
        if nanos == 0 {
            return None;
        }
        let measured = u64::try_from((ticks * 1_000_000 + nanos / 2) / nanos).ok()?;
        if !PLAUSIBLE_KHZ.contains(&measured) {
            return None;
        }
        let khz = stated_khz()
            .filter(|stated| stated.abs_diff(measured) * 5_000 <= measured)
            .unwrap_or(measured);
        Some(Tsc { khz, anchor: to })
    }

    const PLAUSIBLE_KHZ: std::ops::Range<u64> = 100_000..20_000_000;

    /// Both clocks at one instant, as near as can be: of several readings the
    /// one in which the least time passed, so that being scheduled away in the
    /// middle does no harm.
    pub(crate) fn clocks() -> Option<Anchor> {
        let best = (0..16)
            .map(|_| {
                let before = ticks();
                let time = clock_gettime(ClockId::MonotonicRaw);
                (before, time, ticks())
            })
            .min_by_key(|(before, _, after)| after.saturating_sub(*before))?;
        let (before, time, after) = best;
        let nanos = u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + time.tv_nsec as u64;
        Some(Anchor { ticks: before + after.saturating_sub(before) / 2, nanos })
    }

    fn ticks() -> u64 {
        // SAFETY: RDTSC exists on every x86_64 processor and touches no
        // memory. A process for which the kernel has disabled it
        // (PR_TSC_SIGSEGV) is killed by a signal, which is no unsoundness.
        unsafe { _rdtsc() }
    }

    /// What CPUID states, in kHz: leaf 0x15 (Intel SDM: crystal clock and
    /// ratio), or leaf 0x4000_0010 of hypervisors that follow VMware's.
    fn stated_khz() -> Option<u64> {
        from_leaves(|leaf| {
            // SAFETY: CPUID exists on every x86_64 processor, has no side
            // effect on memory, and answers any leaf, with zeros or with the
            // highest leaf's data if it does not know it. (A safe function
            // since Rust 1.94.)
            #[allow(unused_unsafe)]
            let result = unsafe { __cpuid(leaf) };
            [result.eax, result.ebx, result.ecx]
        })
    }

    /// `cpuid` gives EAX, EBX, ECX of a leaf.
    fn from_leaves(cpuid: impl Fn(u32) -> [u32; 3]) -> Option<u64> {
        if cpuid(0)[0] >= 0x15 {
            let [denominator, numerator, crystal_hz] = cpuid(0x15).map(u64::from);
            if denominator != 0 && numerator != 0 && crystal_hz != 0 {
                return Some(crystal_hz * numerator / denominator / 1000);
            }
        }
        let hypervisor = cpuid(1)[2] >> 31 == 1;
        if hypervisor && cpuid(0x4000_0000)[0] >= 0x4000_0010 {
            return Some(u64::from(cpuid(0x4000_0010)[0])).filter(|khz| *khz != 0);
        }
        None
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::time::Instant;

        #[test]
        fn measured_the_same_twice() {
            let started = Instant::now();
            let first = measure().unwrap();
            let took = started.elapsed();
            let runs: Vec<u64> = (0..4).map(|_| measure().unwrap().khz).collect();
            println!(
                "tsc: {} kHz in {took:?}, again {runs:?}, stated {:?}",
                first.khz,
                stated_khz()
            );
            for khz in runs {
                assert!(khz.abs_diff(first.khz) * 2000 <= first.khz, "0.05 %");
            }
        }

        #[test]
        fn leaves() {
            let intel = |leaf| match leaf {
                0 => [0x16, 0, 0],
                0x15 => [2, 216, 24_000_000],
                _ => [0; 3],
            };
            assert_eq!(from_leaves(intel), Some(2_592_000));
            let guest = |leaf| match leaf {
                0 => [0x10, 0, 0],
                1 => [0, 0, 1 << 31],
                0x4000_0000 => [0x4000_0010, 0, 0],
                0x4000_0010 => [2_596_120, 0, 0],
                _ => [0; 3],
            };
            assert_eq!(from_leaves(guest), Some(2_596_120));
            // No crystal frequency, no hypervisor: nothing is stated.
            let silent = |leaf| match leaf {
                0 => [0x16, 0, 0],
                0x15 => [2, 216, 0],
                _ => [0; 3],
            };
            assert_eq!(from_leaves(silent), None);
        }
    }
}
