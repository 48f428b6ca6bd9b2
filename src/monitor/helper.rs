// SPDX-License-Identifier: Apache-2.0
//! A helper in a running VM (mvm-init, executed beside the workload; see
//! guest/src/helpers), as a command that talks with it has it.

use std::sync::Arc;

use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, SimplexStream,
    WriteHalf, duplex, simplex,
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::client::give;
use super::exec::ExecRequest;
use super::sending::{Frames, Sent, send_frames};
use super::stream::StreamRequest;
use super::wire::{self, CHUNK, Event, Kind, Order, STDIN_WINDOW, Streams};
use crate::error::{Failure, Result};
use crate::state::Record;
use crate::sys::Connection;

/// Bytes that wait between this process's tasks, each way.
pub(super) const WAITING: usize = 4 * CHUNK;

/// Bytes of stderr that are kept: the first ones.
pub(super) const MAX_WORDS: usize = 64 << 10;

/// Lines of them that are shown, and characters of each.
const MAX_LINES: usize = 50;
const MAX_LINE: usize = 1000;

/// A helper that runs. It is hung up on when this value goes.
pub struct Helper {
    /// Its stdin, ended by `shutdown`. Both this and `stdout` are to be moved
    /// along: one that is stuck may stop the other.
    pub stdin: WriteHalf<SimplexStream>,
    pub stdout: DuplexStream,
    pub(super) ended: oneshot::Receiver<Result<HelperEnd>>,
    /// What moves its streams.
    pub(super) moving: JoinSet<()>,
}

/// How a helper ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperEnd {
    pub code: u8,
    /// What it said on stderr.
    pub words: String,
}

impl HelperEnd {
    /// Its lines, fit for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let fit = |line: &str| line.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect();
        self.words.lines().take(MAX_LINES).map(fit).collect()
    }
}

impl ExecRequest {
    /// A helper with these arguments, which is root with every right in the VM.
    pub fn helper(name: &str, arguments: &[Vec<u8>]) -> Self {
        let mut args = vec![name.into()];
        args.extend_from_slice(arguments);
        Self {
            args,
            env: Vec::new(),
            workdir: Some("/".into()),
            user: Some("0:0".into()),
            privileged: true,
            streams: Streams::ALL,
            terminal: None,
            detach: false,
            helper: true,
        }
    }
}

/// Starts a helper in a VM that runs. That it could not start is told by `end`.
pub async fn helper(record: &Record, request: ExecRequest) -> Result<Helper> {
    Ok(talk(give(record, &Order::Exec(request)).await?, record.not_running()))
}

/// Joins this command with a program in a VM that runs, whose stream it is
/// talked with as with a helper.
pub async fn stream(record: &Record, request: StreamRequest) -> Result<Helper> {
    Ok(talk(give(record, &Order::Stream(request)).await?, record.not_running()))
}

/// `late`: what to say if the VM ends before there is anyone to talk with.
fn talk(connection: Connection, late: Failure) -> Helper {
    let (reader, writer) = tokio::io::split(connection);
    let (frames, queue) = mpsc::channel(8);
    let (input, stdin) = simplex(WAITING);
    let (stdout, output) = duplex(WAITING);
    let (ending, ended) = oneshot::channel();
    let credit = Arc::new(Semaphore::new(STDIN_WINDOW));
    let mut moving = JoinSet::new();
    moving.spawn(send_frames(writer, queue));
    moving.spawn(pass(input, frames, Arc::clone(&credit)));
    moving.spawn(async move {
        let _ = ending.send(receive(reader, output, &credit, late).await);
    });
    Helper { stdin, stdout, ended, moving }
}

impl Helper {
    /// Its streams, and its end, which holds it: when that goes, it is hung up on. Until it is
    /// awaited, what comes on stdout has to be taken.
    pub fn split(
        self,
    ) -> (
        WriteHalf<SimplexStream>,
        DuplexStream,
        impl Future<Output = Result<HelperEnd>> + Send + 'static,
    ) {
        let Self { stdin, stdout, ended, moving } = self;
        let ending = async move {
            let ended = ended.await.unwrap_or_else(|_| Err(gone()));
            drop(moving);
            ended
        };
        (stdin, stdout, ending)
    }

