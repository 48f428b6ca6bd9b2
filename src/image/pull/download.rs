// SPDX-License-Identifier: Apache-2.0
//! The download of one layer: what the registry sends goes to the thread that
//! stores it, and what is wrong with it decides what is kept.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task;

use super::convert::Piece;
use super::layers::{Layer, QUEUE};
use super::storing::Storing;
use crate::image::error::{Error, Result};
use crate::image::progress::LayerEvent;
use crate::image::registry::{Registry, Start};
use crate::image::store::Partial;

/// Bytes of a layer that are received and not written and converted yet: a
/// chunk of a fast network has hundreds of KiB.
const WINDOW: usize = 2 << 20;

impl Layer {
    /// Downloads the blob, or what is missing of it. Bytes with a wrong digest
    /// are fetched once more, if there is reason to hope: the first ones came
    /// with an earlier pull, or there is another place.
    pub(super) async fn download(
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
