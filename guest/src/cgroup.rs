// SPDX-License-Identifier: Apache-2.0
//! Control groups (v2): the agent in a leaf of its own, the workload in
//! another branch with a leaf for each process, so that limits, the count of
//! OOM kills and what is left running are known apart. Held by descriptor, and
//! by a mount of its own, since /sys is made read-only or may be unmounted.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use mvm_proto::InitConfig;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::device_rules::{self, Rule};
use crate::error::{Failure, Step, complain};

const ROOT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// Microseconds over which CPU time is counted; the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Memory that the workload leaves to kernel and agent, bytes, or an eighth of
/// all: what it takes too much then ends the workload and nothing else.
const KEPT_MEMORY: u64 = 16 << 20;

/// The branch of everything the host starts.
pub struct Workload {
    directory: OwnedFd,
    may_make_devices: bool,
}

/// The leaf of one process and what it starts.
pub struct Leaf {
    directory: OwnedFd,
    parent: OwnedFd,
    name: String,
}

impl Workload {
    /// Makes both branches and moves this process; `devices` may be opened beside
    /// the usual ones. `None` on a kernel without cgroup2.
    pub fn create(config: &InitConfig, devices: &[Rule]) -> Result<Option<Self>, Failure> {
        let root = Path::new(ROOT);
        let Ok(offered) = fs::read_to_string(root.join("cgroup.controllers")) else {
            return match config.pids_limit {
                0 => Ok(None),
                _ => Err(Failure::invalid("limit processes", "this kernel has no cgroup2")),
            };
        };
        let enable: Vec<String> = offered
            .split_ascii_whitespace()
            .filter(|offer| CONTROLLERS.contains(offer))
            .map(|controller| format!("+{controller}"))
            .collect();
        let (agent, workload) = (root.join("agent"), root.join("workload"));
        for branch in [&agent, &workload] {
            fs::create_dir(branch).step(|| format!("make {}", branch.display()))?;
        }
        let set = |file: &Path, value: &str| {
            fs::write(file, value).step(|| format!("write {value} to {}", file.display()))
        };
        set(&agent.join("cgroup.procs"), "1")?;
        set(&root.join("cgroup.subtree_control"), &enable.join(" "))?;
        set(&workload.join("cgroup.subtree_control"), &enable.join(" "))?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let own = open_tree(CWD, ROOT, flags).step(|| "mount cgroup2 for the agent")?;
        let directory = rustix::fs::openat(own, "workload", DIRECTORY, Mode::empty())
            .step(|| "open the workload's cgroup")?;
        limit_memory(&directory).step(|| "keep memory for the agent")?;
        limit_pids(&directory, config.pids_limit).step(|| "limit processes")?;
        let may_make_devices = config.all_devices
            || match device_rules::attach(&directory, devices) {
                Ok(()) => true,
                Err(e) => {
                    complain(format_args!("no rules for devices, so none can be made: {e}"));
                    false
                }
            };
        Ok(Some(Self { directory, may_make_devices }))
    }

    /// Whether a node that the workload makes opens nothing it should not.
    pub fn may_make_devices(&self) -> bool {
        self.may_make_devices
    }

    /// Limits everything the host starts to `milli` thousandths of a CPU.
    pub fn limit_cpu(&self, milli: u32) -> io::Result<()> {
        limit_cpu(&self.directory, milli)
    }

    pub fn leaf(&self, name: &str) -> io::Result<Leaf> {
        rustix::fs::mkdirat(&self.directory, name, Mode::from_raw_mode(0o755))?;
        Ok(Leaf {
            directory: rustix::fs::openat(&self.directory, name, DIRECTORY, Mode::empty())?,
            parent: self.directory.try_clone()?,
            name: name.into(),
        })
    }
}

impl Leaf {
    pub fn limit_cpu(&self, milli: u32) -> io::Result<()> {
        limit_cpu(&self.directory, milli)
    }

    /// A process that writes `0` to it is in the group.
    pub fn door(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.directory, "cgroup.procs", flags, Mode::empty())?)
    }

    /// Whether the kernel killed something here for want of memory.
    pub fn oom_killed(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut events = String::new();
        rustix::fs::openat(&self.directory, "memory.events", flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| fs::File::from(file).read_to_string(&mut events))
            .is_ok_and(|_| count(&events, "oom_kill") > 0)
    }

    /// Removes the group; one with processes left in it stays.
    pub fn remove(self) {
        let _ = rustix::fs::unlinkat(&self.parent, self.name.as_str(), AtFlags::REMOVEDIR);
    }
}

fn limit_cpu(group: impl AsFd, milli: u32) -> io::Result<()> {
    // The kernel takes no less than a millisecond.
    let quota = (u64::from(milli) * CPU_PERIOD / 1000).max(1000);
    write(group, "cpu.max", &format!("{quota} {CPU_PERIOD}"))
}

fn limit_memory(group: impl AsFd) -> io::Result<()> {
    let info = rustix::system::sysinfo();
    // The type of a C long, wider on some machines.
    #[allow(clippy::useless_conversion)]
    let total = u64::from(info.totalram) * u64::from(info.mem_unit);
    let rest = total - KEPT_MEMORY.min(total / 8);
    match write(group, "memory.max", &rest.to_string()) {
        // A kernel of the user's own may not have the controller.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The kernel has a limit of its own, for all; an eighth of that stays free.
fn limit_pids(group: impl AsFd, asked: u64) -> io::Result<()> {
    let most = |name: &str| -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"))?;
        text.trim().parse().map_err(io::Error::other)
    };
    let most = most("threads-max")?.min(most("pid_max")?) / 8 * 7;
    let limit = if asked == 0 { most } else { asked.min(most) };
    match write(group, "pids.max", &limit.to_string()) {
        Err(e) if asked == 0 && e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn write(group: impl AsFd, name: &str, value: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(group, name, flags, Mode::empty())?;
    fs::File::from(file).write_all(value.as_bytes())
}

/// The value of a key in a flat keyed file.
fn count(events: &str, key: &str) -> u64 {
    events
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_whole_name() {
        let events = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!(count(events, "oom_kill"), 1);
        assert_eq!(count(events, "oom_group_kill"), 0);
        assert_eq!(count("", "oom_kill"), 0);
    }
}
