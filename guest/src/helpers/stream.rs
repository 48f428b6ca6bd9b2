// SPDX-License-Identifier: Apache-2.0
//! `/dev/mvm stream ID`: claims a stream that `mvm stream VM ID` offers on the
//! host, and connects its own stdin and stdout to it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use mvm_proto::streams::{self, MAX_LINE, OK, SOCKET, WINDOW};
use rustix::event::{PollFd, PollFlags, poll};

use crate::error::text;

const USAGE: &str = "usage: /dev/mvm stream [--timeout SECONDS] ID";

/// Bytes that are moved at once.
const BUFFER: usize = 64 << 10;

/// What a program of the image has started: 0 for a stream that ended as it
/// should, 1 for one that did not or was not there, 2 for wrong usage.
pub fn program(arguments: Vec<OsString>) -> ExitCode {
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let (name, window) = match words[..] {
        ["stream", name] if !name.starts_with('-') => (name, Ok(WINDOW)),
        ["stream", "--timeout", time, name] => (name, streams::parse_window(time)),
        _ => return fail(2, USAGE),
    };
    let window = match (streams::check_name(name), window) {
        (Ok(()), Ok(window)) => window,
        (Err(why), _) | (_, Err(why)) => return fail(2, &why),
    };
    match connect(name, window).and_then(|stream| pass(&stream)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(1, &format!("stream {name}: {}", text(&e))),
    }
}

fn fail(status: u8, why: &str) -> ExitCode {
    eprintln!("mvm: {why}");
    ExitCode::from(status)
}

/// A stream that the host has, too.
fn connect(name: &str, window: Duration) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.write_all(streams::claim(name, window).as_bytes())?;
    let mut line = Vec::new();
    // No byte more: what follows is the stream's.
    while line.len() < MAX_LINE && !line.ends_with(b"\n") {
        let mut byte = [0];
        match stream.read(&mut byte)? {
            0 => break,
            _ => line.extend(byte),
        }
    }
    match String::from_utf8_lossy(&line).as_ref() {
        OK => Ok(stream),
        "" => Err(io::Error::other("the agent hung up")),
        why => Err(io::Error::other(why.trim_end().to_owned())),
    }
}

/// Moves bytes until both sides have ended what they say.
fn pass(stream: &UnixStream) -> io::Result<()> {
    let mut to_host = stream.try_clone()?;
    let sending = thread::spawn(move || {
        let copied = copy(&mut io::stdin().lock(), &mut to_host);
        // The host may have gone.
        let _ = to_host.shutdown(Shutdown::Write);
        copied
    });
    let mut from_host = stream;
    copy(&mut from_host, &mut io::stdout().lock())?;
    // Whoever waits for the end of stdout need not wait for this process.
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    // What stdin gives is still the host's, unless that has gone for good:
    // then the thread may never return.
    while !sending.is_finished() {
        let mut hung_up = [PollFd::new(stream, PollFlags::empty())];
        let second = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if poll(&mut hung_up, Some(&second))? > 0 {
            // Both may end at the same moment.
            thread::sleep(Duration::from_millis(100));
            break;
        }
    }
    match sending.is_finished() {
        true => sending.join().unwrap_or_else(|_| Err(io::Error::other("it crashed"))),
        false => Err(io::Error::other("the host has gone")),
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
