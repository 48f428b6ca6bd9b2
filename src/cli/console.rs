// SPDX-License-Identifier: Apache-2.0
//! `mvm console`

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use futures::FutureExt;

use crate::error::{Failure, Result};
use crate::hypervisor::{CONSOLE_LOG, MAX_CONSOLE_LOG};
use crate::monitor;
use crate::state::{Dirs, Found, VmStore};

/// How often a file that grows is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// Bytes that are read at a time.
const BLOCK: usize = 64 << 10;

/// Show the serial console of a VM: what its kernel says
///
/// What there is, then what comes, until the VM ends. Nothing in a VM reads its
/// console, so there is no input: `mvm exec -it VM sh` is a shell in it. The first
/// 4 MiB of each boot are kept, and stay until the next one.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// Name, ID or start of an ID
    #[arg(value_name = "VM")]
    vm: String,
    /// What there is, and no more
    #[arg(long)]
    no_follow: bool,
    /// As it is done anyway
    #[arg(short, long, hide = true, conflicts_with = "no_follow")]
    follow: bool,
    /// So many lines from the end, or all
    #[arg(short = 'n', long, value_parser = super::logs::tail, default_value = "all", allow_hyphen_values = true, value_name = "LINES")]
    tail: super::logs::Tail,
}

pub async fn run(dirs: &Dirs, args: ConsoleArgs) -> Result<u8> {
    let found = VmStore::new(dirs).find(&args.vm)?;
    let path = found.record.dirs.vm(&found.record.id).join(CONSOLE_LOG);
    let follow = found.alive && !args.no_follow;
    let ended = end(&found).boxed_local().shared();
    let Some(file) = open(&path, follow, &ended).await? else {
        return Err(Failure::new(format!("VM {} has said nothing yet", found.record.name))
            .hint(format!("it has a console when it runs: mvm start {}", found.record.name)));
    };
    let mut console = Console::new(file, &path);
    if let Some(lines) = args.tail.lines() {
        console.skip_to_last(lines)?;
    }
    if !console.print()? {
        return Ok(0);
    }
    let mut over = !follow;
    while !over {
        over = tokio::time::timeout(PERIOD, ended.clone()).await.is_ok();
        if !console.print()? {
            return Ok(0);
        }
    }
    console.finish();
    Ok(0)
}

/// Returns when the VM has ended.
async fn end(found: &Found) {
    // An error is that of a VM that ended just now.
    let _ = monitor::end_of(&found.record).await;
}

/// The console of this boot; a VM on its way up has one in a moment.
async fn open(
    path: &Path,
    wait: bool,
    ended: &(impl Future<Output = ()> + Clone),
) -> Result<Option<File>> {
    let mut over = !wait;
    loop {
        match File::open(path) {
            Ok(file) => return Ok(Some(file)),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(unread(path, e)),
            Err(_) if over => return Ok(None),
            Err(_) => over = tokio::time::timeout(PERIOD, ended.clone()).await.is_ok(),
        }
    }
}

/// A console's log on its way to stdout.
struct Console<'a> {
    file: File,
    path: &'a Path,
    /// It is shown to a person, whose terminal the guest is not to control.
    terminal: bool,
    newline: bool,
}

impl<'a> Console<'a> {
    fn new(file: File, path: &'a Path) -> Self {
        Self { file, path, terminal: io::stdout().is_terminal(), newline: true }
    }

    /// Leaves out all but so many lines.
    fn skip_to_last(&mut self, lines: usize) -> Result<()> {
        let failed = |e| unread(self.path, e);
        let mut text = Vec::new();
        // What comes after the most that is kept is not of this log.
        let most = MAX_CONSOLE_LOG + BLOCK as u64;
        (&mut self.file).take(most).read_to_end(&mut text).map_err(failed)?;
        let at = start_of_last(&text, lines);
        self.file.seek(SeekFrom::Start(at as u64)).map(drop).map_err(failed)
    }

    /// Writes what has come. False when nobody reads it any more.
    fn print(&mut self) -> Result<bool> {
        let mut buffer = vec![0; BLOCK];
        loop {
            let count = self.file.read(&mut buffer).map_err(|e| unread(self.path, e))?;
            let bytes = &mut buffer[..count];
            if bytes.is_empty() {
                return Ok(true);
            }
            let shown = if self.terminal { harmless(bytes) } else { bytes.to_vec() };
            self.newline = shown.last().map_or(self.newline, |byte| *byte == b'\n');
            let mut stdout = io::stdout().lock();
            match stdout.write_all(&shown).and_then(|()| stdout.flush()) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(false),
                Err(e) => return Err(Failure::cannot("write to stdout", e)),
            }
        }
    }

    /// Says what is not shown.
    fn finish(&self) {
        if self.terminal && !self.newline {
            println!();
        }
        if self.file.metadata().is_ok_and(|file| file.len() >= MAX_CONSOLE_LOG) {
            eprintln!("note: only the first {} MiB of a boot are kept", MAX_CONSOLE_LOG >> 20);
        }
    }
}

fn unread(path: &Path, error: io::Error) -> Failure {
    Failure::cannot(format!("read {}", path.display()), error)
}

/// Where the last `lines` lines begin; the last one need not have an end.
fn start_of_last(text: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return text.len();
    }
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0)
}

/// Without what would control a terminal: firmware clears the screen, and a
/// guest may do worse.
fn harmless(bytes: &[u8]) -> Vec<u8> {
    // What is beyond ASCII may be C1 control characters only as part of a
    // character of two bytes, which terminals of today take for nothing else.
    bytes
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_control() || b"\n\t".contains(byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_begin_where_they_do() {
        let from = |text: &'static str, lines| &text[start_of_last(text.as_bytes(), lines)..];
        assert_eq!(from("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(from("a\nb\nc", 2), "b\nc");
        assert_eq!(from("a\nb\n", 9), "a\nb\n");
        assert_eq!(from("a\n\n", 1), "\n");
        assert_eq!((from("a\n", 0), from("", 3)), ("", ""));
    }

    #[test]
    fn a_guest_does_not_control_the_terminal() {
        assert_eq!(harmless(b"\x1b[2Jone\r\n\x07\ttwo\x7f"), b"[2Jone\n\ttwo");
    }
}
