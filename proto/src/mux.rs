// SPDX-License-Identifier: Apache-2.0
//! Many streams over the one channel of a VM: yamux, with limits. The host
//! opens streams, the guest takes them; a stream begins with its ID, four
//! bytes big-endian. ID 0 is the control stream (TTRPC), the others are raw
//! bytes that a request names.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::poll_fn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, Mode};

/// ID of the control stream.
pub const CONTROL: u32 = 0;

/// Streams alive at once; three for each process and one for control.
pub const MAX_STREAMS: usize = 256;

/// Bytes by which the windows of busy streams may grow, together: what is on
/// the way while a window update travels, which takes milliseconds where the
/// guest is emulated.
const GROWTH: usize = 4 << 20;

/// Bytes that all streams together may have in flight towards one side. yamux
/// asks for at least 256 KiB for each stream.
const MAX_WINDOW: usize = MAX_STREAMS * 256 * 1024 + GROWTH;

/// Bytes of a stream in one frame. With its header it fills the 32 KiB that the
/// guest's kernel writes to a virtio-serial port at once.
pub const FRAME: usize = 32 * 1024 - 12;

/// How long a new stream may take to say its ID.
const ID_DEADLINE: Duration = Duration::from_secs(10);

/// One duplex stream of bytes.
pub type Stream = Compat<yamux::Stream>;

/// Opens streams. The connection lives until its peer closes it or every
/// `Opener` is dropped.
#[derive(Clone)]
pub struct Opener(mpsc::Sender<oneshot::Sender<io::Result<Stream>>>);

/// Streams that the other side opened, with their IDs.
pub struct Incoming(mpsc::Receiver<(u32, Stream)>);

/// The host's side of the channel. Must be called inside a tokio runtime.
pub fn host<T>(channel: T) -> Opener
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (opener, requests) = mpsc::channel(8);
    tokio::spawn(drive(connection(channel, Mode::Client), requests, None));
    Opener(opener)
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
    pub async fn open(&self, id: u32) -> io::Result<Stream> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.map_err(|_| closed())?;
        let mut stream = answer.await.map_err(|_| closed())??;
        stream.write_u32(id).await?;
        stream.flush().await?;
        Ok(stream)
    }

    /// Returns when the connection has ended.
    pub async fn closed(&self) {
        self.0.closed().await;
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

fn connection<T>(channel: T, mode: Mode) -> Connection<Compat<T>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut config = Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config.set_max_connection_receive_window(Some(MAX_WINDOW));
    config.set_split_send_size(FRAME);
    Connection::new(channel.compat(), config, mode)
}

/// What woke the driver.
enum Event {
    Opened(io::Result<Stream>),
    Accepted(yamux::Stream),
    NoOpener,
    Ended,
}

/// Moves bytes until the connection ends.
async fn drive<T>(
    mut connection: Connection<Compat<T>>,
    mut requests: mpsc::Receiver<oneshot::Sender<io::Result<Stream>>>,
    accepted: Option<mpsc::Sender<(u32, Stream)>>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut waiting: Option<oneshot::Sender<io::Result<Stream>>> = None;
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
    requests: &mut mpsc::Receiver<oneshot::Sender<io::Result<Stream>>>,
    waiting: &mut Option<oneshot::Sender<io::Result<Stream>>>,
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
    let mut stream = stream.compat();
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
