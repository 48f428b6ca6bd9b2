// SPDX-License-Identifier: Apache-2.0
//! The whole of preflight, on this very host.

use std::fs;
use std::time::{Duration, Instant};

use super::*;

struct Home {
    dir: tempfile::TempDir,
    data: PathBuf,
    cache: PathBuf,
    runtime: PathBuf,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        Self { data: path("data"), cache: path("cache"), runtime: path("run"), dir }
    }

    fn places(&self) -> Places<'_> {
        Places { data: &self.data, cache: &self.cache, runtime: &self.runtime }
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            ram_mib: 64,
            vcpus: 1,
            max_vcpus: 8,
            qemu: QemuNeed::Always,
            kernel: None,
            environment: Environment {
                search_path: Some(self.dir.path().join("bin").into()),
                ..Environment::default()
            },
        }
    }

    /// A program that answers as QEMU does, and the smallest valid kernel.
    #[cfg(unix)]
    fn furnish(&self, requirements: &mut Requirements) {
        use std::os::unix::fs::PermissionsExt;
        let qemu = self.dir.path().join("qemu");
        let script = "#!/bin/sh\ncase $1 in\n\
                      --version) echo 'QEMU emulator version 7.2.22';;\n\
                      *) echo 'microvm x'; echo 'virt x';;\nesac\n";
        fs::write(&qemu, script).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o700)).unwrap();
        requirements.environment.qemu = Some(qemu);
        let kernel = self.dir.path().join("vmlinux");
        fs::write(&kernel, crate::kernel::smallest()).unwrap();
        requirements.kernel = Some(kernel);
    }

    fn check(&self, requirements: &Requirements) -> Result<Preflight, PreflightError> {
        check(requirements, self.places())
    }
}

#[cfg(unix)]
#[test]
fn a_fit_host_and_a_warm_cache() {
    let home = Home::new();
    let mut requirements = home.requirements();
    home.furnish(&mut requirements);
    let cold = Instant::now();
    let first = home.check(&requirements).unwrap();
    let cold = cold.elapsed();
    let warm = (0..20)
        .map(|_| {
            let started = Instant::now();
            let again = home.check(&requirements).unwrap();
            let took = started.elapsed();
            assert_eq!(again.facts.hypervisor, first.facts.hypervisor);
            assert_eq!(again.facts.tsc_khz, first.facts.tsc_khz);
            took
        })
        .min()
        .unwrap();
    println!("preflight: cold {cold:?}, warm {warm:?}");
    println!("preflight: {:?}", first.facts);
    if Boot::now(first.facts.hypervisor.clone(), None).is_some() {
        assert!(warm < Duration::from_millis(2), "{warm:?}");
        let names: Vec<_> = fs::read_dir(&home.cache).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
    }
    assert_eq!(first.accelerated(), emulation_notice(&first.facts.hypervisor).is_none());
    assert!(first.facts.qemu.is_some());
    assert!(!home.data.exists() && !home.runtime.exists());
}

#[cfg(unix)]
#[test]
fn a_run_believes_the_cache_and_doctor_does_not() {
    if platform::boot_id().is_none() {
        return crate::skip::skip_because("needs a boot ID: nothing is remembered without");
    }
    let home = Home::new();
    let mut requirements = home.requirements();
    home.furnish(&mut requirements);
    let lie = Verdict::NotYet { what: "remembered".into() };
    let cache = HostCache { boot: Boot::now(lie.clone(), None), ..HostCache::default() };
    cache.store(&home.cache).unwrap();
    let run = home.check(&requirements).unwrap();
    assert_eq!(run.facts.hypervisor, lie);

    let (_, findings) = report(&requirements, home.places());
    assert!(!findings[0].detail.contains("remembered"));
    let run = home.check(&requirements).unwrap();
    assert_ne!(run.facts.hypervisor, lie);
}

#[cfg(unix)]
#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let home = Home::new();
    let mut requirements = home.requirements();
    home.furnish(&mut requirements);
    fs::create_dir_all(home.cache.join("host.json")).unwrap();
    home.check(&requirements).unwrap();
}

#[cfg(unix)]
#[test]
fn no_is_typed() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let mut good = home.requirements();
    home.furnish(&mut good);
    let no = |change: &dyn Fn(&mut Requirements)| {
        let mut requirements = good.clone();
        change(&mut requirements);
        let error = home.check(&requirements).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
        error
    };
    let memory = no(&|r| r.ram_mib = u64::MAX);
    assert!(matches!(memory, PreflightError::Memory { .. }));
    let vcpus = no(&|r| r.vcpus = 9);
    assert_eq!(vcpus.to_string(), "9 vCPUs are more than the 8 that the hypervisor offers");
    let kernel = no(&|r| r.kernel = Some("/nonexistent/vmlinux".into()));
    assert!(matches!(kernel, PreflightError::Kernel(_)));
    let qemu = no(&|r| r.environment.qemu = None);
    assert!(matches!(qemu, PreflightError::Qemu(QemuError::NotFound { .. })));

    fs::create_dir(&home.runtime).unwrap();
    fs::set_permissions(&home.runtime, fs::Permissions::from_mode(0o755)).unwrap();
    let open = no(&|_| ());
    assert!(open.to_string().contains("open to other users (mode 0755)"));
    fs::set_permissions(&home.runtime, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&home.data, "").unwrap();
    assert!(no(&|_| ()).to_string().ends_with("is not a directory"));
}

#[cfg(unix)]
#[test]
fn qemu_is_needed_without_hardware_only() {
    let home = Home::new();
    let mut requirements = home.requirements();
    home.furnish(&mut requirements);
    requirements.environment.qemu = None;
    requirements.qemu = QemuNeed::WithoutHardware;
    if platform::boot_id().is_none() {
        return crate::skip::skip_because("needs a boot ID: nothing is remembered without");
    }
    for usable in [true, false] {
        let verdict = if usable {
            Verdict::Usable { micros_per_10k: Some(9) }
        } else {
            Verdict::Interpreted { micros_per_10k: 18_000 }
        };
        let cache = HostCache { boot: Boot::now(verdict, None), ..HostCache::default() };
        cache.store(&home.cache).unwrap();
        let checked = home.check(&requirements);
        assert_eq!(checked.is_ok(), usable);
        if let Err(error) = checked {
            let (words, hint) = (error.to_string(), error.hint().unwrap());
            assert!(words.starts_with("KVM opens but interprets guests, and "), "{words}");
            assert!(hint.contains("nested virtualization") && hint.contains("install QEMU"));
        }
    }
}

#[test]
fn doctor_goes_through_to_the_end() {
    let home = Home::new();
    let (_, findings) = report(&home.requirements(), home.places());
    let names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
    let expected = [
        "hypervisor",
        "qemu",
        "kernel",
        "data directory",
        "cache directory",
        "runtime directory",
        "disk",
        "memory",
        "cpus",
    ];
    assert_eq!(names[..expected.len()], expected);
    assert_eq!(findings[1].status, Status::Fail);
    for finding in &findings {
        assert!(finding.status != Status::Fail || finding.hint.is_some());
    }
}
