// SPDX-License-Identifier: Apache-2.0
//! `mvm logs`

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::when;
use crate::error::{Failure, Result};
use crate::logs::{self, Line, Lines, Piece, Reader, Stream};
use crate::monitor::Follower;
use crate::state::{Dirs, VmStore};

/// Show what the command of a VM has written
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Name, ID or start of an ID
    #[arg(value_name = "VM")]
    vm: String,
    /// Go on as the command writes, until it ends
    #[arg(short, long)]
    follow: bool,
    /// Lines from then on: 10m (ago), 2026-01-31T12:00:00Z, seconds since 1970
    #[arg(long, value_parser = when::flag, allow_hyphen_values = true, value_name = "TIME")]
    since: Option<u64>,
    /// Lines until then
    #[arg(long, value_parser = when::flag, allow_hyphen_values = true, value_name = "TIME")]
    until: Option<u64>,
    /// So many lines from the end, or all
    #[arg(short = 'n', long, value_parser = tail, default_value = "all", allow_hyphen_values = true, value_name = "LINES")]
    tail: Tail,
    /// Put its time before each line
    #[arg(short, long)]
    timestamps: bool,
}

/// All, or so many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail(Option<usize>);

impl Tail {
    /// None: all.
    pub fn lines(self) -> Option<usize> {
        self.0
    }
}

/// As Docker reads it: what is negative is all.
pub fn tail(text: &str) -> std::result::Result<Tail, String> {
    match text.parse::<i64>() {
        Ok(lines) => Ok(Tail(usize::try_from(lines).ok())),
        Err(_) if text == "all" => Ok(Tail(None)),
        Err(_) => Err("a number of lines, or all".into()),
    }
}

pub async fn run(dirs: &Dirs, args: LogsArgs) -> Result<u8> {
    let found = VmStore::new(dirs).find(&args.vm)?;
    if found.record.unlogged {
        return Err(Failure::new(format!("the output of {} is not kept", args.vm))
            .hint("it was made with --log-driver none"));
    }
    let directory = found.record.dirs.vm(&found.record.id);
    let failed = |e: io::Error| Failure::cannot(format!("read the log of {}", args.vm), e);
    // Before the first look, so that nothing falls between the two. A VM that
    // does not run, or ended just now, is at its end.
    let mut follower = match args.follow && found.runs() {
        true => Follower::connect(&found.record).await.ok(),
        false => None,
    };
    let mut reader = Reader::open(&directory).map_err(failed)?;
    // Whoever writes faster than this prints must not keep it from its end.
    let end = logs::end(&directory).map_err(failed)?;
    let first = first_line(&directory, end, &args).map_err(failed)?;
    let mut printer = Printer::new(&args, first);
    loop {
        while follower.is_some() || reader.position() < end || args.follow {
            let Some(record) = reader.next().map_err(failed)? else { break };
            if !printer.print(&record)? {
                return Ok(0);
            }
        }
        if !printer.flush()? {
            return Ok(0);
        }
        let Some(running) = &mut follower else { return Ok(0) };
        match before(args.until, running.more(reader.position())).await {
            None => return Ok(0),
            Some(true) => {}
            Some(false) => {
                // A VM with --rm vanishes when this has let go.
                reader.hold().map_err(failed)?;
                follower = None;
            }
        }
    }
}

/// What `work` gives, or `None` if it is not done by `until`, nanoseconds since
/// 1970.
async fn before<T>(until: Option<u64>, work: impl Future<Output = T>) -> Option<T> {
    let Some(until) = until else { return Some(work.await) };
    let left = (UNIX_EPOCH + Duration::from_nanos(until)).duration_since(SystemTime::now());
    tokio::time::timeout(left.unwrap_or_default(), work).await.ok()
}

/// The line that the last ones asked for begin with, of those that are in the
/// log before `end`; `None`: all are asked for.
fn first_line(directory: &std::path::Path, end: u64, args: &LogsArgs) -> io::Result<Option<From>> {
    let Tail(Some(count)) = args.tail else { return Ok(None) };
    let mut last: VecDeque<Line> = VecDeque::new();
    let mut lines = Lines::default();
    let mut reader = Reader::open(directory)?;
    while count > 0 && reader.position() < end {
        let Some(record) = reader.next()? else { break };
        let kept = lines.cut(&record, |piece| {
            if piece.begins && within(args, &piece.line) {
                last.push_back(piece.line);
            }
            if last.len() > count {
                last.pop_front();
            }
            Ok::<_, io::Error>(())
        });
        kept?;
    }
    Ok(Some(last.front().map_or(From::Position(end), |line| From::Line(*line))))
}

/// Where the lines begin that are shown.
enum From {
    Line(Line),
    Position(u64),
}

fn within(args: &LogsArgs, line: &Line) -> bool {
    args.since.is_none_or(|since| line.time_ns >= since)
        && args.until.is_none_or(|until| line.time_ns <= until)
}

/// Writes the pieces of lines that are asked for to where they belong.
struct Printer<'a> {
    args: &'a LogsArgs,
    first: Option<From>,
    lines: Lines,
    /// What is to be written, all for one stream.
    pending: Vec<u8>,
    stream: Stream,
}

impl<'a> Printer<'a> {
    /// Bytes that are written at a time.
    const BLOCK: usize = 64 << 10;

    fn new(args: &'a LogsArgs, first: Option<From>) -> Self {
        let (pending, stream) = (Vec::new(), Stream::Stdout);
        Self { args, first, lines: Lines::default(), pending, stream }
    }

    /// False when nobody reads it any more.
    fn print(&mut self, record: &logs::Record) -> Result<bool> {
        let mut lines = std::mem::take(&mut self.lines);
        let mut wanted = true;
        let printed = lines.cut(record, |piece| {
            if wanted && self.shows(&piece.line) {
                wanted = self.add(&piece)?;
            }
            Ok(())
        });
        self.lines = lines;
        printed.map(|()| wanted)
    }

    fn shows(&self, line: &Line) -> bool {
        let behind = match &self.first {
            None => true,
            Some(From::Line(first)) => line >= first,
            Some(From::Position(position)) => line.position() >= *position,
        };
        behind && within(self.args, line)
    }

    fn add(&mut self, piece: &Piece) -> Result<bool> {
        if (piece.stream != self.stream || self.pending.len() >= Self::BLOCK) && !self.flush()? {
            return Ok(false);
        }
        self.stream = piece.stream;
        if piece.begins && self.args.timestamps {
            let time = UNIX_EPOCH + Duration::from_nanos(piece.line.time_ns);
            let stamp = humantime::format_rfc3339_nanos(time);
            self.pending.extend_from_slice(format!("{stamp} ").as_bytes());
        }
        self.pending.extend_from_slice(piece.bytes);
        Ok(true)
    }

    fn flush(&mut self) -> Result<bool> {
        let written = match self.stream {
            Stream::Stderr => io::stderr().lock().write_all(&self.pending),
            Stream::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.pending).and_then(|()| stdout.flush())
            }
        };
        self.pending.clear();
        match written {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(e) => Err(Failure::cannot("write the log", e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_as_docker_reads_them() {
        for (text, lines) in [("all", None), ("-1", None), ("0", Some(0)), ("12", Some(12))] {
            assert_eq!(tail(text), Ok(Tail(lines)));
        }
        for text in ["", "x", "1.5", "ALL"] {
            assert!(tail(text).is_err(), "{text}");
        }
    }
}
