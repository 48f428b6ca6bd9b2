// SPDX-License-Identifier: Apache-2.0
//! `mvm stream`

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use clap::Args;
use mvm_proto::streams;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, SimplexStream, WriteHalf};

use super::exec::check_runs;
use crate::error::{Failure, Result};
use crate::monitor::{self, StreamRequest};
use crate::state::{Dirs, VmStore};
use crate::sys;

/// Bytes that are moved at once.
const BUFFER: usize = 64 << 10;

/// 128 and SIGPIPE.
const UNREAD: u8 = 128 + 13;

/// Connect stdin and stdout to a program in a VM
///
/// The program claims the stream by its ID, for instance with `/dev/mvm stream ID`,
/// which every VM has. Whoever comes first waits for the other.
#[derive(Debug, Args)]
pub struct StreamArgs {
    /// Name, ID or start of an ID
    #[arg(value_name = "VM")]
    vm: String,
    /// What both sides call the stream: letters, digits and . _ : -
    #[arg(value_name = "ID", value_parser = id)]
    id: String,
    /// Seconds to wait for a program that claims it
    #[arg(short, long, value_name = "SECONDS", value_parser = streams::parse_window, default_value = "10")]
    timeout: Duration,
}

fn id(text: &str) -> std::result::Result<String, String> {
    streams::check_name(text).map(|()| text.to_owned())
}

pub async fn run(dirs: &Dirs, args: StreamArgs) -> Result<u8> {
    let found = VmStore::new(dirs).find(&args.vm)?;
    check_runs(&found)?;
    let window_ms = u64::try_from(args.timeout.as_millis()).unwrap_or(u64::MAX);
    let id = args.id;
    let request = StreamRequest { name: id.clone(), window_ms };
    let (stdin, stdout, ending) = monitor::stream(&found.record, request).await?.split();
    tokio::spawn(send(stdin));
    match receive(stdout).await {
        Ok(()) => match ending.await?.code {
            0 => Ok(0),
            _ => Err(Failure::new(format!("stream {id}: the VM has ended"))),
        },
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(UNREAD),
        Err(e) => Err(Failure::cannot("write to stdout", e)),
    }
}

async fn send(mut to: WriteHalf<SimplexStream>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; BUFFER];
    // What cannot be read is at its end.
    while let Ok(count @ 1..) = stdin.read(&mut buffer).await {
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// Until the program has ended its side, and then nobody waits for more.
async fn receive(mut from: DuplexStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&buffer[..count])?;
        stdout.flush()?;
    }
    sys::end_stdout()
}
