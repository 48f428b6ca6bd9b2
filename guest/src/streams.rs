// SPDX-License-Identifier: Apache-2.0
//! The raw streams of the channel: matched by ID with the requests that name
//! them, and copied to and from the pipes or the terminal of a process. Memory is bounded by
//! one buffer per stream; what does not fit waits, end to end.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mvm_proto::mux::{FRAME, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};

/// How long a stream may come after the request that names it, and before it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes moved at once: two whole frames.
const BUFFER: usize = 2 * FRAME;

/// Bytes that a pipe holds: the largest the kernel allows by default, so that
/// a process and its reader need to take turns less often.
const PIPE: usize = 1 << 20;

/// Streams that came and were not claimed, and claims still waiting.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<u32, Meeting>>>);

enum Meeting {
    Arrived(Stream, Instant),
    Claimed(oneshot::Sender<Stream>),
}

impl Streams {
    /// Hands a stream to whoever claims its ID. A second stream of one ID is
    /// dropped, and so reset.
    pub fn offer(&self, id: u32, stream: Stream) {
        let now = Instant::now();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of requests that never came.
        table.retain(|_, meeting| match meeting {
            Meeting::Arrived(_, since) => now.duration_since(*since) < DEADLINE,
            Meeting::Claimed(_) => true,
        });
        match table.remove(&id) {
            None => drop(table.insert(id, Meeting::Arrived(stream, now))),
            Some(Meeting::Claimed(waiting)) => drop(waiting.send(stream)),
            Some(first @ Meeting::Arrived(..)) => drop(table.insert(id, first)),
        }
    }

    /// The stream with this ID, waited for if it is not there yet.
    pub async fn claim(&self, id: u32) -> io::Result<Stream> {
        let arrival = {
            let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match table.remove(&id) {
                Some(Meeting::Arrived(stream, _)) => return Ok(stream),
                Some(first @ Meeting::Claimed(_)) => {
                    table.insert(id, first);
                    return Err(io::Error::other(format!("stream {id} is claimed already")));
                }
                None => {
                    let (sender, receiver) = oneshot::channel();
                    table.insert(id, Meeting::Claimed(sender));
                    receiver
                }
            }
        };
        match tokio::time::timeout(DEADLINE, arrival).await {
            Ok(Ok(stream)) => Ok(stream),
            _ => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                Err(io::Error::other(format!("stream {id} was not opened")))
            }
        }
    }
}

/// Turns true when the process that the pipes belong to has ended.
pub type Ended = watch::Receiver<bool>;

/// The process's end of a pipe, and ours.
pub fn output_pipe() -> io::Result<(OwnedFd, pipe::Receiver)> {
    let (reader, writer) = new_pipe()?;
    Ok((writer, pipe::Receiver::from_owned_fd(reader)?))
}

/// The process's end of a pipe, and ours.
pub fn input_pipe() -> io::Result<(OwnedFd, pipe::Sender)> {
    let (reader, writer) = new_pipe()?;
    Ok((reader, pipe::Sender::from_owned_fd(writer)?))
}

fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // A smaller one works too.
    let _ = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
    Ok((reader, writer))
}

/// Copies what a process writes until nobody can write any more or, once the
/// process itself has ended, until the pipe is empty: a background child may
/// hold it open for ever. Then ends the stream.
pub async fn copy_out<R>(mut pipe: R, mut stream: Stream, mut ended: Ended)
where
    R: AsyncRead + AsFd + Unpin,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read,
            // The runtime may not have heard of the last bytes: ask the kernel.
            () = process_end(&mut ended) => read_now(&pipe, &mut buffer),
        };
        match read {
            Ok(length) if length > 0 => {
                if stream.write_all(&buffer[..length]).await.is_err() {
                    // The host reads no more: the process gets EPIPE.
                    return;
                }
            }
            _ => break,
        }
    }
    // The host may have gone; then there is nobody to tell.
    let _ = stream.shutdown().await;
}

fn read_now(pipe: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(&pipe, &mut *buffer))?)
}

/// Copies what the host sends until it ends its side or the process ends. A
/// process that reads no more is no error: the rest is dropped.
///
/// The stream is never shut down from here but dropped, and so reset if the
/// host still writes: yamux has no other way to wake a writer that waits for
/// the window to open.
pub async fn copy_in<W>(mut stream: Stream, pipe: W, mut ended: Ended)
where
    W: AsyncWrite + Unpin,
{
    let mut pipe = Some(pipe);
    let mut buffer = vec![0; BUFFER];
    let copy = async {
        loop {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => {
                    if let Some(writer) = &mut pipe
                        && writer.write_all(&buffer[..length]).await.is_err()
                    {
                        pipe = None;
                    }
                }
                _ => return,
            }
        }
    };
    tokio::select! {
        () = copy => {}
        () = process_end(&mut ended) => {}
    }
}

async fn process_end(ended: &mut Ended) {
    // An error means that whoever would say it is gone: the end, too.
    let _ = ended.wait_for(|ended| *ended).await;
}
