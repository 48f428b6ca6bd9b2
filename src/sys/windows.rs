// SPDX-License-Identifier: Apache-2.0
//! Windows. Hosting a VM here waits for the Hyper-V backend; preflight refuses
//! before any of the functions that answer "unsupported" is reached.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::Stamp;

/// A local connection between processes of this user.
pub type Connection = tokio::net::windows::named_pipe::NamedPipeClient;

/// Waits for local connections.
pub struct Listener;

impl Listener {
    pub async fn accept(&self) -> io::Result<(Connection, ())> {
        Err(unsupported())
    }
}

/// The user's profile directory is private already.
pub fn owner_only(_options: &mut OpenOptions) {}

pub fn create_private_dir_all(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

/// Changes when a file is replaced or written to, unless someone sets it back.
pub fn file_identity(metadata: &Metadata) -> String {
    format!(
        "size {} made {} modified {}",
        metadata.file_size(),
        metadata.creation_time(),
        metadata.last_write_time(),
    )
}

/// Bytes of a file; what holes save is not told here.
pub fn allocated_bytes(metadata: &Metadata) -> u64 {
    metadata.file_size()
}

/// A directory below which files are opened.
pub struct Folder(PathBuf);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|_| Self(path.to_owned()))
    }

    /// Opens a file of it for reading.
    pub fn file(&self, name: &str) -> io::Result<File> {
        File::open(self.0.join(name))
    }

    /// What is to be seen of changes of a file of it.
    pub fn stamp(&self, name: &str) -> io::Result<Stamp> {
        std::fs::metadata(self.0.join(name)).map(|metadata| stamp_of(&metadata))
    }
}

/// What is to be seen of a file's changes.
pub fn stamp(file: &File) -> io::Result<Stamp> {
    file.metadata().map(|metadata| stamp_of(&metadata))
}

fn stamp_of(metadata: &Metadata) -> Stamp {
    // Windows counts 100 ns since 1601.
    const EPOCH: i64 = 116_444_736_000_000_000;
    let written = i64::try_from(metadata.last_write_time()).unwrap_or(i64::MAX);
    let written = written.saturating_sub(EPOCH).saturating_mul(100);
    Stamp {
        inode: metadata.creation_time(),
        size: metadata.file_size(),
        modified: written,
        changed: written,
    }
}

/// There are no pipes among the files of a directory here.
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Not attempted here.
pub fn clone_file(_from: &File, _to: &File) -> bool {
    false
}

/// NTFS journals renames; a directory cannot be flushed.
pub fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Bytes of an argument or path as the guest is to see them.
pub fn os_bytes(text: &OsStr) -> Vec<u8> {
    text.to_string_lossy().into_owned().into_bytes()
}

pub fn connection_pair() -> io::Result<(Connection, Stdio)> {
    Err(unsupported())
}

pub fn spawn_monitor(
    _program: &Path,
    _arguments: &[&OsStr],
    _hidden: &[String],
    _connection: Stdio,
    _lock: File,
    _log: File,
) -> io::Result<Child> {
    Err(unsupported())
}

pub fn inherited_by_monitor() -> io::Result<(Connection, File)> {
    Err(unsupported())
}

/// Handles are not inherited unless asked for.
pub fn close_inherited() {}

pub fn detach_from_terminal() {}

pub fn listen(_path: &Path) -> io::Result<Listener> {
    Err(unsupported())
}

pub async fn connect(_path: &Path) -> io::Result<Connection> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "mvm cannot host VMs on Windows yet")
}

/// NTFS copies holes of a sparse file as such.
pub fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::copy(from, to).map(drop)
}

/// Ctrl-C, as the guest's SIGINT.
pub fn signals() -> io::Result<tokio::sync::mpsc::Receiver<u32>> {
    const SIGINT: u32 = 2;
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && sender.send(SIGINT).await.is_ok() {}
    });
    Ok(receiver)
}

/// It ends with the process here.
pub fn end_stdout() -> io::Result<()> {
    Ok(())
}

/// CPU time that this process has used, microseconds; not told here.
pub fn cpu_micros() -> u64 {
    0
}
