// SPDX-License-Identifier: Apache-2.0
//! Finds out whether KVM *runs* guests, by timing a counted loop in a
//! throw-away VM. Opening /dev/kvm, or even one successful KVM_RUN, proves
//! nothing: there are hosts whose KVM emulates each instruction.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kvm_bindings::{KVM_API_VERSION, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};

use super::Verdict;
use super::access::cannot_open;

/// Slowest 10,000 rounds that still count as hardware. Hardware takes some
/// 10 µs, QEMU's translator with emulated SVM some hundreds, a KVM that
/// interprets 10,000 and more.
const LIMIT_MICROS_PER_10K: u64 = 1_000;

/// Few rounds first, so that a very slow host is found out soon; many at the
/// end, so that the figure is the loop's and not the clock's.
const ROUNDS: [u32; 3] = [1_000, 10_000, 100_000];

/// Attempts per count, of which the best counts: being scheduled away once
/// must not make a good host look slow for the rest of the boot.
const ATTEMPTS: u32 = 3;

/// The longest that all of it may take: ten times what was seen on a busy,
/// emulated host.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens KVM, creates a VM of one vCPU, times it, and throws it away.
pub(super) fn probe() -> Verdict {
    let (sender, receiver) = mpsc::channel();
    let spawned =
        thread::Builder::new().name("kvm-probe".into()).spawn(move || sender.send(probe_here()));
    if let Err(error) = spawned {
        let why = format!("starting the probe: {error}");
        return Verdict::Broken { why };
    }
    // KVM_RUN has no time limit. If it does not return, its thread is given
    // up, with the VM that it owns: it ends with this process, at the latest.
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| Verdict::Broken {
        why: format!("a guest of a few instructions did not end within {PATIENCE:?}"),
    })
}

fn probe_here() -> Verdict {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => return cannot_open(&error.into()),
    };
    measure(&kvm).unwrap_or_else(|why| Verdict::Broken { why })
}

fn measure(kvm: &Kvm) -> Result<Verdict, String> {
    let version = kvm.get_api_version();
    if version != KVM_API_VERSION as i32 {
        return Err(format!("API version {version}, not {KVM_API_VERSION}"));
    }
    let mut guest = Guest::new(kvm)?;
    // What entering and leaving a guest costs, which is much where VMs nest.
    let overhead = best_of(ATTEMPTS, || guest.time(1))?;
    let mut micros_per_10k = 0;
    for rounds in ROUNDS {
        let mut attempts = 0..ATTEMPTS;
        let mut best = u64::MAX;
        while best > LIMIT_MICROS_PER_10K && attempts.next().is_some() {
            let net = guest.time(rounds)?.saturating_sub(overhead);
            best = best.min(micros_for_10k(net, rounds));
        }
        micros_per_10k = best;
        if micros_per_10k > LIMIT_MICROS_PER_10K {
            return Ok(Verdict::Interpreted { micros_per_10k });
        }
    }
    Ok(Verdict::Usable { micros_per_10k: Some(micros_per_10k) })
}

fn best_of(
    attempts: u32,
    mut time: impl FnMut() -> Result<Duration, String>,
) -> Result<Duration, String> {
    let mut best = time()?;
    for _ in 1..attempts {
        best = best.min(time()?);
    }
    Ok(best)
}

