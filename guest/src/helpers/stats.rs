// SPDX-License-Identifier: Apache-2.0
//! `stats`: what the workload and all that runs beside it has used so far, by
//! the kernel's own counters.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use mvm_proto::Counters;
use protobuf::Message;
use rustix::time::{ClockId, clock_gettime};

use super::kernel::{View, value};
use super::outcome;

const WORKLOAD: &str = "workload";

/// Answers each byte on stdin with `Counters`, behind their length: four bytes,
/// big-endian. Ends with stdin.
pub fn run(_: Vec<OsString>) -> ExitCode {
    outcome(answer())
}

fn answer() -> io::Result<()> {
    let kernel = Kernel { proc: View::proc()?, cgroup: View::cgroup()? };
    let (mut stdin, mut stdout) = (io::stdin().lock(), io::stdout().lock());
    while stdin.read(&mut [0])? == 1 {
        let counters = kernel.count()?.write_to_bytes()?;
        let length = u32::try_from(counters.len()).map_err(io::Error::other)?;
        stdout.write_all(&[&length.to_be_bytes()[..], &counters].concat())?;
        stdout.flush()?;
    }
    Ok(())
}

struct Kernel {
    proc: View,
    cgroup: View,
}

/// Of a control group.
#[derive(Default)]
struct Group {
    cpu_ns: u64,
    memory: u64,
    pids: u64,
}

impl Kernel {
    fn count(&self) -> io::Result<Counters> {
        let now = clock_gettime(ClockId::Boottime);
        let all = self.group(WORKLOAD)?;
        // This process is none of the workload's.
        let own = self.own()?;
        let mut counters = Counters {
            time_ns: now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs(),
            cpu_ns: all.cpu_ns.saturating_sub(own.cpu_ns),
            memory: all.memory.saturating_sub(own.memory),
            memory_limit: self.memory_limit()?,
            pids: all.pids.saturating_sub(own.pids),
            ..Counters::default()
        };
        if let Ok(text) = self.proc.text("self/net/dev") {
            (counters.received, counters.sent) = of_interfaces(&text);
        }
        if let Ok(text) = self.cgroup.text(&format!("{WORKLOAD}/io.stat")) {
            (counters.read, counters.written) = (sum(&text, "rbytes="), sum(&text, "wbytes="));
        }
        Ok(counters)
    }

    /// What this process uses, which has one thread.
    fn own(&self) -> io::Result<Group> {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let status = self.proc.text("self/status")?;
        Ok(Group {
            cpu_ns: used.tv_sec.unsigned_abs() * 1_000_000_000 + used.tv_nsec.unsigned_abs(),
            memory: value(&status, "RssAnon").unwrap_or(0) << 10,
            pids: 1,
        })
    }

    fn group(&self, path: &str) -> io::Result<Group> {
        let text = |name: &str| self.cgroup.text(&format!("{path}/{name}"));
        let number = |name: &str| text(name).map(|text| text.trim().parse().unwrap_or(0));
        let cpu = value(&text("cpu.stat")?, "usage_usec").unwrap_or(0);
        // A kernel of the user's own may lack the other controllers.
        let inactive = text("memory.stat").ok().and_then(|stat| value(&stat, "inactive_file"));
        let memory: u64 = number("memory.current").unwrap_or(0);
        Ok(Group {
            cpu_ns: cpu.saturating_mul(1000),
            memory: memory.saturating_sub(inactive.unwrap_or(0)),
            pids: number("pids.current").unwrap_or(0),
        })
    }

    fn memory_limit(&self) -> io::Result<u64> {
        let limit = self.cgroup.text(&format!("{WORKLOAD}/memory.max")).unwrap_or_default();
        match limit.trim().parse() {
            Ok(limit) => Ok(limit),
            Err(_) => Ok(value(&self.proc.text("meminfo")?, "MemTotal").unwrap_or(0) << 10),
        }
    }
}

/// Bytes in and out of the VM's own interfaces: not the loopback, nor those
/// that a workload has made.
fn of_interfaces(text: &str) -> (u64, u64) {
    let of = |line: &str| -> Option<(u64, u64)> {
        let (name, numbers) = line.split_once(':')?;
        let mut numbers = numbers.split_ascii_whitespace().map(|n| n.parse().unwrap_or(0));
        name.trim().starts_with("eth").then_some(())?;
        Some((numbers.next()?, numbers.nth(7)?))
    };
    text.lines().filter_map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// The sum of a value in lines of `8:0 rbytes=1 wbytes=2 …`.
fn sum(text: &str, key: &str) -> u64 {
    let words = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix(key));
    words.filter_map(|number| number.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_the_vm_are_counted_and_no_others() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n\
                    \x20 eth0:  100 1 0 0 0 0 0 0  200 2 0 0 0 0 0 0\ndocker0: 5 0 0 0 0 0 0 0 5 0\n";
        assert_eq!(of_interfaces(text), (100, 200));
        assert_eq!(of_interfaces("eth0:"), (0, 0));
    }

    #[test]
    fn disks_are_summed() {
        let text = "254:0 rbytes=10 wbytes=1 rios=1\n254:16 rbytes=5 wbytes=2\n8:0 \n";
        assert_eq!((sum(text, "rbytes="), sum(text, "wbytes=")), (15, 3));
    }
}
