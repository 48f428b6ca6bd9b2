// SPDX-License-Identifier: Apache-2.0
//! The workload's streams, from the channel to what moves them.

use mvm_proto::Process;
use mvm_proto::mux::Stream;
use tokio::sync::mpsc;

use super::moving::Moving;
use super::session::Input;
use super::wire::Kind;
use crate::agent::{Agent, AgentError};

/// By ID.
const STDIN: u32 = 1;
const STDOUT: u32 = 2;
const STDERR: u32 = 3;

/// Before anything moves in them.
pub struct Streams {
    stdin: Option<Stream>,
    stdout: Stream,
    /// A terminal has none.
    stderr: Option<Stream>,
}

impl Streams {
    pub async fn open(agent: &Agent, stdin: bool, terminal: bool) -> Result<Self, AgentError> {
        let open_if = async |wanted: bool, id: u32| match wanted {
            true => agent.stream(id).await.map(Some),
            false => Ok(None),
        };
        let (stdin, stdout, stderr) = tokio::try_join!(
            open_if(stdin, STDIN),
            agent.stream(STDOUT),
            open_if(!terminal, STDERR)
        )?;
        Ok(Self { stdin, stdout, stderr })
    }

    /// Names them in the request for the process that they are for, and moves
    /// what comes.
    pub fn start(
        self,
        process: &mut Process,
        input: Option<mpsc::UnboundedReceiver<Input>>,
        moving: &mut Moving,
    ) {
        if let (Some(stream), Some(input)) = (self.stdin, input) {
            process.stdin = STDIN;
            moving.input(stream, input);
        }
        process.stdout = STDOUT;
        moving.output(self.stdout, Kind::Stdout);
        if let Some(stream) = self.stderr {
            process.stderr = STDERR;
            moving.output(stream, Kind::Stderr);
        }
    }
}
