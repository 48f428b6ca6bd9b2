// SPDX-License-Identifier: Apache-2.0
//! `mvm doctor`: what this host can do, line by line, with a fix for each
//! line that is not well.

use std::io::{self, Write};

use serde::Serialize;

use super::busy::Busy;
use super::format::Format;
use super::style::Tone;
use crate::confine::{self, ConfineError, Report};
use crate::error::{Failure, Result};
use crate::hypervisor::{self, BackendName, MAX_VCPUS, Wish};
use crate::preflight::{Environment, Finding, HostFacts, Places, Requirements, Status, report};
use crate::state::Dirs;

/// Check this host and say how to fix what is wrong
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// How to print the findings
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Hypervisor to ask about (also: MVM_BACKEND, config.toml) [default: auto]
    #[arg(long, value_enum, value_name = "NAME")]
    pub backend: Option<BackendName>,
}

/// Measures anew and prints the report. 1 if a run would refuse.
pub fn run(dirs: &Dirs, args: &DoctorArgs) -> Result<u8> {
    let wish = Wish::of(args.backend, dirs)?;
    let requirements = Requirements {
        ram_mib: crate::spec::DEFAULT_MEMORY_MIB,
        vcpus: 1,
        max_vcpus: MAX_VCPUS,
        qemu: wish.qemu_need(),
        kernel: None,
        environment: Environment::of_process(),
    };
    let places = Places { data: &dirs.data, cache: &dirs.cache, runtime: &dirs.runtime };
    let busy = Busy::with("looking at this host");
    let (facts, mut findings) = report(&requirements, places);
    drop(busy);
    findings.insert(0, backend(&facts, &wish));
    if cfg!(target_os = "linux") {
        findings.push(confinement(confine::probe()));
    }
    let mut text = Vec::new();
    render(&findings, args.format, console::colors_enabled(), &mut text)
        .map_err(|e| Failure::cannot("write", e))?;
    super::print(&String::from_utf8_lossy(&text))?;
    Ok(u8::from(!is_fit(&findings)))
}

/// Which backend a run would take, and why.
fn backend(facts: &HostFacts, wish: &Wish) -> Finding {
    let finding = |status, detail, hint| Finding { name: "backend", status, detail, hint };
    match hypervisor::choose(facts, wish) {
        Ok(choice) => {
            let backend = choice.backend();
            let emulated = backend.capabilities().emulated;
            let how = if emulated { "emulating, which is slow" } else { "in hardware" };
            let detail = format!("{}, {how} (by {})", backend.name(), wish.by);
            finding(if emulated { Status::Warn } else { Status::Ok }, detail, None)
        }
        Err(failure) => finding(Status::Fail, failure.message, failure.hint),
    }
}

fn is_fit(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.status != Status::Fail)
}

/// Writes findings as text for people or as one JSON document.
pub fn render(
    findings: &[Finding],
    format: Format,
    coloured: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        Format::Table => table(findings, coloured, out),
        Format::Json => {
            #[derive(Serialize)]
            struct Report<'a> {
                ok: bool,
                findings: &'a [Finding],
            }
            let report = Report { ok: is_fit(findings), findings };
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)
        }
    }
}

fn table(findings: &[Finding], coloured: bool, out: &mut impl Write) -> io::Result<()> {
    let width = findings.iter().map(|f| f.name.len()).max().unwrap_or(0);
    for finding in findings {
        let (status, tone) = match finding.status {
            Status::Ok => ("ok  ", Tone::Good),
            Status::Info => ("info", Tone::Dim),
            Status::Warn => ("warn", Tone::Doubtful),
            Status::Fail => ("FAIL", Tone::Bad),
        };
        let status = if coloured { tone.paint(status) } else { status.to_owned() };
        writeln!(out, "{status}  {:<width$}  {}", finding.name, finding.detail)?;
        if let Some(hint) = &finding.hint {
            writeln!(out, "{:<4}  {:<width$}  hint: {hint}", "", "")?;
        }
    }
    Ok(())
}

/// Which walls stand around a VMM on this host.
fn confinement(walls: std::result::Result<Report, ConfineError>) -> Finding {
    let finding = |status, detail, hint: Option<&str>| Finding {
        name: "confinement",
        status,
        detail,
        hint: hint.map(str::to_owned),
    };
    match walls {
        Ok(report) => {
            let status = if report.hint().is_none() { Status::Ok } else { Status::Warn };
            finding(status, report.to_string(), report.hint())
        }
        Err(error) => finding(Status::Fail, error.to_string(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding {
                name: "qemu",
                status: Status::Ok,
                detail: "/usr/bin/qemu-system-x86_64 7.2.22".into(),
                hint: None,
            },
            Finding {
                name: "hypervisor",
                status: Status::Warn,
                detail: "/dev/kvm is absent".into(),
                hint: Some("load the module".into()),
            },
        ]
    }

    fn rendered(findings: &[Finding], format: Format) -> String {
        let mut out = Vec::new();
        render(findings, format, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn table_lines_up() {
        assert_eq!(
            rendered(&findings(), Format::Table),
            "ok    qemu        /usr/bin/qemu-system-x86_64 7.2.22\n\
             warn  hypervisor  /dev/kvm is absent\n\
             \x20                 hint: load the module\n"
        );
    }

    #[test]
    fn json_is_one_document() {
        let mut findings = findings();
        let value: serde_json::Value =
            serde_json::from_str(&rendered(&findings, Format::Json)).unwrap();
        assert_eq!(value["ok"], true);
        assert_eq!(value["findings"][1]["status"], "warn");
        assert_eq!(value["findings"][0]["hint"], serde_json::Value::Null);
        findings[0].status = Status::Fail;
        assert!(rendered(&findings, Format::Json).contains("\"ok\": false"));
        assert!(!is_fit(&findings));
    }
}
