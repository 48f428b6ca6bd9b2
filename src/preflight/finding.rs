// SPDX-License-Identifier: Apache-2.0
//! The same checks as a run's, each as a line of a report: nothing stops at
//! the first failure, and nothing is taken from memory.

use serde::Serialize;

use super::cache::HostCache;
use super::checks;
use super::error::{PreflightError, Warning};
use super::{
    Freshness, HostFacts, Places, QemuNeed, Requirements, host, online_cpus, platform, qemu,
};
use crate::kernel;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub status: Status,
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// A fact that is neither good nor bad.
    Info,
    /// A run goes on, and not as well as it could.
    Warn,
    /// A run would refuse.
    Fail,
}

impl Finding {
    fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into(), hint: None }
    }

    fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Of a check: `good` is what to say if it found nothing.
    fn of(
        name: &'static str,
        result: Result<Option<Warning>, PreflightError>,
        good: String,
    ) -> Self {
        match result {
            Ok(None) => Self::new(name, Status::Ok, good),
            Ok(Some(warning)) => {
                Self::new(name, Status::Warn, warning.to_string()).hint(Some(warning.hint()))
            }
            Err(error) => Self::new(name, Status::Fail, error.to_string()).hint(error.hint()),
        }
    }
}

/// Everything [`super::check`] looks at, measured anew; what was measured is
/// remembered for the next run.
pub fn report(requirements: &Requirements, places: Places<'_>) -> (HostFacts, Vec<Finding>) {
    let mut cache = HostCache::default();
    let (verdict, tsc_khz) = host(&mut cache, Freshness::Now);
    let qemu = qemu::find(
        requirements.environment.qemu.as_deref(),
        requirements.environment.search_path.as_deref(),
        &mut cache.qemu,
    );
    let kernel = kernel::find(&super::kernel_search(requirements, places), &mut cache.kernel);
    // Where it cannot be stored, the directory's own finding says why.
    let _ = cache.store(places.cache);

    let memory = platform::memory();
    let facts = HostFacts {
        hypervisor: verdict.clone(),
        tsc_khz,
        cpus: online_cpus(),
        mem_total_mib: memory.map(|memory| memory.total_mib),
        mem_available_mib: memory.and_then(|memory| memory.available_mib),
        disk_free: platform::disk_free(places.data).ok(),
        qemu: qemu.as_ref().ok().cloned(),
    };

    let mut findings = Vec::new();
    let status = if verdict.is_usable() { Status::Ok } else { Status::Warn };
    findings.push(Finding::new("hypervisor", status, verdict.detail()).hint(verdict.hint()));
    findings.push(match qemu {
        Ok(found) => {
            let detail = format!("{} {}", found.path.display(), found.version);
            Finding::new("qemu", Status::Ok, detail)
        }
        Err(error) => {
            let needed = match requirements.qemu {
                QemuNeed::Always => true,
                QemuNeed::WithoutHardware => !verdict.is_usable(),
                QemuNeed::Never => false,
            };
            let status = if needed { Status::Fail } else { Status::Info };
            Finding::new("qemu", status, error.to_string()).hint(error.hint())
        }
    });
    findings.push(match kernel {
        Ok(found) => {
            let detail = format!("{} ({})", found.path.display(), found.source);
            Finding::new("kernel", Status::Ok, detail)
        }
        Err(error) => Finding::new("kernel", Status::Fail, error.to_string()).hint(error.hint()),
    });
    for (name, path, private) in places.named() {
        let result = checks::directory(name, path, &platform::directory_facts(path), private);
        findings.push(Finding::of(name, result.map(|()| None), path.display().to_string()));
    }
    findings.push(match platform::disk_free(places.data) {
        Ok(free) => {
            let good = format!("{} GiB free for the data directory", free >> 30);
            Finding::of("disk", checks::disk(places.data, free), good)
        }
        Err(error) => Finding::new("disk", Status::Warn, format!("free space unknown: {error}")),
    });
    findings.push(match memory {
        Some(memory) => {
            let available = memory
                .available_mib
                .map(|mib| format!("{mib} MiB available of "))
                .unwrap_or_default();
            let good = format!("{available}{} MiB", memory.total_mib);
            Finding::of("memory", checks::memory(requirements.ram_mib, memory), good)
        }
        None => Finding::new("memory", Status::Warn, "the system does not tell its size"),
    });
    let cpus = facts.cpus;
    let vcpus = checks::vcpus(requirements.vcpus, cpus, requirements.max_vcpus);
    findings.push(Finding::of("cpus", vcpus, format!("{cpus} usable")));
    if let Some(khz) = tsc_khz {
        let detail = format!("time stamp counter at {}.{:03} MHz", khz / 1000, khz % 1000);
        findings.push(Finding::new("clock", Status::Info, detail));
    }
    (facts, findings)
}
