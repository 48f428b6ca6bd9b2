// SPDX-License-Identifier: Apache-2.0
//! The layers of a pull, several at once. Each is received by a task, written
//! and hashed by one thread and converted by another, all as it streams.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use super::convert::{Conversion, LocalBlob};
use super::{Limits, PullOptions};
use crate::image::digest::{Algorithm, Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Blob;
use crate::image::progress::{LayerEvent, Progress};
use crate::image::registry::Registry;
use crate::image::store::{Partial, Store};

/// Layers in flight, as many as Docker's default.
const CONCURRENT: usize = 3;
/// Chunks between two stages.
pub(super) const QUEUE: usize = 32;

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
pub(super) struct Shared {
    pub(super) store: Store,
    origin: Origin,
    pub(super) progress: Arc<dyn Progress>,
    limits: Limits,
    turn: Semaphore,
    pub(super) stop: CancellationToken,
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
    // What could be gone on with is kept, but not in place of the room it needs.
    if result.as_ref().is_err_and(Error::is_full_disk) {
        for blob in blobs {
            Partial::discard(&store.blob_ingest(), &blob.digest);
        }
    }
    result
}

pub(super) struct Layer {
    pub(super) shared: Arc<Shared>,
    pub(super) blob: Blob,
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
        let mut partial = tokio::select! {
            partial = Partial::claim(&ingest, &self.blob.digest) => partial?,
            () = shared.stop.cancelled() => return Err(Error::Interrupted),
        };
        // Another pull may have been at it until now.
        let state = self.state();
        if state.0 {
            partial.spoil();
        }
        match state {
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

    /// What is to become of the blob.
    pub(super) fn conversion(&self) -> Conversion {
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
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Worker(error.to_string())))
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
