// SPDX-License-Identifier: Apache-2.0
//! While the workload runs, and from its end to that of the VM: orders are
//! carried out, output is handed over, the guest ends itself.

use std::pin::pin;
use std::time::Duration;

use mvm_proto::{Exit, MAIN_PROCESS};
use tokio::time::timeout;

use super::super::answers::{explain_crash, lost};
use super::super::streams::Moving;
use super::super::wire::{Order, SIGKILL};
use super::Monitor;
use crate::agent::{Agent, Ending};
use crate::error::Result;
use crate::hypervisor::VmHandle;

const SIGINT: u32 = 2;
const SIGTERM: u32 = 15;

/// How long a guest may take to sync and reset once its workload has ended.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long the VMM's end may follow the end of its channel, or an order.
const END: Duration = Duration::from_secs(5);

impl Monitor {
    /// The workload runs: orders are carried out until it ends.
    pub(super) async fn wait(
        &mut self,
        vm: &mut dyn VmHandle,
        agent: &Agent,
        ending: Ending,
        moving: &Moving,
    ) -> Result<Exit> {
        let mut ending = pin!(ending.exit());
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let overdue = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                exit = &mut ending => return match exit {
                    Ok(exit) => Ok(exit),
                    Err(error) => Err(lost(vm, error, explain_crash).await),
                },
                end = vm.wait() => return Err(explain_crash(&end, &vm.console().tail())),
                Some(order) = self.orders.recv() => {
                    let order = self.in_full(order);
                    self.stopping |= matches!(order, Order::Stop { .. });
                    if let Some(due) = due(&order) {
                        let due = tokio::time::Instant::now() + due;
                        deadline = Some(deadline.map_or(due, |earlier| earlier.min(due)));
                    }
                    carry_out(order, agent, moving);
                }
                // The guest does not even do what it is killed for.
                () = overdue => {
                    tracing::warn!("the guest does not obey: the VM is ended");
                    vm.stop(END).await;
                    return Ok(killed());
                }
            }
        }
    }

    /// What an order to stop leaves open is what the VM was made with.
    fn in_full(&self, order: Order) -> Order {
        let stop = self.launch.stop;
        match order {
            Order::Stop { signal, grace_ms } => Order::Stop {
                signal: signal.or(Some(stop.signal)),
                grace_ms: grace_ms.or(Some(stop.grace_ms)),
            },
            order => order,
        }
    }

    /// Waits for the last of the output. A command that reads slowly may take
    /// its time; an order to end cuts it short.
    pub(super) async fn drain(&mut self, vm: &mut dyn VmHandle, moving: Moving) {
        let mut moving = pin!(moving.drained());
        if self.stopping {
            let _ = timeout(END, moving).await;
            return;
        }
        loop {
            tokio::select! {
                _ = &mut moving => return,
                _ = vm.wait() => {
                    let _ = timeout(END, &mut moving).await;
                    return;
                }
                Some(order) = self.orders.recv() => if gives_up(&order).is_some() {
                    return;
                },
            }
        }
    }

    /// A disk that nobody will read again needs no clean end; a volume that
    /// was written to does.
    pub(super) async fn shut_down(&mut self, vm: &mut dyn VmHandle, agent: &Agent) {
        let writable_share = self.launch.vm.shares.iter().any(|share| !share.read_only);
        if self.claim.record.auto_remove && !writable_share {
            return;
        }
        tokio::select! {
            () = agent.shutdown(Duration::ZERO) => {
                let _ = timeout(SHUTDOWN, vm.wait()).await;
            }
            _ = vm.wait() => {}
        }
    }
}

/// How long after an order to end the workload must have ended.
fn due(order: &Order) -> Option<Duration> {
    match order {
        Order::Stop { grace_ms: Some(u64::MAX) | None, .. } => None,
        Order::Stop { grace_ms: Some(grace_ms), .. } => {
            Duration::from_millis(*grace_ms).checked_add(END)
        }
        Order::Signal(SIGKILL) => Some(END),
        _ => None,
    }
}

/// The end of a workload that went with its VM.
fn killed() -> Exit {
    Exit { code: 128 + SIGKILL, signal: SIGKILL, ..Exit::default() }
}

/// The signal with which an order would end the VM.
pub(super) fn gives_up(order: &Order) -> Option<u32> {
    match order {
        Order::Signal(signal @ (SIGINT | SIGTERM | SIGKILL)) => Some(*signal),
        Order::Stop { .. } => Some(SIGKILL),
        _ => None,
    }
}

fn carry_out(order: Order, agent: &Agent, moving: &Moving) {
    let agent = agent.clone();
    match order {
        Order::Signal(signal) => {
            tokio::spawn(async move {
                if let Err(error) = agent.signal(MAIN_PROCESS, signal).await {
                    tracing::warn!("cannot send signal {signal}: {error}");
                }
            });
        }
        Order::Stop { signal, grace_ms } => {
            tokio::spawn(async move {
                let _ = agent.signal(MAIN_PROCESS, signal.unwrap_or(SIGTERM)).await;
                match grace_ms {
                    None | Some(u64::MAX) => return,
                    Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                }
                let _ = agent.signal(MAIN_PROCESS, SIGKILL).await;
            });
        }
        Order::CloseOutput(stream) => moving.close(stream),
        Order::Resize(size) => moving.resize(size),
        // Their connection's own business.
        Order::Attach(_)
        | Order::AwaitLog { .. }
        | Order::Exec(_)
        | Order::Stream(_)
        | Order::Leave => {}
    }
}
