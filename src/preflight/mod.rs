// SPDX-License-Identifier: Apache-2.0
//! The first phase of a run: can this host do it, and with what. Each "no" is
//! typed and comes with its fix. Nothing here changes the host, except for the
//! file that remembers what was found out.

mod cache;
mod checks;
mod error;
mod finding;
pub mod qemu;
mod verdict;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(target_os = "macos")]
use macos as platform;
#[cfg(windows)]
use windows as platform;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::kernel::{self, GuestKernel};
use cache::{Boot, HostCache};
pub use error::{DirectoryProblem, PreflightError, Warning};
pub use finding::{Finding, Status, report};
pub use qemu::{Qemu, QemuError};
pub use verdict::{Verdict, emulation_notice};

/// What is going to be asked of the host.
#[derive(Clone, Debug)]
pub struct Requirements {
    /// RAM of the VM.
    pub ram_mib: u64,
    pub vcpus: u32,
    /// The most vCPUs that the backend gives a VM.
    pub max_vcpus: u32,
    pub qemu: QemuNeed,
    /// The kernel the user named on the command line.
    pub kernel: Option<PathBuf>,
    pub environment: Environment,
}

/// When a run cannot do without QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QemuNeed {
    Always,
    /// Another backend runs the VM if there is hardware virtualization.
    WithoutHardware,
    /// Another backend runs the VM, or nothing does.
    Never,
}

/// What the environment has a say in.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `MVM_QEMU`
    pub qemu: Option<PathBuf>,
    /// `MVM_KERNEL`
    pub kernel: Option<PathBuf>,
    /// `PATH`
    pub search_path: Option<OsString>,
}

impl Environment {
    /// This process's. A variable that is set to nothing counts as not set.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            qemu: variable("MVM_QEMU").map(PathBuf::from),
            kernel: variable("MVM_KERNEL").map(PathBuf::from),
            search_path: variable("PATH"),
        }
    }
}

/// mvm's directories; they need not exist yet.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    pub data: &'a Path,
    pub cache: &'a Path,
    pub runtime: &'a Path,
}

impl<'a> Places<'a> {
    /// Each with its name and whether it must be closed to other users.
    fn named(&self) -> [(&'static str, &'a Path, bool); 3] {
        [
            ("data directory", self.data, false),
            ("cache directory", self.cache, false),
            ("runtime directory", self.runtime, true),
        ]
    }
}

/// What the host is and has. What the system does not tell is `None`.
#[derive(Clone, Debug)]
pub struct HostFacts {
    pub hypervisor: Verdict,
    /// Frequency of the time stamp counter (x86): an emulated guest is told.
    pub tsc_khz: Option<u64>,
    /// Processors this process may use.
    pub cpus: u32,
    pub mem_total_mib: Option<u64>,
    /// What can be had without swapping.
    pub mem_available_mib: Option<u64>,
    /// Free bytes for the data directory.
    pub disk_free: Option<u64>,
    /// `None` only if there is no need for it.
    pub qemu: Option<Qemu>,
}

/// A host that can run the VM.
#[derive(Clone, Debug)]
pub struct Preflight {
    pub facts: HostFacts,
    pub kernel: GuestKernel,
    pub warnings: Vec<Warning>,
}

impl Preflight {
    /// Whether guests run on the processor; if not, see [`emulation_notice`].
    pub fn accelerated(&self) -> bool {
        self.facts.hypervisor.is_usable()
    }
}

/// Decides whether a VM can be started. Under 1 ms when this boot's facts are
/// in the cache directory; some 50 ms (at most a few seconds, on a broken
/// host) when they are to be found out. Blocks; spawns QEMU when it is new.
pub fn check(requirements: &Requirements, places: Places<'_>) -> Result<Preflight, PreflightError> {
    let mut warnings = Vec::new();
    for (what, path, private) in places.named() {
        checks::directory(what, path, &platform::directory_facts(path), private)?;
    }
    let disk_free = platform::disk_free(places.data).ok();
    if let Some(free) = disk_free {
        warnings.extend(checks::disk(places.data, free)?);
    }
    let memory = platform::memory();
    if let Some(memory) = memory {
        warnings.extend(checks::memory(requirements.ram_mib, memory)?);
    }
    let cpus = online_cpus();
    warnings.extend(checks::vcpus(requirements.vcpus, cpus, requirements.max_vcpus)?);
    let known = HostCache::load(places.cache);
    let mut cache = known.clone();
    let kernel = kernel::find(&kernel_search(requirements, places), &mut cache.kernel)?;
    let (hypervisor, tsc_khz) = host(&mut cache, Freshness::ThisBoot);
    let qemu = qemu::find(
        requirements.environment.qemu.as_deref(),
        requirements.environment.search_path.as_deref(),
        &mut cache.qemu,
    );
    if cache != known
        && let Err(error) = cache.store(places.cache)
    {
        tracing::debug!("cannot remember what the host is: {error}");
    }
    let qemu = match (qemu, requirements.qemu) {
        (Ok(qemu), _) => Some(qemu),
        (Err(_), QemuNeed::WithoutHardware) if hypervisor.is_usable() => None,
        (Err(_), QemuNeed::Never) => None,
        (Err(error), _) => return Err(error.into()),
    };
    Ok(Preflight {
        facts: HostFacts {
            hypervisor,
            tsc_khz,
            cpus,
            mem_total_mib: memory.map(|memory| memory.total_mib),
            mem_available_mib: memory.and_then(|memory| memory.available_mib),
            disk_free,
            qemu,
        },
        kernel,
        warnings,
    })
}

/// Whether a remembered verdict will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    ThisBoot,
    Now,
}

/// The hypervisor's verdict and the counter's frequency, from the cache or
/// into it.
fn host(cache: &mut HostCache, freshness: Freshness) -> (Verdict, Option<u64>) {
    if freshness == Freshness::ThisBoot
        && let Some(boot) = &cache.boot
        && boot.holds()
    {
        return (boot.verdict.clone(), boot.tsc.as_ref().map(|tsc| tsc.khz));
    }
    tracing::debug!("probing the hypervisor");
    let verdict = platform::probe();
    let tsc = platform::measure_tsc();
    let khz = tsc.as_ref().map(|tsc| tsc.khz);
    cache.boot = Boot::now(verdict.clone(), tsc);
    (verdict, khz)
}

fn kernel_search<'a>(requirements: &'a Requirements, places: Places<'a>) -> kernel::Search<'a> {
    kernel::Search::of_host(
        requirements.kernel.as_deref(),
        requirements.environment.kernel.as_deref(),
        places.data,
        places.cache,
    )
}

/// Processors that this process may use: fewer than the host has where it is
/// bound to some, or limited in a container.
fn online_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(1))
}

/// A program by its file name in `search_path`, which is `PATH`.
pub fn find_program(name: &str, search_path: Option<&OsStr>) -> Option<PathBuf> {
    search_path
        .into_iter()
        .flat_map(std::env::split_paths)
        // An empty or relative entry means the working directory: what is
        // found there is whatever someone left there.
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| platform::is_executable(&metadata))
}

/// `path`, or the nearest of its ancestors that exists.
fn existing_ancestor(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
