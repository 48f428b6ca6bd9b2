// SPDX-License-Identifier: Apache-2.0
//! Many streams over the one channel of a VM: yamux, with limits. The host
//! opens streams, the guest takes them; a stream begins with its ID, four
//! bytes big-endian. ID 0 is the control stream (TTRPC), the others are raw
//! bytes that a request names.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode};

/// ID of the control stream.
pub const CONTROL: u32 = 0;

/// Streams that the host has open at once; three for each process and one for
/// control. To ask for more is an error that harms no other.
pub const MAX_STREAMS: usize = 256;

/// yamux ends the whole connection over one stream too many, and counts those
/// that were dropped and are not cleaned up yet, too: there is room for as many
/// of these again.
const MAX_OF_YAMUX: usize = 2 * MAX_STREAMS;

/// Bytes by which the windows of busy streams may grow, together: what is on
/// the way while a window update travels, which takes milliseconds where the
/// guest is emulated.
const GROWTH: usize = 4 << 20;

/// Bytes that all streams that yamux counts may have in flight towards one side,
/// of which it asks for at least 256 KiB for each.
const MAX_WINDOW: usize = MAX_OF_YAMUX * 256 * 1024 + GROWTH;

/// Bytes of a stream in one frame. With its header it fills the 32 KiB that the
/// guest's kernel writes to a virtio-serial port at once.
pub const FRAME: usize = 32 * 1024 - 12;

/// How long a new stream may take to say its ID.
const ID_DEADLINE: Duration = Duration::from_secs(10);

/// One duplex stream of bytes.
pub struct Stream {
    stream: Compat<yamux::Stream>,
    /// Its place among the host's.
    _place: Option<OwnedSemaphorePermit>,
}

type Opening = oneshot::Sender<io::Result<Compat<yamux::Stream>>>;

/// Opens streams. The connection lives until its peer closes it or every
/// `Opener` is dropped.
#[derive(Clone)]
pub struct Opener {
    requests: mpsc::Sender<Opening>,
    places: Arc<Semaphore>,
}

/// Streams that the other side opened, with their IDs.
pub struct Incoming(mpsc::Receiver<(u32, Stream)>);

/// The host's side of the channel. Must be called inside a tokio runtime.
pub fn host<T>(channel: T) -> Opener
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (opener, requests) = mpsc::channel(8);
    tokio::spawn(drive(connection(channel, Mode::Client), requests, None));
    Opener { requests: opener, places: Arc::new(Semaphore::new(MAX_STREAMS)) }
}

/// The guest's side of the channel. Must be called inside a tokio runtime.
pub fn guest<T>(channel: T) -> Incoming
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (accepted, incoming) = mpsc::channel(MAX_STREAMS);
    // The guest opens nothing: the sender is gone and only the peer's end, or
    // that nobody takes its streams, ends the connection.
    let (_, requests) = mpsc::channel(1);
    tokio::spawn(drive(connection(channel, Mode::Server), requests, Some(accepted)));
    Incoming(incoming)
}

impl Opener {
    /// Opens a stream and names it. `id` must be unused on this connection.
    ///
    /// # Errors
    /// `ResourceBusy` where there are `MAX_STREAMS` already.
    pub async fn open(&self, id: u32) -> io::Result<Stream> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let (reply, answer) = oneshot::channel();
        self.requests.send(reply).await.map_err(|_| closed())?;
        let stream = answer.await.map_err(|_| closed())??;
        let mut stream = Stream { stream, _place: Some(place) };
        stream.write_u32(id).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Returns when the connection has ended.
    pub async fn closed(&self) {
        self.requests.closed().await;
    }
}

impl Incoming {
    /// The next stream; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<(u32, Stream)> {
        self.0.recv().await
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the channel is closed")
}

fn full() -> io::Error {
    let message = format!("there are {MAX_STREAMS} streams, and no more can be");
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn connection<T>(channel: T, mode: Mode) -> Connection<Compat<T>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = Config::default();
    config.set_max_num_streams(MAX_OF_YAMUX);
    config.set_max_connection_receive_window(Some(MAX_WINDOW));
    config.set_split_send_size(FRAME);
    Connection::new(channel.compat(), config, mode)
}

/// What woke the driver.
enum Event {
    Opened(io::Result<Compat<yamux::Stream>>),
    Accepted(yamux::Stream),
    NoOpener,
    Ended,
}

/// Moves bytes until the connection ends.
async fn drive<T>(
    mut connection: Connection<Compat<T>>,
    mut requests: mpsc::Receiver<Opening>,
    accepted: Option<mpsc::Sender<(u32, Stream)>>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut waiting: Option<Opening> = None;
    // The side that takes streams has no openers to lose.
    let openers = accepted.is_none();
    loop {
        let event =
            poll_fn(|cx| poll_event(cx, &mut connection, &mut requests, &mut waiting, openers));
        match event.await {
            Event::Opened(stream) => {
                if let Some(reply) = waiting.take() {
                    let _ = reply.send(stream);
                }
            }
            Event::Accepted(stream) => match &accepted {
                Some(accepted) if !accepted.is_closed() => {
                    tokio::spawn(identify(stream, accepted.clone()));
                }
                // Dropping it resets it: the guest opens nothing by itself.
                _ => drop(stream),
            },
            Event::NoOpener => {
                let _ = poll_fn(|cx| connection.poll_close(cx)).await;
                return;
            }
            Event::Ended => return,
        }
    }
}

