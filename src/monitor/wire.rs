// SPDX-License-Identifier: Apache-2.0
//! What passes between a command and the monitor of a VM: frames of a kind, a
//! length and a payload, on a local socket that only this user can open.

use std::io;

use bytes::Buf;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::exec::ExecRequest;
use super::stream::StreamRequest;
use crate::error::Failure;
use crate::terminal::Size;

/// Largest payload; a launch with a large environment is the largest there is.
const MAX_PAYLOAD: usize = 64 << 20;

/// Bytes of the workload's output in one frame, at most.
pub const CHUNK: usize = 64 << 10;

/// Bytes of stdin that a command may send before it is given more credit.
pub const STDIN_WINDOW: usize = 256 << 10;

/// As the guest numbers it.
pub const SIGKILL: u32 = 9;

/// The first byte of a frame. 1–15 go to the monitor, 16–31 come from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// `Launch`, JSON; then `InitConfig` and `Process`.
    Launch = 1,
    /// `mvm_proto::InitConfig`, protobuf.
    InitConfig = 2,
    /// `mvm_proto::Process`, protobuf.
    Process = 3,
    /// `Order`, JSON.
    Order = 4,
    /// Bytes for the workload's stdin; none: its end.
    Stdin = 5,
    /// `Event`, JSON.
    Event = 16,
    Stdout = 17,
    Stderr = 18,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Launch,
            Self::InitConfig,
            Self::Process,
            Self::Order,
            Self::Stdin,
            Self::Event,
            Self::Stdout,
            Self::Stderr,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Sends a signal to the workload; before it runs, INT and TERM give up.
    Signal(u32),
    /// Ends workload and VM: with a signal, and after some milliseconds with
    /// SIGKILL; the workload's own where nothing is said.
    Stop { signal: Option<u32>, grace_ms: Option<u64> },
    /// This command reads the workload's stdout (1) or stderr (2) no more.
    CloseOutput(u8),
    /// Say `Event::Logged` when the log has come further than this position,
    /// or is at its end.
    AwaitLog { beyond: u64 },
    /// The first frame of a later command: it takes these streams of the
    /// workload. `Attached` is the answer.
    Attach(Streams),
    /// The first frame of a later command: it starts a process, and is attached
    /// to that.
    Exec(ExecRequest),
    /// The first frame of a later command: it is joined with a program in the
    /// guest.
    Stream(StreamRequest),
    /// The size of the workload's terminal is to be this.
    Resize(Size),
    /// This command goes, and its process stays.
    Leave,
}

/// Which streams of a workload a command takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Streams {
    pub const ALL: Self = Self { stdin: true, stdout: true, stderr: true };

    pub fn output(self) -> bool {
        self.stdout || self.stderr
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The workload runs.
    Started,
    /// What it is that was attached to: whether it has a terminal, and a stdin
    /// that is open.
    Attached { terminal: bool, stdin: bool },
    /// Something that the user should know.
    Warning(String),
    /// What the run cost, at its end.
    Cost(Cost),
    /// More bytes of stdin may be sent.
    StdinCredit(usize),
    /// No more output comes of a stream; input may go on.
    OutputEnded,
    /// The answer to `Order::AwaitLog`.
    Logged { ended: bool },
    /// The workload and its VM have ended; everything is cleaned up.
    Exited { code: u8, oom_killed: bool },
    /// It could not run, or the VM failed; everything is cleaned up.
    Failed(Failure),
}

/// Where the time went, in parts that the command cannot see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Phases of the pipeline that the monitor went through, microseconds. They
    /// come together at the end: each word on the way wakes two processes.
    pub phases: Vec<(String, u64)>,
    /// CPU time of the monitor, microseconds.
    pub monitor_cpu_micros: u64,
    /// The guest's clock, milliseconds since its kernel started: at the start
    /// of mvm-init, when it was configured, and when the workload started.
    pub init_ms: u64,
    pub configured_ms: u64,
    pub exec_ms: u64,
}

/// Sends one frame.
pub async fn write<W>(writer: &mut W, kind: Kind, payload: &[u8]) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let length = u32::try_from(payload.len()).map_err(|_| too_large(payload.len()))?;
    let mut header = [kind as u8, 0, 0, 0, 0];
    header[1..].copy_from_slice(&length.to_be_bytes());
    // Together: whoever reads is woken once.
    writer.write_all_buf(&mut Buf::chain(&header[..], payload)).await
}

pub async fn write_json<W>(writer: &mut W, kind: Kind, value: &impl Serialize) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    write(writer, kind, &serde_json::to_vec(value)?).await
}

/// The next frame; `None` at the end. Not cancel safe.
pub async fn read<R>(reader: &mut R) -> io::Result<Option<(Kind, Vec<u8>)>>
where
    R: AsyncRead + Unpin,
{
    let mut header = [0; 5];
    match reader.read_exact(&mut header).await {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    let kind = Kind::from_byte(header[0])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a frame of unknown kind"))?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > MAX_PAYLOAD {
        return Err(too_large(length));
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await?;
    Ok(Some((kind, payload)))
}

/// Reads a payload that must be of a certain form.
pub fn parse<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn too_large(length: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_and_end_cleanly() {
        let (mut one, mut other) = tokio::io::duplex(64);
        let writing = async {
            write(&mut one, Kind::Stdout, b"hello").await.unwrap();
            write_json(&mut one, Kind::Event, &Event::Exited { code: 7, oom_killed: false })
                .await
                .unwrap();
            drop(one);
        };
        let reading = async {
            assert_eq!(read(&mut other).await.unwrap(), Some((Kind::Stdout, b"hello".to_vec())));
            let (kind, payload) = read(&mut other).await.unwrap().unwrap();
            assert_eq!(kind, Kind::Event);
            assert_eq!(
                parse::<Event>(&payload).unwrap(),
                Event::Exited { code: 7, oom_killed: false }
            );
            assert_eq!(read(&mut other).await.unwrap(), None);
        };
        tokio::join!(writing, reading);
    }

    #[tokio::test]
    async fn nonsense_is_refused_before_memory_is_taken() {
        for header in [[99, 0, 0, 0, 1], [Kind::Stdin as u8, 0xff, 0xff, 0xff, 0xff]] {
            let error = read(&mut &header[..]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
