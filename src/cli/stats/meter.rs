// SPDX-License-Identifier: Apache-2.0
//! What a VM uses: one helper in it, asked again and again as long as anyone
//! wants to know. One that does not answer keeps nobody else waiting.

use std::time::Duration;

use mvm_proto::Counters;
use protobuf::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::{Failure, Result};
use crate::monitor::{self, ExecRequest, Helper};
use crate::state::Record;

/// Bytes that the guest may answer with.
const MAX_ANSWER: u32 = 64 << 10;

#[derive(Clone, Debug)]
pub enum Reading {
    /// It has not answered twice.
    Unknown,
    Known(Usage),
    NotRunning,
}

#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Between the last two answers; 100 is a whole CPU.
    pub cpu_percent: f64,
    pub counters: Counters,
}

impl Usage {
    fn between(earlier: &Counters, later: Counters) -> Self {
        let time = later.time_ns.saturating_sub(earlier.time_ns);
        let cpu = later.cpu_ns.saturating_sub(earlier.cpu_ns);
        let cpu_percent = if time == 0 { 0.0 } else { cpu as f64 * 100.0 / time as f64 };
        Self { cpu_percent, counters: later }
    }

    pub fn memory_percent(&self) -> f64 {
        match self.counters.memory_limit {
            0 => 0.0,
            limit => self.counters.memory as f64 * 100.0 / limit as f64,
        }
    }
}

/// Measures one VM until it is dropped, or the VM has ended.
pub struct Meter {
    latest: watch::Receiver<Reading>,
    measuring: JoinHandle<()>,
}

impl Meter {
    pub fn start(record: Record, period: Duration) -> Self {
        let (readings, latest) = watch::channel(Reading::Unknown);
        let measuring = tokio::spawn(async move {
            if let Err(failure) = measure(&record, period, &readings).await {
                tracing::info!("cannot measure {}: {failure}", record.name);
            }
        });
        Self { latest, measuring }
    }

    pub fn reading(&self) -> Reading {
        self.latest.borrow().clone()
    }

    /// It will not say more.
    pub fn is_broken(&self) -> bool {
        self.measuring.is_finished()
    }

    /// Returns when there is a reading, or will be none.
    pub async fn known(&self) {
        let mut latest = self.latest.clone();
        let _ = latest.wait_for(|reading| !matches!(reading, Reading::Unknown)).await;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.measuring.abort();
    }
}

async fn measure(
    record: &Record,
    period: Duration,
    readings: &watch::Sender<Reading>,
) -> Result<()> {
    let mut helper = monitor::helper(record, ExecRequest::helper("stats", &[])).await?;
    let mut earlier = match ask(&mut helper).await {
        Ok(counters) => counters,
        // It says why.
        Err(failure) => {
            let end = helper.end().await?;
            return Err(if end.words.is_empty() { failure } else { Failure::new(end.words) });
        }
    };
    loop {
        tokio::time::sleep(period).await;
        let counters = ask(&mut helper).await?;
        let usage = Usage::between(&earlier, counters.clone());
        readings.send_replace(Reading::Known(usage));
        earlier = counters;
    }
}

async fn ask(helper: &mut Helper) -> Result<Counters> {
    let failed = |e: std::io::Error| Failure::cannot("ask the VM what it uses", e);
    helper.stdin.write_all(b"?").await.map_err(failed)?;
    helper.stdin.flush().await.map_err(failed)?;
    let length = helper.stdout.read_u32().await.map_err(failed)?;
    if length > MAX_ANSWER {
        return Err(Failure::new(format!("the VM answers with {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    helper.stdout.read_exact(&mut bytes).await.map_err(failed)?;
    Counters::parse_from_bytes(&bytes).map_err(|e| failed(std::io::Error::other(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_what_was_used_between_two_looks() {
        let counters = |time_ns, cpu_ns| Counters {
            time_ns,
            cpu_ns,
            memory: 25,
            memory_limit: 100,
            ..Counters::default()
        };
        let usage = Usage::between(&counters(1_000, 100), counters(2_000, 1_600));
        assert_eq!((usage.cpu_percent, usage.memory_percent()), (150.0, 25.0));
        // A guest may say anything.
        let usage = Usage::between(&counters(2, 2), counters(1, 1));
        assert_eq!(usage.cpu_percent, 0.0);
        assert_eq!(Usage::default().memory_percent(), 0.0);
    }
}
