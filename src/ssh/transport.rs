// SPDX-License-Identifier: Apache-2.0
//! The way to a VM's SSH server: a helper in the guest, whose stdin and stdout
//! are one connection.

use std::pin::Pin;

use tokio::io::{
    AsyncReadExt, AsyncWriteExt, DuplexStream, Join, SimplexStream, WriteHalf, join, simplex,
};

use super::FAILED;
use crate::error::{Failure, Result};
use crate::monitor::{self, ExecRequest, Helper, HelperEnd};
use crate::state::Record;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// Bytes that this side can have to send and the server not taken: the window
/// that it opens, for a session and for an agent, with what is around them. A
/// client that waited to send would not read meanwhile; nor would the server,
/// which waits for the client to read.
const WAITING: usize = 8 << 20;

/// One connection to a VM's server, for russh.
pub type Stream = Join<DuplexStream, WriteHalf<SimplexStream>>;

/// Returns with the server's end. It is hung up on when this goes.
pub type Ending = Pin<Box<dyn Future<Output = Result<HelperEnd>> + Send>>;

pub async fn open(record: &Record) -> Result<(Stream, Ending)> {
    let (mut stdin, stdout, ending) = connect(record).await?.split();
    let (mut waiting, writer) = simplex(WAITING);
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut waiting, &mut stdin).await;
        let _ = stdin.shutdown().await;
    });
    Ok((join(stdout, writer), Box::pin(ending)))
}

async fn connect(record: &Record) -> Result<Helper> {
    let request = ExecRequest::helper(monitor::SSH_SERVER, &[]);
    monitor::helper(record, request).await.map_err(|e| e.status(FAILED))
}

/// Why a server is not there any more. It has ended, or is about to.
pub async fn why(ending: Ending, otherwise: impl std::fmt::Display) -> Failure {
    let failure = match ending.await {
        Err(failure) => failure,
        Ok(end) if end.words.is_empty() => Failure::new(otherwise.to_string()),
        Ok(end) => Failure::new(format!("{otherwise}: {}", end.words)),
    };
    failure.status(FAILED)
}

/// Moves bytes between stdin and stdout of this process and the server, until
/// that has ended (`--stdio`).
pub async fn pass(record: &Record) -> Result<u8> {
    let (mut to_vm, mut from_vm, ending) = connect(record).await?.split();
    let inward = async move {
        let mut stdin = tokio::io::stdin();
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = stdin.read(&mut buffer).await {
            if to_vm.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
        let _ = to_vm.shutdown().await;
    };
    let outward = async move {
        let mut stdout = tokio::io::stdout();
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = from_vm.read(&mut buffer).await {
            // Who reads no more wants no more: so does the server.
            if stdout.write_all(&buffer[..count]).await.is_err() || stdout.flush().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = async { tokio::join!(inward, std::future::pending::<()>()); } => {}
        () = outward => {}
    }
    match tokio::time::timeout(std::time::Duration::from_secs(5), ending).await {
        Ok(Err(failure)) => Err(failure.status(FAILED)),
        Ok(Ok(end)) if end.code != 0 => {
            let words = if end.words.is_empty() { "it ended" } else { &end.words };
            Err(Failure::new(format!("the VM's SSH server failed: {words}")).status(FAILED))
        }
        _ => Ok(0),
    }
}
