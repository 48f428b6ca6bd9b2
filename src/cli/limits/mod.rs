// SPDX-License-Identifier: Apache-2.0
//! Flags of `run` and `create` for what the workload may use and do, and for
//! what surrounds it, in Docker's notation.

mod device;
mod document;
mod files;
mod names;
mod refused;
mod security;
mod tmpfs;
mod ulimit;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::values;
use super::volumes::Mounts;
use crate::error::{Failure, Result};
use crate::spec::Limits;

pub use document::describe;
pub use files::env_files;
pub use tmpfs::one_target;

/// The kernel's own limit (PID_MAX_LIMIT).
const MAX_PIDS: i64 = 1 << 22;

/// Bytes of names and values together; the VM's record holds them.
const MAX_LABELS: usize = 256 << 10;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits and surroundings")]
pub struct LimitArgs {
    /// Processes and threads there can be, -1 for as many as fit
    #[arg(long, allow_hyphen_values = true, value_name = "NUMBER")]
    pids_limit: Option<i64>,
    /// Limit of setrlimit(2), -1 for none: nofile=1024:4096
    #[arg(long, value_parser = ulimit::parse, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<crate::spec::Ulimit>,
    /// Size of /dev/shm in bytes, or with a unit [default: 64m]
    #[arg(long, value_parser = values::bytes, value_name = "SIZE")]
    shm_size: Option<u64>,
    /// Mount a file system in memory: /run:size=10m,mode=755,exec
    #[arg(long, value_name = "DIR[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Make the root read-only
    #[arg(long)]
    read_only: bool,
    /// Line of /etc/hosts; host-gateway is the host's address
    #[arg(long, value_name = "NAME:IP")]
    add_host: Vec<String>,
    /// Name server, in place of the network's
    #[arg(long, value_name = "IP")]
    dns: Vec<String>,
    /// Domain to look names up in, "." for none
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Option of resolv.conf(5)
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Set variables from a file, a NAME[=VALUE] a line; -e wins
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Label the VM
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    label: Vec<String>,
    /// Label the VM from a file, a NAME[=VALUE] a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Further group of the command, name or number
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Set a parameter of the VM's kernel
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Give the command a capability, or ALL
    #[arg(long, value_parser = security::capability, value_name = "NAME")]
    cap_add: Vec<String>,
    /// Take a capability from the command, or ALL
    #[arg(long, value_parser = security::capability, value_name = "NAME")]
    cap_drop: Vec<String>,
    /// Device of the VM's kernel: /dev/fuse, /dev/net/tun
    #[arg(long, value_name = "PATH[:TARGET]")]
    device: Vec<String>,
    /// Let the command do all that the VM can do
    #[arg(long)]
    privileged: bool,
    /// no-new-privileges[=false], systempaths=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Accepted: the first process of a VM always reaps orphans
    #[arg(long)]
    init: bool,
    #[command(flatten)]
    refused: refused::RefusedArgs,
}

impl LimitArgs {
    /// What the flags ask for. `volumes` are mounted as well.
    pub fn limits(&self, mounts: &Mounts) -> Result<Limits> {
        self.refused.check()?;
        let mut limits = Limits {
            privileged: self.privileged,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            devices: self.device.iter().map(|text| device::parse(text)).collect::<Result<_>>()?,
            pids: self.pids_limit.map(pids).transpose()?.flatten(),
            ulimits: ulimit::last_of_each(&self.ulimit),
            shm_bytes: self.shm_size.filter(|size| *size != 0),
            tmpfs: (self.tmpfs.iter().chain(&mounts.tmpfs))
                .map(|text| tmpfs::parse(text))
                .collect::<Result<_>>()?,
            read_only: self.read_only,
            hosts: self.add_host.iter().map(|text| names::host(text)).collect::<Result<_>>()?,
            dns: self.dns.iter().map(|text| names::server(text)).collect::<Result<_>>()?,
            dns_search: names::domains(&self.dns_search)?,
            dns_options: self.dns_option.iter().map(|o| names::option(o)).collect::<Result<_>>()?,
            groups: self.group_add.clone(),
            sysctls: self.sysctl.iter().map(|text| sysctl(text)).collect::<Result<_>>()?,
            ..Limits::default()
        };
        for option in &self.security_opt {
            security::option(option, &mut limits)?;
        }
        tmpfs::check_targets(&limits.tmpfs, &mounts.volumes)?;
        ulimit::check_files(&limits)?;
        Ok(limits)
    }

    /// The VM's own labels: those of files first.
    pub fn labels(&self) -> Result<BTreeMap<String, String>> {
        let mut labels = BTreeMap::new();
        for label in files::lines_of(&self.label_file)?.iter().chain(&self.label) {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            if name.is_empty() {
                return Err(Failure::new(format!("invalid label '{label}': empty name"))
                    .hint("--label NAME=VALUE"));
            }
            labels.insert(name.to_owned(), value.to_owned());
        }
        let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_LABELS {
            return Err(Failure::new(format!(
                "the labels have {bytes} bytes, {MAX_LABELS} at most can be kept"
            ))
            .hint("is --label-file the right file?"));
        }
        Ok(labels)
    }
}

/// Docker's 0 and less are no limit.
fn pids(limit: i64) -> Result<Option<u64>> {
    if limit > MAX_PIDS {
        return Err(Failure::new(format!("a limit of {limit} processes is none"))
            .hint("--pids-limit -1 is without one"));
    }
    Ok(u64::try_from(limit).ok().filter(|limit| *limit != 0))
}

fn sysctl(text: &str) -> Result<(String, String)> {
    let invalid = |why: &str| {
        Failure::new(format!("invalid sysctl '{text}': {why}"))
            .hint("--sysctl net.ipv4.ip_forward=1")
    };
    let (name, value) = text.split_once('=').ok_or_else(|| invalid("it has no value"))?;
    let (name, value) = (name.trim(), value.trim());
    let parts: Vec<&str> = name.split(['.', '/']).collect();
    if parts.len() < 2 || parts.contains(&"") {
        return Err(invalid("its name has not the form a.b"));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) || value.contains('\0') {
        return Err(invalid("its name has a space in it"));
    }
    Ok((name.into(), value.into()))
}

#[cfg(test)]
mod tests;
