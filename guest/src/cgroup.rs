// SPDX-License-Identifier: Apache-2.0
//! Control groups (v2): the agent in a leaf of its own, the workload in
//! another branch with a leaf of its own and one for all that is started beside
//! it, so that limits and the count of OOM kills are known apart. Held by descriptor, and
//! by a mount of its own, since /sys is made read-only or may be unmounted.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Name of the leaf that commands beside the workload share: to make one for
/// each takes as long as their exec.
const SHARED: &str = "exec";

/// The branch of everything the host starts.
pub struct Workload {
    directory: OwnedFd,
    may_make_devices: bool,
    /// Made when the first one needs it.
    shared: Mutex<Option<Arc<Group>>>,
}

/// The leaf of a process and what it starts; others may be in it.
pub struct Leaf {
    group: Arc<Group>,
    /// Where it is removed from, if it is of one process alone.
    own: Option<(OwnedFd, String)>,
}

struct Group {
    directory: OwnedFd,
    /// What of the kernel's kills for want of memory was accounted for.
    oom_kills: AtomicU64,
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
        Ok(Some(Self { directory, may_make_devices, shared: Mutex::default() }))
    }

    /// Whether a node that the workload makes opens nothing it should not.
    pub fn may_make_devices(&self) -> bool {
        self.may_make_devices
    }

    /// Limits everything the host starts to `milli` thousandths of a CPU.
    pub fn limit_cpu(&self, milli: u32) -> io::Result<()> {
        limit_cpu(&self.directory, milli)
    }

    /// One of its own.
    pub fn leaf(&self, name: &str) -> io::Result<Leaf> {
        let own = Some((self.directory.try_clone()?, name.into()));
        Ok(Leaf { group: Arc::new(self.make(name)?), own })
    }

    /// The one of those that need none.
    pub fn shared(&self) -> io::Result<Leaf> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let group = match &*shared {
            Some(group) => Arc::clone(group),
            None => Arc::clone(shared.insert(Arc::new(self.make(SHARED)?))),
        };
        Ok(Leaf { group, own: None })
    }

    fn make(&self, name: &str) -> io::Result<Group> {
        rustix::fs::mkdirat(&self.directory, name, Mode::from_raw_mode(0o755))?;
        let directory = rustix::fs::openat(&self.directory, name, DIRECTORY, Mode::empty())?;
        Ok(Group { directory, oom_kills: AtomicU64::new(0) })
    }
}

impl Leaf {
    pub fn limit_cpu(&self, milli: u32) -> io::Result<()> {
        limit_cpu(&self.group.directory, milli)
    }

    /// Its directory, by which a process can be started in it.
    pub fn directory(&self) -> io::Result<OwnedFd> {
        self.group.directory.try_clone()
    }

    /// Whether the kernel killed something here for want of memory, that no
    /// process before has ended of.
    pub fn oom_killed(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut events = String::new();
        let read = rustix::fs::openat(&self.group.directory, "memory.events", flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|file| fs::File::from(file).read_to_string(&mut events));
        let kills = count(&events, "oom_kill");
        read.is_ok() && self.group.oom_kills.swap(kills, Ordering::Relaxed) < kills
    }

    /// Removes the group, if it is of one process and that left nothing in it.
    pub fn remove(self) {
        if let Some((parent, name)) = self.own {
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
        }
    }
}

/// The file by which a process enters a group: it writes `0`.
pub fn door(directory: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, "cgroup.procs", flags, Mode::empty())?)
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
