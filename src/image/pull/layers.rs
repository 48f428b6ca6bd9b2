// SPDX-License-Identifier: Apache-2.0
//! The layers of a pull, several at once. Each is received by a task, written
//! and hashed by one thread and converted by another, all as it streams.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use super::convert::{Conversion, LocalBlob, Piece, Pieces};
use super::{Limits, PullOptions};
use crate::image::digest::{Algorithm, Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::progress::{LayerEvent, Progress};
use crate::image::registry::{Registry, Start, wrong_digest};
use crate::image::store::{Partial, Store};

/// Layers in flight, as many as Docker's default.
const CONCURRENT: usize = 3;
/// Chunks between two stages.
const QUEUE: usize = 32;
/// Bytes of a layer that are received and not written and converted yet: a
/// chunk of a fast network has hundreds of KiB.
const WINDOW: usize = 2 << 20;
/// Bytes of a partial blob handed on at a time.
const REREAD: usize = 128 << 10;

/// Where blobs come from that the store has not.
#[derive(Clone)]
pub enum Origin {
    /// A registry: downloaded, hashed and converted as they come.
    Registry(Box<Registry>),
    /// Files of this machine: brought into the store, then converted from there.
    Local(Arc<dyn LocalBlobs>),
}

/// Blobs of a local source.
pub trait LocalBlobs: Send + Sync {
    /// Puts a blob into the store, its size and digest verified. Blocks; ends
    /// with [`Error::Interrupted`] soon after `stop` is cancelled.
    fn put(&self, blob: &Blob, store: &Store, stop: &CancellationToken) -> Result<()>;
}

/// What all layers of a pull share.
struct Shared {
    store: Store,
    origin: Origin,
    progress: Arc<dyn Progress>,
    limits: Limits,
    turn: Semaphore,
    stop: CancellationToken,
}

/// Sees to it that the blob and the disk image of every layer are in the store.
pub async fn fetch(
    store: &Store,
    origin: &Origin,
    blobs: &[Blob],
    diff_ids: &[Digest],
    options: &PullOptions,
) -> Result<()> {
    let stop = CancellationToken::new();
    // Threads cannot be aborted as tasks can: if this future is dropped, they
    // hear of it here.
    let _stop_at_the_end = stop.clone().drop_guard();
    let shared = Arc::new(Shared {
        store: store.clone(),
        origin: origin.clone(),
        progress: options.progress.clone(),
        limits: options.limits.clone(),
        turn: Semaphore::new(CONCURRENT),
        stop: stop.clone(),
    });
    let mut tasks = JoinSet::new();
    let mut seen = HashSet::new();
    for (blob, diff_id) in blobs.iter().zip(diff_ids) {
        if seen.insert((&blob.digest, diff_id)) {
            shared.progress.layer(&blob.digest, LayerEvent::Waiting);
            let layer =
                Layer { shared: shared.clone(), blob: blob.clone(), diff_id: diff_id.clone() };
            tasks.spawn(layer.fetch());
        }
    }
    let mut result = Ok(());
    // After a failure the others are stopped, and waited for: when this returns,
    // no unfinished file is left.
    while let Some(ended) = tasks.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(Error::Worker(error.to_string())));
        if let (Ok(()), Err(error)) = (&result, ended) {
            result = Err(error);
            stop.cancel();
        }
    }
    result
}

struct Layer {
    shared: Arc<Shared>,
    blob: Blob,
    diff_id: Digest,
}

