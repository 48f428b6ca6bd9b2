// SPDX-License-Identifier: Apache-2.0
//! Which backend runs a VM on this host, and who said so.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Backend;
#[cfg(unix)]
use super::libkrun::Libkrun;
#[cfg(unix)]
use super::qemu::{Accelerator, Qemu};
use crate::config::Config;
use crate::error::{Failure, Result};
use crate::preflight::{HostFacts, QemuNeed};
use crate::state::Dirs;

/// The environment's word on it.
const VARIABLE: &str = "MVM_BACKEND";

/// What may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// libkrun where the host runs guests in hardware, else QEMU
    #[default]
    Auto,
    Libkrun,
    Qemu,
}

/// A wish, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub backend: BackendName,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    Flag,
    Environment,
    File(PathBuf),
    Nobody,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => write!(f, "--backend"),
            Self::Environment => write!(f, "{VARIABLE}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Nobody => write!(f, "auto"),
        }
    }
}

impl Wish {
    /// The flag, or the environment, or the configuration file; `auto` if
    /// nobody says anything.
    pub fn of(flag: Option<BackendName>, dirs: &Dirs) -> Result<Self> {
        if let Some(backend) = flag {
            return Ok(Self { backend, by: By::Flag });
        }
        let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        if let Some(value) = variable {
            let backend = BackendName::from_str(&value.to_string_lossy(), true).map_err(|_| {
                Failure::new(format!("{VARIABLE}={} names no backend", value.display()))
                    .hint("auto, libkrun or qemu")
            })?;
            return Ok(Self { backend, by: By::Environment });
        }
        let path = Config::path(&dirs.config);
        Ok(match Config::load(&path)?.backend {
            Some(backend) => Self { backend, by: By::File(path) },
            None => Self { backend: BackendName::Auto, by: By::Nobody },
        })
    }

    /// Whether a run can do without QEMU.
    pub fn qemu_need(&self) -> QemuNeed {
        match self.backend {
            BackendName::Qemu => QemuNeed::Always,
            BackendName::Libkrun => QemuNeed::Never,
            BackendName::Auto if HAS_LIBKRUN => QemuNeed::WithoutHardware,
            BackendName::Auto => QemuNeed::Always,
        }
    }
}

#[cfg(unix)]
const HAS_LIBKRUN: bool = mvm_runner::HOSTS;
#[cfg(windows)]
const HAS_LIBKRUN: bool = false;

/// A backend with its settings; travels to the monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    #[cfg(unix)]
    Libkrun(Libkrun),
    #[cfg(unix)]
    Qemu(Qemu),
}

impl Choice {
    pub fn backend(&self) -> &dyn Backend {
        match *self {
            #[cfg(unix)]
            Self::Libkrun(ref libkrun) => libkrun,
            #[cfg(unix)]
            Self::Qemu(ref qemu) => qemu,
        }
    }
}

/// The backend for a wish, or why there is none.
#[cfg(unix)]
pub fn choose(facts: &HostFacts, wish: &Wish) -> Result<Choice> {
    let in_hardware = facts.hypervisor.is_usable();
    match wish.backend {
        BackendName::Libkrun if !HAS_LIBKRUN => {
            Err(Failure::new("this build of mvm has no libkrun in it").hint("--backend qemu"))
        }
        BackendName::Libkrun if !in_hardware => {
            let why = facts.hypervisor.reason();
            let fix = facts.hypervisor.hint().map(|hint| format!("{hint}; "));
            let fix = fix.unwrap_or_default();
            Err(Failure::new(format!("libkrun cannot run VMs on this host: {why}"))
                .hint(format!("{fix}--backend qemu emulates")))
        }
        BackendName::Libkrun => Ok(Choice::Libkrun(Libkrun {})),
        BackendName::Auto if HAS_LIBKRUN && in_hardware => Ok(Choice::Libkrun(Libkrun {})),
        BackendName::Auto | BackendName::Qemu => qemu(facts),
    }
}