fn micros_for_10k(time: Duration, rounds: u32) -> u64 {
    let micros = time.as_nanos() * 10_000 / u128::from(rounds) / 1_000;
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// The guest's only memory. 64 KiB, and so aligned, is a whole number of pages
/// with every page size that aarch64 has.
#[repr(align(0x10000))]
struct Memory([u8; 0x10000]);

/// Where the guest sees its memory: not at 0, where x86 keeps its interrupt
/// table.
const CODE: u64 = 0x10000;

/// A VM that counts to n. The fields are dropped in this order: the memory
/// goes last.
struct Guest {
    vcpu: VcpuFd,
    _vm: VmFd,
    _memory: Box<Memory>,
}

impl Guest {
    fn new(kvm: &Kvm) -> Result<Self, String> {
        let vm = create_vm(kvm).map_err(|error| format!("creating a VM: {error}"))?;
        let mut memory = Box::new(Memory([0; 0x10000]));
        memory.0[..arch::PROGRAM.len()].copy_from_slice(&arch::PROGRAM);
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: CODE,
            memory_size: size_of::<Memory>() as u64,
            userspace_addr: (&raw mut *memory) as u64,
        };
        // SAFETY: the region is exactly one live allocation, aligned to and a
        // multiple of the page size. `Guest` owns it together with the VM and
        // drops it after both descriptors, and the box keeps its address when
        // `Guest` moves. From here on nothing in this process reads or writes
        // it, so whatever the guest did to it would alias no reference.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(|error| format!("giving a VM memory: {error}"))?;
        let vcpu = vm.create_vcpu(0).map_err(|error| format!("creating a vCPU: {error}"))?;
        arch::prepare(&vm, &vcpu).map_err(|error| format!("setting up a vCPU: {error}"))?;
        Ok(Self { vcpu, _vm: vm, _memory: memory })
    }

    /// Runs so many rounds of the loop.
    fn time(&mut self, rounds: u32) -> Result<Duration, String> {
        arch::set_rounds(&self.vcpu, rounds)
            .map_err(|error| format!("setting registers: {error}"))?;
        let started = Instant::now();
        loop {
            match self.vcpu.run() {
                Ok(exit) if arch::is_end(&exit) => return Ok(started.elapsed()),
                Ok(VcpuExit::Intr) => {}
                Ok(exit) => return Err(format!("the guest left with {exit:?}")),
                Err(error) if interrupted(error) && started.elapsed() < PATIENCE => {}
                Err(error) => return Err(format!("running a guest: {error}")),
            }
        }
    }
}

fn create_vm(kvm: &Kvm) -> Result<VmFd, kvm_ioctls::Error> {
    // Interrupted by any signal, and nothing is lost by asking again.
    let mut attempts = 0..10;
    loop {
        match kvm.create_vm() {
            Err(error) if interrupted(error) && attempts.next().is_some() => {}
            result => return result,
        }
    }
}