impl Layer {
    async fn fetch(self) -> Result<()> {
        let shared = self.shared.clone();
        let _turn = tokio::select! {
            turn = shared.turn.acquire() => turn.map_err(|_| Error::Interrupted)?,
            () = shared.stop.cancelled() => return Err(Error::Interrupted),
        };
        if self.state() == (true, true) {
            shared.progress.layer(&self.blob.digest, LayerEvent::Exists);
            return Ok(());
        }
        let ingest = shared.store.blob_ingest();
        let partial = tokio::select! {
            partial = Partial::claim(&ingest, &self.blob.digest) => partial?,
            () = shared.stop.cancelled() => return Err(Error::Interrupted),
        };
        // Another pull may have been at it until now.
        match self.state() {
            (true, true) => {}
            (true, false) if self.convert_local().await? => {}
            // A disk image without its blob is of use to run, but the blob store
            // promises whole images to other tools.
            (_, has_image) => match &shared.origin {
                Origin::Registry(registry) => self.download(registry, partial, !has_image).await?,
                Origin::Local(blobs) => self.bring(blobs.clone(), !has_image).await?,
            },
        }
        shared.progress.layer(&self.blob.digest, LayerEvent::Done);
        Ok(())
    }

    /// Whether the store has the blob, and the disk image.
    fn state(&self) -> (bool, bool) {
        let store = &self.shared.store;
        (store.has_blob(&self.blob), store.has_layer(&self.diff_id))
    }

    fn conversion(&self) -> Conversion {
        Conversion {
            ingest: self.shared.store.layer_ingest(),
            layer: self.blob.digest.clone(),
            diff_id: self.diff_id.clone(),
            limits: self.shared.limits.clone(),
        }
    }

    /// Converts the blob of the store. Returns `false`, without the blob, if it
    /// turned out damaged.
    async fn convert_local(&self) -> Result<bool> {
        let store = &self.shared.store;
        let path = store.blob_path(&self.blob.digest);
        let local = LocalBlob::open(&path, self.shared.stop.clone()).at("read", &path)?;
        let (conversion, store, diff_id) = (self.conversion(), store.clone(), self.diff_id.clone());
        let (damaged, digest) = (path.clone(), self.blob.digest.clone());
        blocking(move || match conversion.run(local) {
            Ok((image, summary)) => store.put_layer(&diff_id, image, &summary).map(|()| true),
            Err(Error::Interrupted) => Err(Error::Interrupted),
            // Is it the layer, or has the disk lost something since?
            Err(error) if digest_of(&damaged, digest.algorithm())? == digest => Err(error),
            Err(_) => {
                tracing::warn!(blob = %digest, "a stored blob is damaged and pulled again");
                fs::remove_file(&damaged).at("remove", &damaged)?;
                Ok(false)
            }
        })
        .await
    }

    /// Gets the blob from a local source.
    async fn bring(&self, blobs: Arc<dyn LocalBlobs>, convert: bool) -> Result<()> {
        let (shared, blob) = (self.shared.clone(), self.blob.clone());
        blocking(move || blobs.put(&blob, &shared.store, &shared.stop)).await?;
        match convert && !self.convert_local().await? {
            // Between the two somebody has damaged it.
            true => Err(Error::Worker(format!("blob {} changed in the store", self.blob.digest))),
            false => Ok(()),
        }
    }

    /// Downloads the blob, or what is missing of it. Bytes with a wrong digest
    /// are fetched once more, if there is reason to hope: the first ones came
    /// with an earlier pull, or there is another place.
    async fn download(
        &self,
        registry: &Registry,
        mut partial: Partial,
        convert: bool,
    ) -> Result<()> {
        let mut start = Start { offset: partial.length()?, place: 0 };
        if start.offset > self.blob.size {
            start.offset = 0;
        }
        let mut last = false;
        loop {
            partial.cut(start.offset)?;
            let transferred = self.transfer(registry, partial, start, convert).await;
            partial = transferred.partial?;
            match (transferred.result, transferred.next_place) {
                (Err(error @ Error::WrongDigest { .. }), next) if !last => {
                    start.place = match (start.offset, next) {
                        (1.., _) => start.place,
                        (0, Some(next)) => next,
                        (0, None) => return keep_if_good(partial, Err(error)),
                    };
                    tracing::warn!("{error}; fetching it once more");
                    (start.offset, last) = (0, true);
                }
                (result, _) => return keep_if_good(partial, result),
            }
        }
    }

