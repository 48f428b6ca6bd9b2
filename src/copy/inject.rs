// SPDX-License-Identifier: Apache-2.0
//! Files that a VM is made with (`--inject`): read when it is made, kept beside its record,
//! for its owner only, and put on its disk before its workload's first start.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use mvm_files::archive::Writer;
use mvm_files::helper::{IN, Incoming};
use mvm_files::{As, Notes};
use tokio::io::AsyncWriteExt;

use super::{Request, failure, judge, pipe, say};
use crate::error::{Failure, Result};
use crate::monitor::Helper;
use crate::sys;

/// In the VM's directory, until it is on its disk.
pub const FILE: &str = "inject.tar";

/// One `--inject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inject {
    /// A file, or a directory with all that is in it.
    pub source: PathBuf,
    /// Where it is to be, absolute and clean.
    pub target: Vec<u8>,
    /// Permissions of files, in place of their own.
    pub mode: Option<u16>,
    /// User and group.
    pub owner: (u32, u32),
}

/// Packs what is asked for into a VM's directory.
pub fn write(asked: &[Inject], directory: &Path) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let path = directory.join(FILE);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    sys::owner_only(&mut options);
    let failed = |e: std::io::Error| Failure::cannot(format!("write {}", path.display()), e);
    let file: File = options.open(&path).map_err(failed)?;
    let mut tar = Writer::new(file);
    let mut notes = Notes::default();
    for one in asked {
        let name = one.target.strip_prefix(b"/").unwrap_or(&one.target).to_vec();
        let what = As { name, follow: true, owners: Some(one.owner), mode: one.mode };
        mvm_files::pack(&one.source, &what, &mut tar, &mut notes).map_err(|e| failure(&e))?;
    }
    let file = tar.finish().map_err(failed)?;
    file.sync_all().map_err(failed)?;
    say(notes.lines());
    Ok(())
}

/// Asks for what `write` packed, below the root and before the workload.
pub fn request() -> Request {
    let incoming = Incoming { place: b"/".into(), owners: true, each: true, hook: true };
    Request { name: IN, arguments: incoming.arguments() }
}

/// Passes it on to the helper, and forgets it when that has it on the VM's disk.
pub async fn put(mut helper: Helper, tar: &Path) -> Result<()> {
    let failed = |e: std::io::Error| Failure::cannot(format!("read {}", tar.display()), e);
    let mut file = File::open(tar).map_err(failed)?;
    let mut buffer = vec![0; pipe::PIECE];
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        // Who takes no more says why at its end.
        let piece = buffer.get(..count).unwrap_or_default();
        if count == 0 || helper.stdin.write_all(piece).await.is_err() {
            break;
        }
    }
    judge(&helper.end().await?)?;
    fs::remove_file(tar).map_err(|e| Failure::cannot(format!("remove {}", tar.display()), e))
}
