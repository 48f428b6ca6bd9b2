// SPDX-License-Identifier: Apache-2.0
//! The files of a directory and all below it, parents first, sorted by name.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Packing;
use crate::image::error::{IoContext, Result};
use crate::image::source::SourceError;

/// Prefix of the names by which layers take files away.
const WHITEOUT: &[u8] = b".wh.";

/// One of them.
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its name in the layer.
    pub name: PathBuf,
    pub metadata: Metadata,
}

/// On the way through a tree.
pub struct Walk<'a> {
    packing: &'a Packing<'a>,
    root: Option<Found>,
    device: u64,
    /// The store's directory, to leave out.
    store: Option<(u64, u64)>,
    /// Directories that are not done, with what is left in each, last first.
    open: Vec<(PathBuf, PathBuf, Vec<OsString>)>,
}

impl<'a> Walk<'a> {
    pub fn begin(packing: &'a Packing<'a>) -> Result<Self> {
        let path = packing.root.to_owned();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SourceError::NoFile { path }.into());
            }
            Err(error) => return Err(error).at("read", &path),
        };
        if !metadata.is_dir() {
            return Err(SourceError::Kind {
                source_name: packing.source_name.to_owned(),
                is: "is no directory",
                instead: Some("oci-archive:FILE and docker-archive:FILE read archives".into()),
            }
            .into());
        }
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        Ok(Self {
            packing,
            device: metadata.dev(),
            store: fs::metadata(&packing.store).ok().map(identity),
            root: Some(Found { path, name: ".".into(), metadata }),
            open: Vec::new(),
        })
    }

    /// The next file; a directory comes before what is in it.
    pub fn next(&mut self) -> Result<Option<Found>> {
        if let Some(root) = self.root.take() {
            self.enter(&root.path, PathBuf::new())?;
            return Ok(Some(root));
        }
        while let Some((directory, name, left)) = self.open.last_mut() {
            let Some(next) = left.pop() else {
                self.open.pop();
                continue;
            };
            let (path, name) = (directory.join(&next), name.join(&next));
            if next.as_bytes().starts_with(WHITEOUT) {
                return Err(self.packing.unfit(&path, "has a name that means a removed file"));
            }
            let metadata = match fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).at("read", &path),
            };
            if self.store == Some((metadata.dev(), metadata.ino())) {
                continue;
            }
            // What is mounted in the tree is not of it, but for where it is mounted.
            if metadata.is_dir() && metadata.dev() == self.device {
                self.enter(&path, name.clone())?;
            }
            return Ok(Some(Found { path, name, metadata }));
        }
        Ok(None)
    }

    fn enter(&mut self, path: &Path, name: PathBuf) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).at("read", path)? {
            names.push(entry.at("read", path)?.file_name());
        }
        names.sort_by(|a, b| b.cmp(a));
        self.open.push((path.to_owned(), name, names));
        Ok(())
    }
}
