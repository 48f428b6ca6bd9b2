// SPDX-License-Identifier: Apache-2.0
//! Control groups (v2): the agent in a leaf of its own, the workload in
//! another branch with a leaf for each process, so that limits, the count of
//! OOM kills and what is left running are known apart. Held by descriptor,
//! since the workload may unmount /sys.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::error::{Failure, Step};

const ROOT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "io"];

/// Microseconds over which CPU time is counted; the kernel's own default.
const CPU_PERIOD: u64 = 100_000;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The branch of everything the host starts.
pub struct Workload(OwnedFd);

/// The leaf of one process and what it starts.
pub struct Leaf {
    directory: OwnedFd,
    parent: OwnedFd,
    name: String,
}

impl Workload {
    /// Makes both branches and moves this process. `None` on a kernel without
    /// cgroup2.
    pub fn create() -> Result<Option<Self>, Failure> {
        let root = Path::new(ROOT);
        let Ok(offered) = fs::read_to_string(root.join("cgroup.controllers")) else {
            return Ok(None);
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
        let opened = rustix::fs::open(&workload, DIRECTORY, Mode::empty());
        Ok(Some(Self(opened.step(|| "open the workload's cgroup")?)))
    }

    /// Limits everything the host starts to `milli` thousandths of a CPU.
    pub fn limit_cpu(&self, milli: u32) -> io::Result<()> {
        limit_cpu(&self.0, milli)
    }

    pub fn leaf(&self, name: &str) -> io::Result<Leaf> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o755))?;
        Ok(Leaf {
            directory: rustix::fs::openat(&self.0, name, DIRECTORY, Mode::empty())?,
            parent: self.0.try_clone()?,
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
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(group, "cpu.max", flags, Mode::empty())?;
    fs::File::from(file).write_all(format!("{quota} {CPU_PERIOD}").as_bytes())
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
