// SPDX-License-Identifier: Apache-2.0
//! Docker's flags that mean nothing in a VM: known by name, so that whoever
//! types one hears why, and taken where they ask for what is the case anyway.

use clap::Args;

use crate::error::{Failure, Result};

const OWN_KERNEL: &str = "a VM has a kernel of its own, which shares nothing with others";
const OWN_MEMORY: &str = "a VM has RAM of its own, and no swap";
const OWN_CPUS: &str = "a VM has CPUs of its own";

#[derive(Debug, Default, Args)]
pub struct RefusedArgs {
    #[arg(long, hide = true)]
    device_cgroup_rule: Option<String>,
    #[arg(long, hide = true)]
    storage_opt: Option<String>,
    #[arg(long, hide = true)]
    gpus: Option<String>,
    #[arg(long, hide = true)]
    ipc: Option<String>,
    #[arg(long, hide = true)]
    pid: Option<String>,
    #[arg(long, hide = true)]
    uts: Option<String>,
    #[arg(long, hide = true)]
    userns: Option<String>,
    #[arg(long, hide = true)]
    cgroupns: Option<String>,
    #[arg(long, hide = true)]
    cgroup_parent: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    memory_swap: Option<String>,
    #[arg(long, hide = true)]
    memory_swappiness: Option<String>,
    #[arg(long, hide = true)]
    memory_reservation: Option<String>,
    #[arg(long, hide = true)]
    oom_kill_disable: bool,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    oom_score_adj: Option<String>,
    #[arg(long, hide = true)]
    cpu_shares: Option<String>,
    #[arg(long, hide = true)]
    cpu_period: Option<String>,
    #[arg(long, hide = true)]
    cpu_quota: Option<String>,
    #[arg(long, hide = true)]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true)]
    cpuset_mems: Option<String>,
    #[arg(long, hide = true)]
    blkio_weight: Option<String>,
    #[arg(long, hide = true)]
    runtime: Option<String>,
    #[arg(long, hide = true)]
    isolation: Option<String>,
}

/// Flag, what was given, what is the case anyway, why not, what else.
type Row<'a> = (&'a str, &'a Option<String>, &'a [&'a str], &'a str, &'a str);

impl RefusedArgs {
    pub fn check(&self) -> Result<()> {
        let leave = "leave it out";
        let memory = "--memory sets how much it is";
        let cpus = "--cpus sets how many, a fraction too";
        let rows: [Row; 21] = [
            (
                "device-cgroup-rule",
                &self.device_cgroup_rule,
                &[],
                OWN_KERNEL,
                "--device gives the command one of the VM's devices",
            ),
            (
                "storage-opt",
                &self.storage_opt,
                &[],
                "a VM has a disk of its own",
                "--disk sets how large it can become",
            ),
            ("gpus", &self.gpus, &[], "a VM has no devices of the host", leave),
            ("ipc", &self.ipc, &["", "private", "shareable"], OWN_KERNEL, leave),
            ("pid", &self.pid, &["", "private"], OWN_KERNEL, leave),
            ("uts", &self.uts, &["", "private"], OWN_KERNEL, "--hostname sets its name"),
            ("userns", &self.userns, &["", "host"], OWN_KERNEL, "-u sets the user of the command"),
            ("cgroupns", &self.cgroupns, &["", "private"], OWN_KERNEL, leave),
            ("cgroup-parent", &self.cgroup_parent, &[""], OWN_KERNEL, leave),
            ("memory-swap", &self.memory_swap, &["-1"], OWN_MEMORY, memory),
            ("memory-swappiness", &self.memory_swappiness, &["-1", "0"], OWN_MEMORY, memory),
            ("memory-reservation", &self.memory_reservation, &["0"], OWN_MEMORY, memory),
            ("oom-score-adj", &self.oom_score_adj, &["0"], OWN_MEMORY, memory),
            ("cpu-shares", &self.cpu_shares, &["0"], OWN_CPUS, cpus),
            ("cpu-period", &self.cpu_period, &["0"], OWN_CPUS, cpus),
            ("cpu-quota", &self.cpu_quota, &["0"], OWN_CPUS, cpus),
            ("cpuset-cpus", &self.cpuset_cpus, &[""], OWN_CPUS, cpus),
            ("cpuset-mems", &self.cpuset_mems, &[""], OWN_CPUS, cpus),
            ("blkio-weight", &self.blkio_weight, &["0"], "a VM has a disk of its own", leave),
            (
                "runtime",
                &self.runtime,
                &[""],
                "every VM is run alike",
                "--backend chooses the hypervisor",
            ),
            ("isolation", &self.isolation, &["", "default"], "it is a VM always", leave),
        ];
        for (flag, given, taken, why, hint) in rows {
            if let Some(given) = given
                && !taken.contains(&given.as_str())
            {
                return Err(Failure::new(format!("--{flag} {given}: {why}")).hint(hint));
            }
        }
        match self.oom_kill_disable {
            true => Err(Failure::new(format!("--oom-kill-disable: {OWN_MEMORY}")).hint(memory)),
            false => Ok(()),
        }
    }
}