/// By hardware where that really runs guests, else emulating.
#[cfg(unix)]
fn qemu(facts: &HostFacts) -> Result<Choice> {
    let Some(qemu) = &facts.qemu else {
        return Err(Failure::new("no hypervisor was found").hint("mvm doctor"));
    };
    let accelerator = match facts.hypervisor.is_usable() {
        true => Accelerator::Kvm,
        false => Accelerator::Tcg { tsc_khz: facts.tsc_khz },
    };
    Ok(Choice::Qemu(Qemu { program: qemu.path.clone(), accelerator, sandbox: qemu.sandbox }))
}

/// None yet: the Hyper-V backend is to come.
#[cfg(windows)]
pub fn choose(_facts: &HostFacts, _wish: &Wish) -> Result<Choice> {
    Err(Failure::new("mvm cannot host VMs on Windows yet"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::preflight::Verdict;
    use crate::preflight::qemu::{Qemu as FoundQemu, Version};

    fn facts(hypervisor: Verdict) -> HostFacts {
        HostFacts {
            hypervisor,
            tsc_khz: Some(1),
            cpus: 1,
            mem_total_mib: None,
            mem_available_mib: None,
            disk_free: None,
            qemu: Some(FoundQemu {
                path: "/qemu".into(),
                version: Version(7, 2, 0),
                sandbox: true,
            }),
        }
    }

    fn chosen(hypervisor: Verdict, backend: BackendName) -> Result<String> {
        let wish = Wish { backend, by: By::Flag };
        let choice = choose(&facts(hypervisor), &wish)?;
        let emulated = choice.backend().capabilities().emulated;
        Ok(format!("{}{}", choice.backend().name(), if emulated { ", emulated" } else { "" }))
    }

    #[test]
    fn auto_is_libkrun_only_where_guests_run_in_hardware() {
        let usable = Verdict::Usable { micros_per_10k: Some(9) };
        for (backend, name) in [
            (BackendName::Auto, "libkrun"),
            (BackendName::Libkrun, "libkrun"),
            (BackendName::Qemu, "qemu"),
        ] {
            assert_eq!(chosen(usable.clone(), backend).unwrap(), name);
        }
        let interprets = Verdict::Interpreted { micros_per_10k: 18_000 };
        for backend in [BackendName::Auto, BackendName::Qemu] {
            assert_eq!(chosen(interprets.clone(), backend).unwrap(), "qemu, emulated");
        }
    }

    #[test]
    fn libkrun_by_name_says_why_it_cannot() {
        let absent = Verdict::Absent { hint: "load the module".into() };
        let refusal = chosen(absent, BackendName::Libkrun).unwrap_err();
        assert!(refusal.message.contains("/dev/kvm is absent"), "{refusal}");
        assert!(refusal.hint.unwrap().contains("load the module"));
        let locked =
            Verdict::NoPermission { group: Some("kvm".into()), hint: "join the group kvm".into() };
        let refusal = chosen(locked, BackendName::Libkrun).unwrap_err();
        assert!(refusal.message.contains("permission"), "{refusal}");
        assert!(refusal.hint.unwrap().contains("group kvm"));
        let interprets = Verdict::Interpreted { micros_per_10k: 18_000 };
        let refusal = chosen(interprets, BackendName::Libkrun).unwrap_err();
        assert!(refusal.message.contains("interprets"), "{refusal}");
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        let dirs = Dirs::under(home.path());
        let nobody = Wish { backend: BackendName::Auto, by: By::Nobody };
        if std::env::var_os(VARIABLE).is_none() {
            assert_eq!(Wish::of(None, &dirs).unwrap(), nobody);
            std::fs::create_dir_all(&dirs.config).unwrap();
            let path = Config::path(&dirs.config);
            std::fs::write(&path, "backend = \"qemu\"\n").unwrap();
            let by_file = Wish { backend: BackendName::Qemu, by: By::File(path) };
            assert_eq!(Wish::of(None, &dirs).unwrap(), by_file);
        }
        let by_flag = Wish { backend: BackendName::Libkrun, by: By::Flag };
        assert_eq!(Wish::of(Some(BackendName::Libkrun), &dirs).unwrap(), by_flag);
    }
}
