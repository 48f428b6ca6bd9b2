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

/// What a process writes: as long as anyone can, and once the process itself has
/// ended, as much as it can have left. Whom it started may hold the pipe or the
/// terminal open for ever, and go on writing.
pub struct Output<R> {
    from: R,
    ended: Ended,
    /// Bytes that may still come; none before the end.
    left: Option<usize>,
}

impl<R: AsyncRead + AsFd + Unpin> Output<R> {
    pub fn new(from: R, ended: Ended) -> Self {
        Self { from, ended, left: None }
    }

    /// The next bytes; no bytes, or an error, are the end.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = match self.left {
            Some(left) => left,
            None => {
                tokio::select! {
                    biased;
                    () = process_end(&mut self.ended) => {}
                    read = self.from.read(buffer) => return read,
                }
                // A terminal holds less than a pipe of ours.
                rustix::pipe::fcntl_getpipe_size(&self.from).unwrap_or(PIPE)
            }
        };
        // The runtime may not have heard of the last bytes: ask the kernel.
        let room = left.min(buffer.len());
        let count = read_now(&self.from, &mut buffer[..room])?;
        self.left = Some(left.saturating_sub(count));
        Ok(count)
    }
}

/// Copies what a process writes to its end (`Output`), and then ends the stream.
pub async fn copy_out<R>(pipe: R, mut stream: Stream, ended: Ended)
where
    R: AsyncRead + AsFd + Unpin,
{
    let mut output = Output::new(pipe, ended);
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() {
            // The host reads no more: the process gets EPIPE.
            return;
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn all<R: AsyncRead + AsFd + Unpin>(mut output: Output<R>) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; BUFFER]);
        while let Ok(length @ 1..) = output.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..length]);
        }
        all
    }

    #[tokio::test]
    async fn what_a_process_left_is_read_and_not_what_others_add_for_ever() {
        // Held open and quiet.
        let (end, pipe) = output_pipe().unwrap();
        let mut end = std::fs::File::from(end);
        end.write_all(b"the last words").unwrap();
        let (_sender, ended) = watch::channel(true);
        assert_eq!(all(Output::new(pipe, ended.clone())).await, b"the last words");
        // Held open and written to.
        let (end, pipe) = output_pipe().unwrap();
        let flood = std::thread::spawn(move || {
            let mut end = std::fs::File::from(end);
            while end.write_all(&[b'y'; 4096]).is_ok() {}
        });
        assert!(all(Output::new(pipe, ended)).await.len() <= PIPE);
        flood.join().unwrap();
        // Nobody can write.
        let (end, pipe) = output_pipe().unwrap();
        drop(end);
        let (_sender, runs) = watch::channel(false);
        assert!(all(Output::new(pipe, runs)).await.is_empty());
    }
}
