// SPDX-License-Identifier: Apache-2.0
//! From the kernel's first call to the end of the channel, which is the end
//! of the VM.

use std::fs;

use futures::stream;
use mvm_proto::hello::{HelloError, announce};
use mvm_proto::{create_agent, mux};
use thiserror::Error;
use tokio::io::BufStream;
use ttrpc::r#async::Server;
use ttrpc::r#async::transport::Listener;

use crate::agent::{Service, uptime_ms};
use crate::channel::Channel;
use crate::cmdline::{self, CmdlineError};
use crate::error::{Failure, Step, complain};
use crate::reaper::Reaper;
use crate::streams::Streams;
use crate::{mounts, power};

/// Bytes gathered for one read or write of the channel, each of which may
/// cost an exit to the hypervisor: a virtio-serial port takes no more at once.
const CHANNEL_BUFFER: usize = 32 * 1024;

#[derive(Debug, Error)]
enum BootError {
    #[error(transparent)]
    Step(#[from] Failure),
    #[error(transparent)]
    Cmdline(#[from] CmdlineError),
    #[error("greet the host: {0}")]
    Hello(#[from] HelloError),
    #[error("serve the host: {0}")]
    Serve(#[from] ttrpc::Error),
}

/// Runs the VM to its end, as its first process.
pub fn run() -> ! {
    let started_ms = uptime_ms();
    power::restart_on_panic();
    if let Err(e) = serve(started_ms) {
        complain(e);
    }
    power::restart()
}

/// Returns when the host is gone.
fn serve(started_ms: u64) -> Result<(), BootError> {
    mounts::mount_early()?;
    let cmdline = fs::read_to_string("/proc/cmdline").step(|| "read /proc/cmdline")?;
    let arguments = cmdline::parse(&cmdline)?;
    // One thread: nothing here computes, and start-up is what users wait for.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .step(|| "start the runtime")?;
    runtime.block_on(async {
        let channel = Channel::open(arguments.transport).await?;
        let mut channel = BufStream::with_capacity(CHANNEL_BUFFER, CHANNEL_BUFFER, channel);
        announce(&mut channel, arguments.nonce).await?;
        let reaper = Reaper::start().step(|| "watch for the end of processes")?;
        let streams = Streams::default();
        let service = Service::new(started_ms, reaper, streams.clone());
        let mut service = Some(service);
        let mut servers = Vec::new();
        let mut incoming = mux::guest(channel);
        while let Some((id, stream)) = incoming.accept().await {
            if id != mux::CONTROL {
                streams.offer(id, stream);
            } else if let Some(service) = service.take() {
                let listener = Listener::new(stream::once(async { Ok(stream) }));
                let mut server =
                    Server::new().add_listener(listener).register_service(create_agent(service));
                server.start().await?;
                servers.push(server);
            }
        }
        Ok(())
    })
}
