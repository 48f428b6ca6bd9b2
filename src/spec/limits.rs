// SPDX-License-Identifier: Apache-2.0
//! What the workload may use and do, and what surrounds it: Docker's flags for
//! it, and what they are to the guest.

use std::collections::BTreeMap;

use mvm_proto::{HostEntry, InitConfig, NoNewPrivileges, Process, Rlimit, capabilities};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, Result};

/// The word for all capabilities.
pub const ALL: &str = "ALL";
/// In place of an address: the host, as the network calls it.
pub const HOST_GATEWAY: &str = "host-gateway";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Every capability and device, and nothing of the kernel read-only.
    pub privileged: bool,
    /// `ALL`, or names with their `CAP_`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// None: for users other than root.
    pub no_new_privileges: Option<bool>,
    /// `--security-opt systempaths=unconfined`.
    pub writable_system: bool,
    pub devices: Vec<Device>,
    /// Processes and threads.
    pub pids: Option<u64>,
    pub ulimits: Vec<Ulimit>,
    pub shm_bytes: Option<u64>,
    pub tmpfs: Vec<Tmpfs>,
    /// The root, not what is mounted on it.
    pub read_only: bool,
    pub hosts: Vec<ExtraHost>,
    /// Empty: the network's.
    pub dns: Vec<String>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// Names or numbers.
    pub groups: Vec<String>,
    pub sysctls: BTreeMap<String, String>,
}

/// A limit of setrlimit(2); -1 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As Docker calls it.
    pub name: String,
    /// RLIMIT_* of a Linux guest.
    pub resource: u32,
    pub soft: i64,
    pub hard: i64,
}

/// A device of the VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// As the guest's kernel calls it.
    pub path: String,
    /// Below /dev.
    pub target: String,
}

/// A file system in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute.
    pub target: String,
    /// MS_* of mount(2).
    pub flags: u32,
    /// `size=1m,mode=700`
    pub options: String,
    /// Words as they were typed.
    pub given: String,
}

/// A line of /etc/hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    pub name: String,
    /// An IP address, or `HOST_GATEWAY`.
    pub address: String,
}

impl Limits {
    /// The most that the workload can have, by Docker's rules.
    pub fn capabilities(&self) -> u64 {
        let bits = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| capabilities::by_name(name))
                .fold(0, |all, bit| all | bit)
        };
        let all = |names: &[String]| names.iter().any(|name| name == ALL);
        let (added, dropped) = (bits(&self.cap_add), bits(&self.cap_drop));
        match () {
            () if self.privileged => capabilities::ALL,
            () if all(&self.cap_add) => capabilities::ALL & !dropped,
            () if all(&self.cap_drop) => added,
            () => capabilities::DEFAULT & !dropped | added,
        }
    }

    /// Adds what is the workload's.
    pub fn apply_to_process(&self, process: &mut Process) {
        let rlimit = |limit: &Ulimit| Rlimit {
            resource: limit.resource,
            // -1 is the kernel's RLIM_INFINITY, too.
            soft: limit.soft.cast_unsigned(),
            hard: limit.hard.cast_unsigned(),
            ..Default::default()
        };
        process.rlimits = self.ulimits.iter().map(rlimit).collect();
        process.additional_groups.clone_from(&self.groups);
        process.capabilities = self.capabilities();
        process.no_new_privileges = match self.no_new_privileges {
            Some(true) => NoNewPrivileges::ALWAYS,
            None if !self.privileged => NoNewPrivileges::UNLESS_ROOT,
            _ => NoNewPrivileges::NEVER,
        }
        .into();
    }

    /// Adds what is the machine's. `gateway`: the host's address in the VM's
    /// network, if it has one; `cwd`: the workload's working directory.
    pub fn apply_to_machine(
        &self,
        init: &mut InitConfig,
        gateway: Option<&str>,
        cwd: &[u8],
    ) -> Result<()> {
        init.hosts = self.hosts.iter().map(|host| host.entry(gateway)).collect::<Result<_>>()?;
        if !self.dns.is_empty() {
            init.nameservers.clone_from(&self.dns);
        }
        init.search_domains.clone_from(&self.dns_search);
        init.resolver_options.clone_from(&self.dns_options);
        init.shm_bytes = self.shm_bytes.unwrap_or(0);
        init.pids_limit = self.pids.unwrap_or(0);
        init.all_devices = self.privileged;
        init.writable_system = self.privileged || self.writable_system;
        let device = |device: &Device| mvm_proto::Device {
            path: device.path.clone(),
            target: device.target.clone(),
            ..Default::default()
        };
        init.devices = self.devices.iter().map(device).collect();
        let tmpfs = |tmpfs: &Tmpfs| mvm_proto::Tmpfs {
            target: tmpfs.target.clone().into_bytes(),
            flags: tmpfs.flags,
            options: tmpfs.options.clone(),
            ..Default::default()
        };
        init.tmpfs = self.tmpfs.iter().map(tmpfs).collect();
        let sysctl = |(name, value): (&String, &String)| mvm_proto::Sysctl {
            name: name.clone(),
            value: value.clone(),
            ..Default::default()
        };
        init.sysctls = self.sysctls.iter().map(sysctl).collect();
        if self.read_only {
            init.cwd = cwd.to_owned();
            init.root.mut_or_insert_default().read_only = true;
        }
        Ok(())
    }
}

