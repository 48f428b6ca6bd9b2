// SPDX-License-Identifier: Apache-2.0
//! `top`: what ps(1) would say of the VM's processes, for an image without it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use mvm_proto::{ProcessInfo, ProcessList};
use protobuf::Message;
use rustix::time::{ClockId, clock_gettime};

use super::kernel::{View, image_file, value};
use super::{is_helper, outcome};

/// Bytes of arguments of one process.
const MAX_ARGS: usize = 16 << 10;

/// Nanoseconds of a tick of proc_pid_stat(5): USER_HZ is 100.
const TICK: u64 = 10_000_000;

const KERNEL_THREAD: u64 = 0x0020_0000;

/// Writes a `ProcessList` to stdout.
pub fn run(_: Vec<OsString>) -> ExitCode {
    outcome(list().and_then(|list| io::stdout().write_all(&list.write_to_bytes()?)))
}

fn list() -> io::Result<ProcessList> {
    let proc = View::proc()?;
    let (users, groups) = (names("/etc/passwd"), names("/etc/group"));
    let itself = proc.stat("self/exe")?;
    let mut list = ProcessList::new();
    for pid in proc.numbers()? {
        // One that has ended meanwhile is left out.
        let Ok(Some(mut info)) = look(&proc, pid) else { continue };
        let exe = proc.stat(&format!("{pid}/exe"));
        let ours = exe.is_ok_and(|exe| (exe.st_dev, exe.st_ino) == (itself.st_dev, itself.st_ino));
        if pid == 1 || ours && info.args.first().is_some_and(|name| is_helper(name)) {
            continue;
        }
        let name =
            |names: &HashMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_default();
        (info.euser, info.ruser) = (name(&users, info.euid), name(&users, info.ruid));
        (info.egroup, info.rgroup) = (name(&groups, info.egid), name(&groups, info.rgid));
        list.processes.push(info);
    }
    let now = clock_gettime(ClockId::Boottime);
    list.uptime_ns = now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs();
    list.memory = value(&proc.text("meminfo")?, "MemTotal").unwrap_or(0) << 10;
    Ok(list)
}

/// `None`: a thread of the kernel.
fn look(proc: &View, pid: u32) -> io::Result<Option<ProcessInfo>> {
    let stat = proc.read(&format!("{pid}/stat"))?;
    let Some(mut info) = parse(&stat) else { return Ok(None) };
    info.pid = pid;
    let status = proc.text(&format!("{pid}/status"))?;
    [info.ruid, info.euid] = ids(&status, "Uid:");
    [info.rgid, info.egid] = ids(&status, "Gid:");
    info.virtual_size = value(&status, "VmSize").unwrap_or(0) << 10;
    info.resident = value(&status, "VmRSS").unwrap_or(0) << 10;
    let mut line = proc.read(&format!("{pid}/cmdline"))?;
    line.truncate(MAX_ARGS);
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    if !line.is_empty() {
        info.args = line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    }
    Ok(Some(info))
}

/// Real and effective ones.
fn ids(status: &str, key: &str) -> [u32; 2] {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let mut ids = line.split_ascii_whitespace().map(|id| id.parse().unwrap_or(0));
    [ids.next().unwrap_or(0), ids.next().unwrap_or(0)]
}

/// A line of proc_pid_stat(5). The name in it may hold anything, a `)` too.
fn parse(line: &[u8]) -> Option<ProcessInfo> {
    let (open, close) =
        (line.iter().position(|b| *b == b'(')?, line.iter().rposition(|b| *b == b')')?);
    let command = line.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let signed = |n: usize| fields.get(n).and_then(|field| field.parse::<i64>().ok()).unwrap_or(0);
    let number = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let id = |n: usize| u32::try_from(signed(n)).unwrap_or(0);
    if number(6) & KERNEL_THREAD != 0 {
        return None;
    }
    Some(ProcessInfo {
        command,
        state: (*fields.first()?).to_owned(),
        parent: id(1),
        group: id(2),
        session: id(3),
        terminal: terminal(number(4)),
        foreground: signed(5) > 0 && signed(5) == signed(2),
        cpu_ns: (number(11) + number(12)).saturating_mul(TICK),
        priority: i32::try_from(signed(15)).unwrap_or(0),
        nice: i32::try_from(signed(16)).unwrap_or(0),
        threads: id(17),
        started_ns: number(19).saturating_mul(TICK),
        ..ProcessInfo::default()
    })
}

/// The name of a terminal by its device number.
fn terminal(number: u64) -> String {
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    match (major, minor) {
        (0, _) => String::new(),
        (4, 0..64) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".into(),
        (136..144, _) => format!("pts/{}", (major - 136) << 20 | minor),
        _ => format!("{major}:{minor}"),
    }
}

/// IDs and the first name of each, of a file like passwd(5).
fn names(path: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in image_file(path).split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split(':');
        if let (Some(name), _, Some(Ok(id))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
        {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let line =
            b"42 (a) (b\xff) S 1 42 42 34817 42 4194304 9 0 0 0 250 50 0 0 20 -5 3 0 1234 999 7";
        let info = parse(line).unwrap();
        assert_eq!(info.command, b"a) (b\xff");
        assert_eq!((info.state.as_str(), info.parent, info.session), ("S", 1, 42));
        assert_eq!((info.terminal.as_str(), info.foreground), ("pts/1", true));
        assert_eq!((info.nice, info.threads), (-5, 3));
        assert_eq!((info.cpu_ns, info.started_ns), (3_000_000_000, 12_340_000_000));
        assert_eq!(parse(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0"), None);
        for broken in [&b""[..], b"1", b"1 (", b"1 )x(", b"1 (x)"] {
            assert_eq!(parse(broken), None);
        }
    }

    #[test]
    fn terminals_have_their_names() {
        for (number, name) in [
            (0, ""),
            (0x8800, "pts/0"),
            (0x8805, "pts/5"),
            (0x401, "tty1"),
            (0x440, "ttyS0"),
            (0x501, "console"),
        ] {
            assert_eq!(terminal(number), name);
        }
    }

    #[test]
    fn this_process_is_seen() {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = rustix::process::getuid().as_raw();
        assert_eq!(ids(&status, "Uid:"), [own, own]);
        assert_eq!(names("/etc/passwd").get(&0).map(String::as_str), Some("root"));
    }
}
