// SPDX-License-Identifier: Apache-2.0
//! How a VM's life ends on this side: the record, the lock, and what commands are
//! told.

use std::time::Duration;

use mvm_proto::Exit;
use tokio::time::timeout;

use super::super::answers::code;
use super::super::wire::Event;
use super::Monitor;
use crate::error::Result;
use crate::hypervisor::{Disk, DiskFormat};
use crate::state::{Claim, ExitRecord, Phase, now_ms};
use crate::sys;

/// How long commands that follow the log may take to open what will vanish.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl Monitor {
    /// Writes how it ended, or removes the VM; lets go of it; tells everyone.
    pub(super) async fn conclude(mut self, outcome: Result<Exit>) -> Result<()> {
        let record = &mut self.claim.record;
        record.phase = Phase::Exited;
        record.exit = Some(match &outcome {
            Ok(exit) => ExitRecord {
                code: code(exit),
                signal: (exit.signal != 0).then_some(exit.signal),
                oom_killed: exit.oom_killed,
                finished_ms: now_ms(),
                error: None,
            },
            Err(failure) => ExitRecord {
                code: failure.status,
                signal: None,
                oom_killed: false,
                finished_ms: now_ms(),
                error: Some(failure.message.clone()),
            },
        });
        let _ = std::fs::remove_dir_all(self.launch.dirs.vm_runtime(&self.launch.id));
        self.logged.send_modify(|logged| logged.ended = true);
        if self.claim.record.auto_remove {
            let _ = timeout(LAST_LOOK, self.logged.closed()).await;
        }
        let Self { claim, clients, launch, ending, mut cost, mut last, .. } = self;
        // The lock goes with the claim: who hears of the end can act on it.
        let written = if claim.record.auto_remove {
            claim.remove()
        } else {
            save_last(claim, &launch.vm.disks)
        };
        let event = match outcome {
            Ok(exit) => Event::Exited { code: code(&exit), oom_killed: exit.oom_killed },
            Err(failure) => Event::Failed(failure),
        };
        if launch.tell_cost {
            cost.monitor_cpu_micros = sys::cpu_micros();
            last.push(Event::Cost(cost));
        }
        last.push(event);
        clients.finish(&last).await;
        if let Some(ending) = ending {
            let _ = ending.await;
        }
        written
    }
}

/// Writes the record once more, on a full disk in the place of what the next
/// start makes anew.
fn save_last(claim: Claim, disks: &[Disk]) -> Result<()> {
    claim.save().or_else(|_| {
        for disk in disks.iter().filter(|disk| disk.format == DiskFormat::Vmdk) {
            let _ = std::fs::remove_file(&disk.path);
        }
        claim.save()
    })
}