impl ExtraHost {
    fn entry(&self, gateway: Option<&str>) -> Result<HostEntry> {
        let address = match self.address.as_str() {
            HOST_GATEWAY => gateway.ok_or_else(|| {
                Failure::new("the host has no address in this VM's network, for host-gateway")
                    .hint("QEMU's --network user has one: --backend qemu --network user")
            })?,
            address => address,
        };
        Ok(HostEntry { name: self.name.clone(), address: address.into(), ..Default::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn capabilities_are_added_and_dropped_as_in_docker() {
        let of = |add: &[&str], drop: &[&str]| {
            let (cap_add, cap_drop) = (names(add), names(drop));
            Limits { cap_add, cap_drop, ..Limits::default() }.capabilities()
        };
        let (admin, chown) = (1 << 12, 1);
        assert_eq!(of(&[], &[]), capabilities::DEFAULT);
        assert_eq!(of(&["CAP_NET_ADMIN"], &["CAP_CHOWN"]), capabilities::DEFAULT & !chown | admin);
        assert_eq!(of(&["CAP_NET_ADMIN"], &["ALL"]), admin);
        assert_eq!(of(&[], &["ALL"]), 0);
        assert_eq!(of(&["ALL"], &["CAP_CHOWN"]), capabilities::ALL & !chown);
        // Added last.
        assert_eq!(of(&["CAP_CHOWN"], &["CAP_CHOWN"]), capabilities::DEFAULT);
        let privileged =
            Limits { privileged: true, cap_drop: names(&["ALL"]), ..Limits::default() };
        assert_eq!(privileged.capabilities(), capabilities::ALL);
    }

    #[test]
    fn new_privileges_are_roots_unless_something_else_is_said() {
        use NoNewPrivileges::{ALWAYS, NEVER, UNLESS_ROOT};
        for (said, privileged, expected) in [
            (None, false, UNLESS_ROOT),
            (None, true, NEVER),
            (Some(true), false, ALWAYS),
            (Some(true), true, ALWAYS),
            (Some(false), false, NEVER),
        ] {
            let mut process = Process::new();
            let limits = Limits { no_new_privileges: said, privileged, ..Limits::default() };
            limits.apply_to_process(&mut process);
            assert_eq!(process.no_new_privileges, expected.into());
        }
    }

    #[test]
    fn the_host_has_an_address_where_the_network_gives_one() {
        let host = ExtraHost { name: "h".into(), address: HOST_GATEWAY.into() };
        let limits = Limits { hosts: vec![host], dns: names(&["9.9.9.9"]), ..Limits::default() };
        let mut init = InitConfig { nameservers: names(&["10.0.2.3"]), ..Default::default() };
        limits.apply_to_machine(&mut init, Some("10.0.2.2"), b"/").unwrap();
        assert_eq!(init.hosts[0].address, "10.0.2.2");
        assert_eq!(init.nameservers, ["9.9.9.9"]);
        assert!(limits.apply_to_machine(&mut init, None, b"/").unwrap_err().hint.is_some());
    }

    #[test]
    fn none_of_a_limit_is_the_kernels_infinity() {
        let limit = Ulimit { name: "core".into(), resource: 4, soft: -1, hard: -1 };
        let mut process = Process::new();
        Limits { ulimits: vec![limit], ..Limits::default() }.apply_to_process(&mut process);
        assert_eq!(process.rlimits[0].soft, u64::MAX);
    }
}
