// SPDX-License-Identifier: Apache-2.0
//! The client's ssh-agent, on request: a socket that only the user can reach,
//! whose connections go to the client.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, OFlags, Uid};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::Handle;
use super::forward;
use super::input::Inputs;
use crate::users::Credentials;

/// Where sshd has them.
const PARENT: &str = "/tmp";

/// Goes with the connection.
pub struct Agent {
    directory: PathBuf,
    serving: JoinHandle<()>,
}

impl Agent {
    pub fn listen(user: &Credentials, handle: Handle, inputs: Inputs) -> io::Result<Self> {
        let directory = make_directory(Path::new(PARENT), user)?;
        let socket = socket_in(&directory);
        let listener = UnixListener::bind(&socket)
            .and_then(|listener| lchown(&socket, Some(user.uid), Some(user.gid)).map(|()| listener))
            .inspect_err(|_| drop(fs::remove_dir_all(&directory)))?;
        Ok(Self { directory, serving: tokio::spawn(serve(listener, handle, inputs)) })
    }

    /// What a session finds it by.
    pub fn variable(&self) -> Vec<u8> {
        format!("SSH_AUTH_SOCK={}", socket_in(&self.directory).display()).into_bytes()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("agent")
}

/// A directory of a name that nobody knows beforehand. It is opened before it
/// is given away: /tmp is everybody's, and may be without its sticky bit.
fn make_directory(parent: &Path, user: &Credentials) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let path = parent.join(format!("ssh-{:016x}", u64::from_ne_bytes(random)));
    fs::DirBuilder::new().mode(0o700).create(&path)?;
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = fs::File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(&path)?;
    rustix::fs::fchown(&opened, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
    Ok(path)
}

async fn serve(listener: UnixListener, handle: Handle, inputs: Inputs) {
    while let Ok((stream, _)) = listener.accept().await {
        // One after the other: the client's answers bound how many there are.
        if let Ok(channel) = handle.channel_open_agent().await {
            tokio::spawn(forward::serve(stream, channel, inputs.clone()));
        }
    }
}
