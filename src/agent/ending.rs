// SPDX-License-Identifier: Apache-2.0
//! The end of a process, asked for right behind its start: the guest is woken
//! once for both.

use mvm_proto::Exit;
use tokio::task::JoinHandle;

use super::{Agent, AgentError, Result};

/// Asks on its own for how a process ends. Dropped, it asks no more.
pub struct Ending {
    agent: Agent,
    id: String,
    asking: JoinHandle<Result<Exit>>,
}

impl Ending {
    /// To be called before the start's answer is waited for.
    pub fn of(agent: &Agent, id: &str) -> Self {
        let (asked, process) = (agent.clone(), id.to_owned());
        let asking = tokio::spawn(async move { asked.wait(&process).await });
        Self { agent: agent.clone(), id: id.to_owned(), asking }
    }

    /// Returns when the process has ended, however long that takes.
    pub async fn exit(mut self) -> Result<Exit> {
        match (&mut self.asking).await {
            // The question came before the start, after all.
            Ok(Err(AgentError::Refused(_))) | Err(_) => self.agent.wait(&self.id).await,
            Ok(ended) => ended,
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
