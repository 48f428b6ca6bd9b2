// SPDX-License-Identifier: Apache-2.0
//! The ssh-agent of this host, for a VM that is let to use it (`-A`).

use std::ffi::OsString;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

const VARIABLE: &str = "SSH_AUTH_SOCK";

/// Both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Where it is, if there is one.
pub fn place() -> Option<OsString> {
    let named = std::env::var_os(VARIABLE).filter(|place| !place.is_empty());
    named.or_else(|| cfg!(windows).then(|| r"\\.\pipe\openssh-ssh-agent".into()))
}

#[cfg(unix)]
pub async fn connect(place: &OsString) -> io::Result<Box<dyn Duplex>> {
    Ok(Box::new(tokio::net::UnixStream::connect(place).await?))
}

#[cfg(windows)]
pub async fn connect(place: &OsString) -> io::Result<Box<dyn Duplex>> {
    Ok(Box::new(tokio::net::windows::named_pipe::ClientOptions::new().open(place)?))
}