    /// Ends its stdin and waits for its end; what it still writes to stdout is
    /// dropped.
    pub async fn end(self) -> Result<HelperEnd> {
        let Self { mut stdin, mut stdout, ended, moving: _moving } = self;
        let _ = stdin.shutdown().await;
        let dropping = async {
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
        };
        let (ended, ()) = tokio::join!(ended, dropping);
        ended.unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Failure {
    Failure::new("the VM's monitor died, and the VM with it")
}

/// stdin, as far as there is credit for it.
async fn pass(mut input: ReadHalf<SimplexStream>, frames: Frames, credit: Arc<Semaphore>) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = input.read(&mut buffer).await.unwrap_or(0);
        let Ok(permits) = credit.acquire_many(u32::try_from(count).unwrap_or(u32::MAX)).await
        else {
            return;
        };
        permits.forget();
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if frames.send(Sent::Frame(Kind::Stdin, bytes)).await.is_err() || count == 0 {
            break;
        }
    }
    // The connection is open until the helper has ended.
    frames.closed().await;
}

async fn receive(
    reader: impl AsyncRead + Unpin,
    output: DuplexStream,
    credit: &Semaphore,
    late: Failure,
) -> Result<HelperEnd> {
    let mut reader = BufReader::with_capacity(CHUNK, reader);
    let mut output = Some(output);
    let mut words = Vec::new();
    let mut has_started = false;
    while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
        match kind {
            Kind::Stdout => {
                if let Some(pipe) = &mut output
                    && pipe.write_all(&payload).await.is_err()
                {
                    output = None;
                }
            }
            Kind::Stderr => {
                let room = MAX_WORDS.saturating_sub(words.len());
                words.extend_from_slice(payload.get(..room).unwrap_or(&payload));
            }
            Kind::Event => match wire::parse(&payload) {
                Ok(Event::StdinCredit(bytes)) => credit.add_permits(bytes.min(STDIN_WINDOW)),
                Ok(Event::OutputEnded) => output = None,
                Ok(Event::Started) => has_started = true,
                Ok(Event::Exited { .. }) if !has_started => return Err(late),
                Ok(Event::Exited { code, .. }) => {
                    let words = String::from_utf8_lossy(&words).trim_end().to_owned();
                    return Ok(HelperEnd { code, words });
                }
                Ok(Event::Failed(failure)) => return Err(failure),
                Ok(_) => {}
                Err(_) => break,
            },
            _ => break,
        }
    }
    Err(gone())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a helper's end is to a command that hears this.
    async fn end_of(events: &[Event]) -> Result<HelperEnd> {
        let mut bytes = Vec::new();
        for event in events {
            wire::write_json(&mut bytes, Kind::Event, event).await.unwrap();
        }
        let (output, _stdout) = duplex(1);
        let late = Failure::new("VM box is not running").status(1);
        receive(&bytes[..], output, &Semaphore::new(0), late).await
    }

    #[tokio::test]
    async fn the_end_of_a_vm_is_none_of_a_helper_that_did_not_start() {
        let exited = Event::Exited { code: 0, oom_killed: false };
        let late = end_of(std::slice::from_ref(&exited)).await.unwrap_err();
        assert_eq!((late.message.as_str(), late.status), ("VM box is not running", 1));
        let end = end_of(&[Event::Started, exited]).await.unwrap();
        assert_eq!(end, HelperEnd { code: 0, words: String::new() });
        let failure = Failure::new("why").status(7);
        let failed = end_of(&[Event::Started, Event::Failed(failure.clone())]).await;
        assert_eq!(failed.unwrap_err(), failure);
        assert_eq!(end_of(&[Event::Started]).await.unwrap_err(), gone());
    }
}
