// SPDX-License-Identifier: Apache-2.0
//! stdin, stdout and stderr of a process: pipes or a terminal, with the
//! streams of the channel at the other end.

use std::io;
use std::os::fd::OwnedFd;

use mvm_proto::Process;
use mvm_proto::mux::Stream;
use rustix::fs::{Mode, OFlags, Uid};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::streams::{Ended, Streams, copy_in, copy_out, input_pipe, output_pipe};
use crate::terminal::{self, Master, Sizer};

/// The streams of a process, then with our ends of what it reads and writes.
#[derive(Default)]
pub struct Stdio {
    streams: [Option<Stream>; 3],
    input: Option<(Stream, pipe::Sender)>,
    outputs: Vec<(Stream, pipe::Receiver)>,
    terminal: Option<Screen>,
}

/// A terminal in the place of pipes.
struct Screen {
    master: Master,
    typed: Option<Stream>,
    shown: Stream,
}

impl Stdio {
    /// Takes the streams that the request names.
    pub async fn claim(request: &Process, streams: &Streams) -> io::Result<Self> {
        let mut stdio = Self::default();
        let ids = [request.stdin, request.stdout, request.stderr];
        for (slot, id) in stdio.streams.iter_mut().zip(ids) {
            if id != 0 {
                *slot = Some(streams.claim(id).await?);
            }
        }
        Ok(stdio)
    }

    /// Makes what is to be stdin, stdout and stderr of the process: pipes, and
    /// /dev/null where there is no stream, or the terminal that is asked for.
    pub fn make(&mut self, request: &Process, owner: Uid) -> io::Result<[OwnedFd; 3]> {
        let [input, output, errors] = std::mem::take(&mut self.streams);
        if let Some(size) = request.terminal.as_ref() {
            let shown = output.ok_or_else(|| io::Error::other("a terminal has no output"))?;
            let (master, slave) = terminal::open(size, owner)?;
            self.terminal = Some(Screen { master, typed: input, shown });
            return Ok([slave.try_clone()?, slave.try_clone()?, slave]);
        }
        let stdin = match input {
            Some(stream) => {
                let (end, pipe) = input_pipe()?;
                self.input = Some((stream, pipe));
                own(end, owner)?
            }
            None => null()?,
        };
        Ok([stdin, self.output(output, owner)?, self.output(errors, owner)?])
    }

    fn output(&mut self, stream: Option<Stream>, owner: Uid) -> io::Result<OwnedFd> {
        let Some(stream) = stream else { return null() };
        let (end, pipe) = output_pipe()?;
        self.outputs.push((stream, pipe));
        own(end, owner)
    }

    pub fn sizer(&self) -> Option<Sizer> {
        self.terminal.as_ref().map(|screen| screen.master.sizer())
    }

    /// Moves bytes from now on. Returns what ends when all output is handed
    /// over.
    pub fn start(self, ended: &Ended) -> Vec<JoinHandle<()>> {
        if let Some((stream, pipe)) = self.input {
            tokio::spawn(copy_in(stream, pipe, ended.clone()));
        }
        let mut outputs: Vec<_> = self
            .outputs
            .into_iter()
            .map(|(stream, pipe)| tokio::spawn(copy_out(pipe, stream, ended.clone())))
            .collect();
        outputs.extend(self.terminal.map(|screen| screen.start(ended.clone())));
        outputs
    }

    /// Ends the streams of a process that never was: input is reset, as
    /// `copy_in` does, output has no bytes.
    pub async fn end(mut self) {
        let unused = self.streams.iter_mut().skip(1).filter_map(Option::take);
        let outputs = self.outputs.drain(..).map(|(stream, _)| stream);
        let shown = self.terminal.take().map(|screen| screen.shown);
        for mut stream in unused.chain(outputs).chain(shown) {
            // The host may have gone.
            let _ = stream.shutdown().await;
        }
    }
}

impl Screen {
    /// Typing ends with what is shown: then the master is closed, and who has
    /// the terminal still gets SIGHUP.
    fn start(self, ended: Ended) -> JoinHandle<()> {
        let (showing, dark) = watch::channel(false);
        if let Some(stream) = self.typed {
            tokio::spawn(copy_in(stream, self.master.clone(), dark));
        }
        tokio::spawn(async move {
            copy_out(self.master, self.shown, ended).await;
            drop(showing);
        })
    }
}

/// So that a user may open its /dev/stdout again; runc does the same.
fn own(end: OwnedFd, owner: Uid) -> io::Result<OwnedFd> {
    rustix::fs::fchown(&end, Some(owner), None)?;
    Ok(end)
}

fn null() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(rustix::fs::open("/dev/null", flags, Mode::empty())?)
}
