// SPDX-License-Identifier: Apache-2.0
//! Between streams that are awaited and code that blocks, on a thread of its own: a few
//! pieces wait in between. When one side goes, the other gets an error or the end.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Course;
use crate::sys;

/// Bytes that are moved at once.
pub const PIECE: usize = 256 << 10;

/// Pieces that wait.
const WAITING: usize = 4;

/// What blocks while it reads from `from`, and what feeds it meanwhile.
pub fn reader(
    mut from: impl AsyncRead + Unpin,
    course: &Course,
) -> (impl Future<Output = ()>, Reader) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let feeding = async move {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE);
            let read = course.given_up.run_until_cancelled(from.read_buf(&mut buffer)).await;
            match read {
                Some(Ok(count)) if count > 0 => {
                    course.moved.fetch_add(count as u64, Ordering::Relaxed)
                }
                _ => return,
            };
            if sender.send(buffer.split().freeze()).await.is_err() {
                return;
            }
        }
    };
    (feeding, Reader { receiver, piece: Bytes::new() })
}

pub struct Reader {
    receiver: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// What blocks while it writes to `to`, and what moves that on meanwhile.
pub fn writer(
    to: &mut (impl AsyncWrite + Unpin),
    course: &Course,
) -> (impl Future<Output = ()>, PieceWriter) {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(WAITING);
    let feeding = async move {
        let moving = async {
            while let Some(piece) = receiver.recv().await {
                if to.write_all(&piece).await.is_err() {
                    return;
                }
                course.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        };
        course.given_up.run_until_cancelled(moving).await;
    };
    (feeding, PieceWriter(sender))
}

pub struct PieceWriter(mpsc::Sender<Bytes>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path of this host in bytes, with slashes.
pub fn slashed(path: &Path) -> Vec<u8> {
    let mut bytes = sys::os_bytes(path.as_os_str());
    if cfg!(windows) {
        bytes.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    }
    bytes
}
