// SPDX-License-Identifier: Apache-2.0
//! One layer: its blob by digest, its disk image and facts by what the blob
//! gives when it is converted again.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use tokio_util::sync::CancellationToken;

use super::verify::{Part, State};
use super::{Store, Unfinished};
use crate::image::digest::{Digest, Hasher};
use crate::image::error::{Error, IoContext, Result};
use crate::image::layer::Summary;
use crate::image::manifest::Blob;
use crate::image::pull::{Conversion, Limits, LocalBlob};

const BUFFER: usize = 1 << 20;

/// What to check.
pub struct LayerCheck<'a> {
    pub store: &'a Store,
    pub blob: Blob,
    pub diff_id: &'a Digest,
    /// Whether a disk image that is wrong is replaced.
    pub repair: bool,
}

/// What is wrong with a layer.
pub struct LayerFlaw {
    pub part: Part,
    pub digest: Digest,
    pub state: State,
    pub detail: Option<String>,
    pub repaired: bool,
}

impl LayerCheck<'_> {
    /// Gives what is wrong; at most two things.
    pub fn run(&self) -> Result<Vec<LayerFlaw>> {
        let store = self.store;
        if let Some((state, detail)) = self.blob_problem()? {
            let digest = self.blob.digest.clone();
            let blob = LayerFlaw { part: Part::Blob, digest, state, detail, repaired: false };
            // Without the blob only gross damage shows.
            let image = (!store.has_layer(self.diff_id)).then(|| {
                let there = store.layer_path(self.diff_id).exists();
                let state = if there { State::Damaged } else { State::Missing };
                self.disk_image_flaw(state, None, false)
            });
            return Ok([blob].into_iter().chain(image).collect());
        }
        let (made, summary) = match self.convert() {
            Ok(made) => made,
            Err(error) if is_write(&error) => return Err(error),
            // The blob is what it was, and still gives no disk image: another
            // version made one, by other rules.
            Err(error) => {
                let detail = Some(error.to_string());
                return Ok(vec![self.disk_image_flaw(State::Unverified, detail, false)]);
            }
        };
        let path = store.layer_path(self.diff_id);
        let (state, detail) = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => (State::Missing, None),
            Err(error) => return Err(error).at("open", &path),
            // What the disk cannot give any more is damaged, too.
            Ok(there) if !same(&there, made.file()).unwrap_or(false) => (State::Damaged, None),
            Ok(_) if !store.facts_match(self.diff_id, &summary)? => {
                (State::Damaged, Some("the facts beside it are not its own".to_owned()))
            }
            Ok(_) => return Ok(Vec::new()),
        };
        if self.repair {
            store.put_layer(self.diff_id, made, &summary)?;
        }
        Ok(vec![self.disk_image_flaw(state, detail, self.repair)])
    }

    fn blob_problem(&self) -> Result<Option<(State, Option<String>)>> {
        let path = self.store.blob_path(&self.blob.digest);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Some((State::Missing, None)));
            }
            Err(error) => return Err(error).at("read", &path),
        };
        if length != self.blob.size {
            let detail = format!("it has {length} bytes, not {}", self.blob.size);
            return Ok(Some((State::Damaged, Some(detail))));
        }
        match self.store.blob_matches(&self.blob.digest)? {
            true => Ok(None),
            false => Ok(Some((State::Damaged, None))),
        }
    }

    fn convert(&self) -> Result<(Unfinished, Summary)> {
        let path = self.store.blob_path(&self.blob.digest);
        let blob = LocalBlob::open(&path, CancellationToken::new()).at("read", &path)?;
        let conversion = Conversion {
            ingest: self.store.layer_ingest(),
            layer: self.blob.digest.clone(),
            diff_id: self.diff_id.clone(),
            // It was within the limits when it came, whatever they are now.
            limits: Limits::none(),
        };
        conversion.run(blob)
    }

    fn disk_image_flaw(&self, state: State, detail: Option<String>, repaired: bool) -> LayerFlaw {
        let digest = self.diff_id.clone();
        LayerFlaw { part: Part::DiskImage, digest, state, detail, repaired }
    }
}

impl Store {
    /// Whether the bytes of a blob are what its name says.
    pub(super) fn blob_matches(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        let mut file = File::open(&path).at("open", &path)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; BUFFER];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish() == *digest),
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the disk cannot give any more is damaged, too.
                Err(error) => {
                    tracing::warn!(path = %path.display(), "{error}");
                    return Ok(false);
                }
            }
        }
    }

    /// Makes a layer count as not there. A disk image in use keeps its file.
    pub(super) fn forget_layer(&self, diff_id: &Digest, in_use: bool) -> Result<()> {
        let image = Some(self.layer_path(diff_id)).filter(|_| !in_use);
        for path in image.into_iter().chain([self.facts_path(diff_id)]) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).at("remove", &path);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether it failed for want of a place to write, and not for what was read.
fn is_write(error: &Error) -> bool {
    match error {
        Error::Io { .. } => true,
        Error::Layer { source, .. } => {
            matches!(source, crate::image::layer::LayerError::Write(_))
        }
        _ => false,
    }
}

fn same(mut one: &File, mut other: &File) -> io::Result<bool> {
    let length = one.metadata()?.len();
    if length != other.metadata()?.len() {
        return Ok(false);
    }
    other.seek(SeekFrom::Start(0))?;
    let (mut left, mut right) = (vec![0; BUFFER], vec![0; BUFFER]);
    let mut done = 0;
    while done < length {
        let step = usize::try_from(length - done).unwrap_or(BUFFER).min(BUFFER);
        one.read_exact(&mut left[..step])?;
        other.read_exact(&mut right[..step])?;
        if left[..step] != right[..step] {
            return Ok(false);
        }
        done += step as u64;
    }
    Ok(true)
}
