// SPDX-License-Identifier: Apache-2.0
//! Windows: files and directories, with the modes that most files have where there are none,
//! and symbolic links as links.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{As, Bulk, below, write_file};
use crate::archive::{Entry, Kind, Writer};
use crate::error::{Doing, Error, Notes, Result};

pub fn pack<W: Write>(
    path: &Path,
    what: &As,
    tar: &mut Writer<W>,
    bulk: Bulk<File, W>,
    notes: &mut Notes,
) -> Result<()> {
    let mut left: Vec<(PathBuf, Vec<u8>, bool)> = vec![(path.into(), what.name.clone(), true)];
    while let Some((path, name, first)) = left.pop() {
        let follow = first && (what.follow || path.as_os_str().as_encoded_bytes().ends_with(b"\\"));
        let metadata = match follow {
            true => fs::metadata(&path),
            false => fs::symlink_metadata(&path),
        };
        let metadata = metadata.doing("read", &name)?;
        if metadata.is_dir() {
            begin(tar, &entry(what, Kind::Directory, &name, &metadata))?;
            let mut names: Vec<OsString> = Vec::new();
            for entry in fs::read_dir(&path).doing("read", &name)? {
                names.push(entry.doing("read", &name)?.file_name());
            }
            names.sort_unstable_by(|a, b| b.cmp(a));
            for below_it in names {
                let text = below_it.to_string_lossy().into_owned();
                left.push((path.join(&below_it), below(&name, text.as_bytes()), false));
            }
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).doing("read", &name)?;
            let link = target.to_string_lossy().replace('\\', "/").into_bytes();
            begin(tar, &Entry { link, ..entry(what, Kind::Symlink, &name, &metadata) })?;
        } else {
            let mut file = File::open(&path).doing("read", &name)?;
            let size = file.metadata().doing("read", &name)?.len();
            let entry = Entry { size, ..entry(what, Kind::File, &name, &metadata) };
            let seek = |file: &mut File, to| -> io::Result<()> {
                file.seek(SeekFrom::Start(to)).map(drop)
            };
            write_file(&entry, &mut file, seek, bulk, tar, notes)?;
        }
    }
    Ok(())
}

fn begin<W: Write>(tar: &mut Writer<W>, entry: &Entry) -> Result<()> {
    tar.begin(entry).map_err(Error::Stream)
}

fn entry(what: &As, kind: Kind, path: &[u8], metadata: &Metadata) -> Entry {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mtime = since.map_or((0, 0), |since| {
        (i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos())
    });
    let (uid, gid) = what.owners.unwrap_or((0, 0));
    let mode = match kind {
        Kind::File => what.mode.unwrap_or(0o755),
        Kind::Symlink => 0o777,
        _ => 0o755,
    };
    Entry {
        path: path.to_vec(),
        link: Vec::new(),
        kind,
        mode,
        uid,
        gid,
        mtime,
        size: 0,
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}