    /// One attempt at all that is missing.
    async fn transfer(
        &self,
        registry: &Registry,
        partial: Partial,
        start: Start,
        convert: bool,
    ) -> Transferred {
        let shared = &self.shared;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut reader = registry.blob(&self.blob, "layer", start);
        let storing = Storing {
            blob: self.blob.clone(),
            registry: Arc::default(),
            store: shared.store.clone(),
            stop: shared.stop.clone(),
            conversion: convert.then(|| self.conversion()),
        };
        let (total, host) = (self.blob.size, storing.registry.clone());
        let told = |current| LayerEvent::Downloading { current, total };
        shared.progress.layer(&self.blob.digest, told(start.offset));
        let storing = task::spawn_blocking(move || {
            let mut partial = partial;
            let result = storing.run(&mut partial, start.offset, receiver);
            (partial, result)
        });
        // Dropping the sender without an end tells that there is none.
        let incoming = &mut reader;
        let window = Arc::new(Semaphore::new(WINDOW));
        let feeding = async move {
            let mut current = start.offset;
            loop {
                let chunk = tokio::select! {
                    chunk = incoming.next() => chunk?,
                    () = shared.stop.cancelled() => return Err(Error::Interrupted),
                };
                let Some(chunk) = chunk else { break };
                current += chunk.len() as u64;
                let Ok(room) = Held::room(&window, &chunk).await else { return Ok(()) };
                let chunk = Bytes::from_owner(Held { chunk, _room: room });
                // Nobody receives once storing has failed, and that says why.
                if sender.send(Piece::Data(chunk)).await.is_err() {
                    return Ok(());
                }
                shared.progress.layer(&self.blob.digest, told(current));
            }
            let _ = host.set(incoming.host().to_owned());
            let _ = sender.send(Piece::End).await;
            Ok(())
        };
        let (fed, stored) = futures::join!(feeding, storing);
        let next_place = reader.next_place();
        match stored {
            Ok((partial, stored)) => {
                Transferred { partial: Ok(partial), result: fed.and(stored), next_place }
            }
            Err(error) => {
                let lost = Error::Worker(error.to_string());
                Transferred { partial: Err(lost), result: Ok(()), next_place }
            }
        }
    }
}

/// A chunk with its part of the window, which is free again when nobody needs
/// the chunk any more.
struct Held {
    chunk: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Held {
    async fn room(
        window: &Arc<Semaphore>,
        chunk: &Bytes,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let bytes = u32::try_from(chunk.len().min(WINDOW)).unwrap_or(u32::MAX);
        window.clone().acquire_many_owned(bytes).await
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

/// How an attempt ended.
struct Transferred {
    partial: Result<Partial>,
    result: Result<()>,
    /// Where else the blob could be had.
    next_place: Option<usize>,
}

/// What came of a blob stays for the next pull if only the connection failed.
fn keep_if_good(mut partial: Partial, result: Result<()>) -> Result<()> {
    let cut = |error: &Error| {
        matches!(
            error,
            Error::Truncated { .. }
                | Error::Timeout(_)
                | Error::Unreachable { .. }
                | Error::Protocol { .. }
                | Error::TooManyRequests { .. }
                | Error::Unauthorized { .. }
                | Error::LoginRefused { .. }
                | Error::Interrupted
        )
    };
    if result.as_ref().is_err_and(|error| !cut(error)) {
        partial.spoil();
    }
    result
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Worker(error.to_string())))
}

/// The thread that writes a blob, and hands it on to be converted.
struct Storing {
    blob: Blob,
    /// Who served it, known at its end.
    registry: Arc<OnceLock<String>>,
    store: Store,
    stop: CancellationToken,
    conversion: Option<Conversion>,
}

impl Storing {
    /// Takes what is there already, and pieces to the end. A wrong digest is
    /// found before anything that follows from it, such as a tar that makes no
    /// sense.
    fn run(
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

fn digest_of(path: &Path, algorithm: Algorithm) -> Result<Digest> {
    let mut file = File::open(path).at("read", path)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
