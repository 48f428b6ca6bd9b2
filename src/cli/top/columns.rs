// SPDX-License-Identifier: Apache-2.0
//! What a column of `mvm top` shows of a process, as ps(1) of procps writes it.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use mvm_proto::{ProcessInfo, ProcessList};

use crate::cli::format::printable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pid,
    Ppid,
    Pgid,
    Sid,
    User,
    RealUser,
    Uid,
    RealUid,
    Group,
    RealGroup,
    Gid,
    RealGid,
    Command,
    Args,
    /// With a fraction.
    CpuPercent,
    /// Whole.
    Cpu,
    MemoryPercent,
    Rss,
    Vsz,
    Stat,
    State,
    Tty,
    Elapsed,
    ElapsedSeconds,
    Time,
    Nice,
    Priority,
    Threads,
    /// An hour today, else a day.
    Started,
    /// As `ps aux` has it.
    StartedShort,
    StartedLong,
}

/// Names that ps knows, with its titles.
pub const NAMES: [(&[&str], &str, Kind); 31] = [
    (&["pid", "tgid"], "PID", Kind::Pid),
    (&["ppid"], "PPID", Kind::Ppid),
    (&["pgid", "pgrp"], "PGID", Kind::Pgid),
    (&["sid", "sess", "session"], "SID", Kind::Sid),
    (&["user", "euser", "uname"], "USER", Kind::User),
    (&["ruser"], "RUSER", Kind::RealUser),
    (&["uid", "euid"], "UID", Kind::Uid),
    (&["ruid"], "RUID", Kind::RealUid),
    (&["group", "egroup"], "GROUP", Kind::Group),
    (&["rgroup"], "RGROUP", Kind::RealGroup),
    (&["gid", "egid"], "GID", Kind::Gid),
    (&["rgid"], "RGID", Kind::RealGid),
    (&["comm", "ucmd", "ucomm"], "COMMAND", Kind::Command),
    (&["args", "command"], "COMMAND", Kind::Args),
    (&["cmd"], "CMD", Kind::Args),
    (&["%cpu", "pcpu"], "%CPU", Kind::CpuPercent),
    (&["c"], "C", Kind::Cpu),
    (&["%mem", "pmem"], "%MEM", Kind::MemoryPercent),
    (&["rss", "rssize", "rsz"], "RSS", Kind::Rss),
    (&["vsz", "vsize"], "VSZ", Kind::Vsz),
    (&["stat"], "STAT", Kind::Stat),
    (&["s", "state"], "S", Kind::State),
    (&["tty", "tt", "tname"], "TTY", Kind::Tty),
    (&["etime"], "ELAPSED", Kind::Elapsed),
    (&["etimes"], "ELAPSED", Kind::ElapsedSeconds),
    (&["time", "cputime"], "TIME", Kind::Time),
    (&["ni", "nice"], "NI", Kind::Nice),
    (&["pri", "priority"], "PRI", Kind::Priority),
    (&["nlwp", "thcount"], "NLWP", Kind::Threads),
    (&["stime", "start_time"], "STIME", Kind::Started),
    (&["lstart"], "STARTED", Kind::StartedLong),
];

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

impl Kind {
    pub fn show(self, process: &ProcessInfo, list: &ProcessList) -> String {
        let elapsed = elapsed(process, list);
        match self {
            Self::Pid => process.pid.to_string(),
            Self::Ppid => process.parent.to_string(),
            Self::Pgid => process.group.to_string(),
            Self::Sid => process.session.to_string(),
            Self::User => name(&process.euser, process.euid),
            Self::RealUser => name(&process.ruser, process.ruid),
            Self::Uid => process.euid.to_string(),
            Self::RealUid => process.ruid.to_string(),
            Self::Group => name(&process.egroup, process.egid),
            Self::RealGroup => name(&process.rgroup, process.rgid),
            Self::Gid => process.egid.to_string(),
            Self::RealGid => process.rgid.to_string(),
            Self::Command => command(process),
            Self::Args => args(process),
            Self::CpuPercent => format!("{:.1}", self.number(process, list)),
            Self::Cpu => format!("{:.0}", self.number(process, list).floor().min(99.0)),
            Self::MemoryPercent => format!("{:.1}", self.number(process, list)),
            Self::Rss => (process.resident >> 10).to_string(),
            Self::Vsz => (process.virtual_size >> 10).to_string(),
            Self::Stat => stat(process),
            Self::State => printable(&process.state),
            Self::Tty if process.terminal.is_empty() => "?".into(),
            Self::Tty => printable(&process.terminal),
            Self::Elapsed => clock(elapsed, false),
            Self::ElapsedSeconds => (elapsed / SECOND).to_string(),
            Self::Time => clock(process.cpu_ns, true),
            Self::Nice => process.nice.to_string(),
            Self::Priority => 39i32.saturating_sub(process.priority).to_string(),
            Self::Threads => process.threads.to_string(),
            Self::Started | Self::StartedShort | Self::StartedLong => self.started(elapsed),
        }
    }