fn interrupted(error: kvm_ioctls::Error) -> bool {
    let kind = io::Error::from(error).kind();
    matches!(kind, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// The loop in 16-bit code, as a vCPU starts.
#[cfg(target_arch = "x86_64")]
mod arch {
    use super::CODE;
    use kvm_bindings::kvm_regs;
    use kvm_ioctls::{Error, VcpuExit, VcpuFd, VmFd};

    pub(super) const PROGRAM: [u8; 5] = [
        0x66, 0x49, // again: dec ecx
        0x75, 0xfc, //        jnz again
        0xf4, //              hlt
    ];

    pub(super) fn prepare(_vm: &VmFd, vcpu: &VcpuFd) -> Result<(), Error> {
        let mut sregs = vcpu.get_sregs()?;
        sregs.cs.base = CODE;
        sregs.cs.selector = (CODE >> 4) as u16;
        vcpu.set_sregs(&sregs)
    }

    pub(super) fn set_rounds(vcpu: &VcpuFd, rounds: u32) -> Result<(), Error> {
        vcpu.set_regs(&kvm_regs {
            rip: 0,
            rcx: u64::from(rounds),
            rflags: 2, // bit 1 is always set; interrupts are off
            ..Default::default()
        })
    }

    /// There is no interrupt controller in this VM, so HLT ends KVM_RUN.
    pub(super) fn is_end(exit: &VcpuExit<'_>) -> bool {
        matches!(exit, VcpuExit::Hlt)
    }
}

/// The loop for a vCPU with its MMU off. Tried on a Cortex-A57 that QEMU
/// emulates with EL2, and not yet on hardware.
#[cfg(target_arch = "aarch64")]
mod arch {
    use super::CODE;
    use kvm_bindings::{
        KVM_REG_ARM_CORE, KVM_REG_ARM64, KVM_REG_SIZE_U64, kvm_vcpu_init, user_pt_regs,
    };
    use kvm_ioctls::{Error, VcpuExit, VcpuFd, VmFd};
    use std::mem::offset_of;

    pub(super) const PROGRAM: [u8; 16] = [
        0x00, 0x04, 0x00, 0xf1, // again: subs x0, x0, #1
        0xe1, 0xff, 0xff, 0x54, //        b.ne again
        0x20, 0x00, 0x00, 0xf9, //        str  x0, [x1]
        0xfd, 0xff, 0xff, 0x17, //        b    again
    ];

    /// An address with no memory behind it: the store to it ends KVM_RUN.
    const NOWHERE: u64 = 0x10_0000;

    /// A register of `kvm_regs.regs` by its offset in bytes; KVM counts in
    /// 32-bit words.
    fn core(offset: usize) -> u64 {
        KVM_REG_ARM64 as u64
            | KVM_REG_SIZE_U64 as u64
            | KVM_REG_ARM_CORE as u64
            | (offset / size_of::<u32>()) as u64
    }

    pub(super) fn prepare(vm: &VmFd, vcpu: &VcpuFd) -> Result<(), Error> {
        let mut target = kvm_vcpu_init::default();
        vm.get_preferred_target(&mut target)?;
        vcpu.vcpu_init(&target)?;
        let x1 = offset_of!(user_pt_regs, regs) + size_of::<u64>();
        vcpu.set_one_reg(core(x1), &NOWHERE.to_le_bytes())?;
        vcpu.set_one_reg(core(offset_of!(user_pt_regs, pc)), &CODE.to_le_bytes())?;
        Ok(())
    }

    /// Only the count: the next KVM_RUN completes the store that ended the
    /// last one, which moves the program counter on to the branch behind it.
    pub(super) fn set_rounds(vcpu: &VcpuFd, rounds: u32) -> Result<(), Error> {
        let x0 = core(offset_of!(user_pt_regs, regs));
        vcpu.set_one_reg(x0, &u64::from(rounds).to_le_bytes())?;
        Ok(())
    }

    pub(super) fn is_end(exit: &VcpuExit<'_>) -> bool {
        matches!(exit, VcpuExit::MmioWrite(NOWHERE, _))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict and an independent look at the speed must agree, on any
    /// machine; MVM_TEST_EXPECT_KVM (`usable` or `unusable`) says what this
    /// machine is known for.
    #[test]
    fn verdict_agrees_with_the_measured_speed() {
        let started = Instant::now();
        let verdict = probe();
        println!("kvm: {verdict:?} in {:?}", started.elapsed());
        assert!(started.elapsed() < PATIENCE + Duration::from_secs(1));
        match std::env::var("MVM_TEST_EXPECT_KVM").as_deref() {
            Ok("usable") => assert!(verdict.is_usable(), "{verdict:?}"),
            Ok("unusable") => assert!(!verdict.is_usable(), "{verdict:?}"),
            Ok(other) => panic!("MVM_TEST_EXPECT_KVM={other}"),
            Err(_) => {}
        }
        let opens = Kvm::new();
        match &verdict {
            Verdict::Usable { micros_per_10k } => {
                assert!(micros_per_10k.unwrap() <= LIMIT_MICROS_PER_10K);
            }
            Verdict::Interpreted { micros_per_10k } => {
                assert!(*micros_per_10k > LIMIT_MICROS_PER_10K);
            }
            Verdict::Broken { .. } => {}
            Verdict::Absent { .. } | Verdict::NoPermission { .. } => assert!(opens.is_err()),
            Verdict::NotYet { .. } | Verdict::Unfit { .. } => panic!("Linux has KVM"),
        }
        if let Verdict::Usable { .. } | Verdict::Interpreted { .. } = verdict {
            let mut guest = Guest::new(&Kvm::new().unwrap()).unwrap();
            let time = best_of(5, || guest.time(20_000)).unwrap();
            let per_10k = micros_for_10k(time, 20_000);
            println!("kvm: 10,000 rounds of 20,000 take {per_10k} µs");
            // A wide margin, since tests run beside others.
            if verdict.is_usable() {
                assert!(per_10k < 10 * LIMIT_MICROS_PER_10K);
            } else {
                assert!(per_10k > LIMIT_MICROS_PER_10K / 10);
            }
        }
    }

    #[test]
    fn time_scales_to_ten_thousand() {
        assert_eq!(micros_for_10k(Duration::from_micros(9), 1_000), 90);
        assert_eq!(micros_for_10k(Duration::from_millis(18), 10_000), 18_000);
        assert_eq!(micros_for_10k(Duration::MAX, 1), u64::MAX);
    }
}
