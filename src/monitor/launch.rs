// SPDX-License-Identifier: Apache-2.0
//! What a monitor is told to do. It comes over the inherited connection and is
//! on no disk and in no argument: it holds the workload's environment.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mvm_proto::{InitConfig, Process};
use protobuf::Message;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::wire::{self, Kind, Streams};
use crate::error::{Failure, Result};
use crate::hypervisor::{Choice, VmConfig};
use crate::logs;
use crate::spec::wipe;
use crate::state::Dirs;

/// How long the command may take to say what to launch.
const DEADLINE: Duration = Duration::from_secs(30);

/// How this workload is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrder {
    /// As the guest numbers it.
    pub signal: u32,
    /// Milliseconds from the signal to SIGKILL.
    pub grace_ms: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Launch {
    pub dirs: Dirs,
    pub id: String,
    pub backend: Choice,
    pub vm: VmConfig,
    /// What the VM's NIC is connected to, if that is a process of its own.
    pub network_program: Option<PathBuf>,
    /// How long the guest may take from power-on to its hello.
    pub boot_window_ms: u64,
    /// The workload has a stdin.
    pub stdin: bool,
    /// It ends with that of the first command that is attached to it.
    pub stdin_once: bool,
    /// What the command that launches it takes.
    pub attached: Streams,
    /// It wants to hear what the run cost.
    pub tell_cost: bool,
    /// How much of the output is kept; nothing, if there are none.
    pub log: Option<logs::Limits>,
    pub stop: StopOrder,
    /// A tar of files that the workload is to find, removed when they are on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inject: Option<PathBuf>,
    #[serde(skip)]
    pub init: InitConfig,
    #[serde(skip)]
    pub process: Process,
    /// Variables that the monitor does not inherit.
    #[serde(skip)]
    pub hidden: Vec<String>,
    /// Public keys that get in over SSH, beside the VM's own.
    pub ssh_keys: Vec<String>,
}

impl Launch {
    /// When they are where they are to be.
    pub fn wipe_secrets(init: &mut InitConfig) {
        init.secrets.iter_mut().for_each(|secret| wipe(&mut secret.content));
    }

    pub async fn write<W: AsyncWrite + Unpin>(&self, writer: &mut W) -> io::Result<()> {
        wire::write_json(writer, Kind::Launch, self).await?;
        let mut init = self.init.write_to_bytes()?;
        let written = wire::write(writer, Kind::InitConfig, &init).await;
        wipe(&mut init);
        written?;
        wire::write(writer, Kind::Process, &self.process.write_to_bytes()?).await
    }
}

/// Reads the three frames and gives the reader back for what follows.
pub async fn read<R: AsyncRead + Unpin>(mut reader: R) -> Result<(Launch, R)> {
    let reading = async {
        let mut launch: Launch = wire::parse(&expect(&mut reader, Kind::Launch).await?)?;
        let mut init = expect(&mut reader, Kind::InitConfig).await?;
        launch.init = InitConfig::parse_from_bytes(&init)?;
        wipe(&mut init);
        launch.process = Process::parse_from_bytes(&expect(&mut reader, Kind::Process).await?)?;
        Ok::<_, io::Error>(launch)
    };
    match timeout(DEADLINE, reading).await {
        Ok(Ok(launch)) => Ok((launch, reader)),
        Ok(Err(error)) => Err(Failure::cannot("read what to launch", error)),
        Err(_) => Err(Failure::new("nobody said what to launch")),
    }
}

async fn expect<R: AsyncRead + Unpin>(reader: &mut R, kind: Kind) -> io::Result<Vec<u8>> {
    match wire::read(reader).await? {
        Some((found, payload)) if found == kind => Ok(payload),
        Some((found, _)) => {
            let message = format!("{found:?} came where {kind:?} was due");
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