    /// What rows are sorted by, where that is a number.
    pub fn number(self, process: &ProcessInfo, list: &ProcessList) -> f64 {
        let elapsed = elapsed(process, list);
        let percent = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 * 100.0 / whole as f64,
        };
        match self {
            Self::CpuPercent | Self::Cpu => percent(process.cpu_ns, elapsed),
            Self::MemoryPercent => percent(process.resident, list.memory),
            Self::Rss => process.resident as f64,
            Self::Vsz => process.virtual_size as f64,
            Self::Time => process.cpu_ns as f64,
            Self::Elapsed | Self::ElapsedSeconds => elapsed as f64,
            Self::Started | Self::StartedShort | Self::StartedLong => process.started_ns as f64,
            // The rest is a number as it is shown, or none.
            other => other.show(process, list).parse().unwrap_or(0.0),
        }
    }

    /// By the host's clock, which the guest's follows.
    fn started(self, elapsed: u64) -> String {
        let zone = TimeZone::system();
        let zoned = |time: SystemTime| -> Option<Zoned> {
            Some(Timestamp::try_from(time).ok()?.to_zoned(zone.clone()))
        };
        let now = SystemTime::now();
        let then = now.checked_sub(Duration::from_nanos(elapsed)).and_then(zoned);
        let (Some(now), Some(then)) = (zoned(now), then) else { return "?".into() };
        let form = match self {
            Self::StartedLong => "%a %b %e %H:%M:%S %Y",
            _ if now.date() == then.date() => "%H:%M",
            _ if now.year() == then.year() => "%b%d",
            _ => "%Y",
        };
        then.strftime(form).to_string()
    }
}

/// Nanoseconds that it lives.
fn elapsed(process: &ProcessInfo, list: &ProcessList) -> u64 {
    list.uptime_ns.saturating_sub(process.started_ns)
}

fn name(name: &str, id: u32) -> String {
    if name.is_empty() { id.to_string() } else { printable(name) }
}

fn command(process: &ProcessInfo) -> String {
    let name = printable(&String::from_utf8_lossy(&process.command));
    if process.state == "Z" { format!("{name} <defunct>") } else { name }
}

fn args(process: &ProcessInfo) -> String {
    if process.args.is_empty() {
        return match process.state == "Z" {
            true => {
                format!("[{}] <defunct>", printable(&String::from_utf8_lossy(&process.command)))
            }
            false => format!("[{}]", command(process)),
        };
    }
    let words = process.args.iter().map(|word| String::from_utf8_lossy(word).into_owned());
    printable(&words.collect::<Vec<_>>().join(" "))
}

/// The state with what ps adds to it.
fn stat(process: &ProcessInfo) -> String {
    let mut stat = printable(&process.state);
    for (holds, sign) in [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.session == process.pid, 's'),
        (process.threads > 1, 'l'),
        (process.foreground, '+'),
    ] {
        if holds {
            stat.push(sign);
        }
    }
    stat
}

/// `[[DD-]HH:]MM:SS`; with `hours` always `[DD-]HH:MM:SS`.
fn clock(ns: u64, hours: bool) -> String {
    let seconds = ns / SECOND;
    let (days, hour) = (seconds / 86400, seconds / 3600 % 24);
    let rest = format!("{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    match (days, hour) {
        (0, 0) if !hours => rest,
        (0, hour) => format!("{hour:02}:{rest}"),
        (days, hour) => format!("{days}-{hour:02}:{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_ps_writes_them() {
        for (seconds, short, long) in [
            (0, "00:00", "00:00:00"),
            (61, "01:01", "00:01:01"),
            (3600, "01:00:00", "01:00:00"),
            (90_061, "1-01:01:01", "1-01:01:01"),
        ] {
            assert_eq!(clock(seconds * SECOND, false), short);
            assert_eq!(clock(seconds * SECOND, true), long);
        }
    }

    #[test]
    fn a_process_as_ps_shows_it() {
        let process = ProcessInfo {
            pid: 7,
            session: 7,
            threads: 2,
            nice: 5,
            state: "S".into(),
            cpu_ns: SECOND,
            resident: 50 << 20,
            command: b"sh".to_vec(),
            args: vec![b"sh".to_vec(), b"-c\x1b".to_vec()],
            ..ProcessInfo::default()
        };
        let list =
            ProcessList { uptime_ns: 4 * SECOND, memory: 500 << 20, ..ProcessList::default() };
        for (kind, text) in [
            (Kind::Stat, "SNsl"),
            (Kind::CpuPercent, "25.0"),
            (Kind::Cpu, "25"),
            (Kind::MemoryPercent, "10.0"),
            (Kind::Args, "sh -c?"),
            (Kind::User, "0"),
            (Kind::Tty, "?"),
            (Kind::Elapsed, "00:04"),
        ] {
            assert_eq!(kind.show(&process, &list), text, "{kind:?}");
        }
        let dead = ProcessInfo { state: "Z".into(), command: b"x".to_vec(), ..Default::default() };
        assert_eq!(Kind::Args.show(&dead, &ProcessList::default()), "[x] <defunct>");
    }
}