fn poll_event<T>(
    cx: &mut Context<'_>,
    connection: &mut Connection<Compat<T>>,
    requests: &mut mpsc::Receiver<Opening>,
    waiting: &mut Option<Opening>,
    openers: bool,
) -> Poll<Event>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    if waiting.is_none() && openers {
        match requests.poll_recv(cx) {
            Poll::Ready(Some(request)) => *waiting = Some(request),
            Poll::Ready(None) => return Poll::Ready(Event::NoOpener),
            Poll::Pending => {}
        }
    }
    if waiting.is_some()
        && let Poll::Ready(opened) = connection.poll_new_outbound(cx)
    {
        let opened = opened.map(FuturesAsyncReadCompatExt::compat).map_err(io::Error::other);
        return Poll::Ready(Event::Opened(opened));
    }
    match connection.poll_next_inbound(cx) {
        Poll::Ready(Some(Ok(stream))) => Poll::Ready(Event::Accepted(stream)),
        Poll::Ready(Some(Err(_)) | None) => Poll::Ready(Event::Ended),
        Poll::Pending => Poll::Pending,
    }
}

/// Reads a new stream's ID and hands it on; one that does not say it is reset.
async fn identify(stream: yamux::Stream, accepted: mpsc::Sender<(u32, Stream)>) {
    let mut stream = Stream { stream: stream.compat(), _place: None };
    if let Ok(Ok(id)) = tokio::time::timeout(ID_DEADLINE, stream.read_u32()).await {
        let _ = accepted.send((id, stream)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_carry_bytes_and_ends_apart() {
        let (a, b) = tokio::io::duplex(4096);
        let (opener, mut incoming) = (host(a), guest(b));
        let mut one = opener.open(1).await.unwrap();
        let mut two = opener.open(2).await.unwrap();
        two.write_all(b"two").await.unwrap();
        two.shutdown().await.unwrap();
        one.write_all(&vec![b'1'; 1_000]).await.unwrap();
        one.shutdown().await.unwrap();
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..2 {
            let (id, mut stream) = incoming.accept().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            stream.write_all(b"answer").await.unwrap();
            stream.shutdown().await.unwrap();
            seen.insert(id, bytes.len());
        }
        assert_eq!(seen, [(1, 1_000), (2, 3)].into());
        let mut answer = String::new();
        one.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn an_unread_stream_does_not_stop_another() {
        let (a, b) = tokio::io::duplex(4096);
        let (opener, mut incoming) = (host(a), guest(b));
        let mut unread = opener.open(1).await.unwrap();
        let blocked = tokio::spawn(async move { unread.write_all(&vec![0; 8 << 20]).await });
        let (_, held) = incoming.accept().await.unwrap();
        let mut free = opener.open(2).await.unwrap();
        let (_, mut other) = incoming.accept().await.unwrap();
        let reader = tokio::spawn(async move {
            let mut sum = 0;
            let mut buffer = [0; 4096];
            while sum < 1 << 20 {
                sum += other.read(&mut buffer).await.unwrap();
            }
            sum
        });
        free.write_all(&vec![7; 1 << 20]).await.unwrap();
        assert_eq!(reader.await.unwrap(), 1 << 20);
        assert!(!blocked.is_finished());
        drop(held);
        blocked.abort();
    }

    #[tokio::test]
    async fn one_stream_too_many_harms_no_other() {
        let (a, b) = tokio::io::duplex(4096);
        let (opener, mut incoming) = (host(a), guest(b));
        let accepting = tokio::spawn(async move {
            while let Some((_, mut stream)) = incoming.accept().await {
                tokio::spawn(async move {
                    let _ = stream.write_all(b"x").await;
                    let _ = stream.read_u8().await;
                });
            }
        });
        // The next generation does not wait until the former is cleaned up.
        for _ in 0..3 {
            let mut streams = Vec::new();
            for id in 0..MAX_STREAMS {
                streams.push(opener.open(id as u32).await.unwrap());
            }
            for stream in &mut streams {
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
            }
            let error = opener.open(0).await.err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
            drop(streams);
        }
        assert!(!accepting.is_finished());
    }

    #[tokio::test]
    async fn the_end_of_the_peer_is_seen_on_both_sides() {
        let (a, b) = tokio::io::duplex(4096);
        let (opener, mut incoming) = (host(a), guest(b));
        let stream = opener.open(1).await.unwrap();
        assert!(incoming.accept().await.is_some());
        drop((stream, opener));
        assert!(incoming.accept().await.is_none());

        let (a, b) = tokio::io::duplex(4096);
        let opener = host(a);
        drop(b);
        opener.closed().await;
        assert!(opener.open(1).await.is_err());
    }
}
