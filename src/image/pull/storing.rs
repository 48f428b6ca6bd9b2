// SPDX-License-Identifier: Apache-2.0
//! The thread that writes a blob, begun by an earlier pull or not, hashes it,
//! and hands it on to the one that converts it.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::convert::{Conversion, Piece, Pieces};
use super::layers::QUEUE;
use crate::image::digest::Hasher;
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::registry::wrong_digest;
use crate::image::store::{Partial, Store};

/// Bytes of a partial blob handed on at a time.
const REREAD: usize = 128 << 10;

/// The thread that writes a blob, and hands it on to be converted.
pub struct Storing {
    pub blob: Blob,
    /// Who served it, known at its end.
    pub registry: Arc<OnceLock<String>>,
    pub store: Store,
    pub stop: CancellationToken,
    /// What is to become of it beside.
    pub conversion: Option<Conversion>,
}

impl Storing {
    /// Takes what is there already, and pieces to the end. A wrong digest is
    /// found before anything that follows from it, such as a tar that makes no
    /// sense.
    pub fn run(
        mut self,
        partial: &mut Partial,
        there: u64,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<()> {
        let path = self.store.blob_path(&self.blob.digest);
        let Some(conversion) = self.conversion.take() else {
            self.receive(&mut pieces, partial, there, |_| {})?;
            return partial.persist(&path);
        };
        let diff_id = conversion.diff_id.clone();
        let (sender, receiver) = sync_channel(QUEUE);
        let (received, converted) = thread::scope(|scope| {
            let converting = scope.spawn(move || conversion.run(Pieces::new(receiver)));
            let sender: SyncSender<Piece> = sender;
            // A conversion that failed takes no more; the blob is verified all
            // the same, to know whose fault it was.
            let pass_on = |piece| drop(sender.send(piece));
            let received = self.receive(&mut pieces, partial, there, pass_on);
            drop(sender);
            (received, converting.join())
        });
        received?;
        let (image, summary) =
            converted.map_err(|_| Error::Worker("the conversion panicked".into()))??;
        partial.persist(&path)?;
        self.store.put_layer(&diff_id, image, &summary)
    }

    fn receive(
        &self,
        pieces: &mut mpsc::Receiver<Piece>,
        partial: &Partial,
        there: u64,
        pass_on: impl Fn(Piece),
    ) -> Result<()> {
        let mut hasher = Hasher::new(self.blob.digest.algorithm());
        self.reread(partial, there, |bytes| {
            hasher.update(&bytes);
            pass_on(Piece::Data(bytes));
        })?;
        loop {
            match pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => {
                    let bytes: Bytes = bytes;
                    partial.file().write_all(&bytes).at("write", partial.path())?;
                    hasher.update(&bytes);
                    pass_on(Piece::Data(bytes));
                }
                Some(Piece::End) => break,
                None => return Err(Error::Interrupted),
            }
        }
        let actual = hasher.finish();
        if actual != self.blob.digest {
            let registry = self.registry.get().map_or("", String::as_str);
            return Err(wrong_digest(registry, "layer", &self.blob.digest, &actual));
        }
        pass_on(Piece::End);
        Ok(())
    }

    /// Hands on the first `there` bytes of the file, and leaves it at their end.
    fn reread(&self, partial: &Partial, there: u64, mut hand_on: impl FnMut(Bytes)) -> Result<()> {
        let mut file = partial.file();
        file.seek(SeekFrom::Start(0)).at("read", partial.path())?;
        let mut left = there;
        while left > 0 {
            if self.stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(REREAD);
            let mut buffer = vec![0; length];
            file.read_exact(&mut buffer).at("read", partial.path())?;
            left -= length as u64;
            hand_on(buffer.into());
        }
        Ok(())
    }
}
