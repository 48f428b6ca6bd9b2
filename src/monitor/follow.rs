// SPDX-License-Identifier: Apache-2.0
//! Following a log, on both sides of the monitor's socket. The log itself is
//! read from disk; what passes here is only that there is more. The command
//! asks each time, so that one that is slow keeps nothing waiting and nothing
//! piles up for it.

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::reach;
use super::clients::{Outgoing, Sender};
use super::wire::{self, Event, Kind, Order};
use crate::error::Result;
use crate::logs::Grown;
use crate::state::Record;
use crate::sys::Connection;

/// The monitor's side of one command. From the first order on it holds a
/// receiver of `logged`, until the command has gone.
pub struct Following {
    logged: watch::Sender<Grown>,
    answers: Sender,
    receiver: Option<watch::Receiver<Grown>>,
    waiting: Option<JoinHandle<()>>,
}

impl Following {
    pub fn new(logged: &watch::Sender<Grown>, answers: &Sender) -> Self {
        Self { logged: logged.clone(), answers: answers.clone(), receiver: None, waiting: None }
    }

    /// Sees to the answer; an order before this one gets none any more.
    pub fn order(&mut self, beyond: u64) {
        let mut logged = self.receiver.get_or_insert_with(|| self.logged.subscribe()).clone();
        let answers = self.answers.clone();
        let waiting = tokio::spawn(async move {
            let news = logged.wait_for(|logged| logged.to > beyond || logged.ended).await;
            let Ok(ended) = news.map(|logged| logged.ended) else { return };
            let _ = answers.send(Outgoing::Event(Event::Logged { ended })).await;
        });
        if let Some(earlier) = self.waiting.replace(waiting) {
            earlier.abort();
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            waiting.abort();
        }
    }
}

/// The command's side.
pub struct Follower(Connection);

impl Follower {
    /// # Errors
    /// The VM does not run, or ended just now.
    pub async fn connect(record: &Record) -> Result<Self> {
        reach(record).await.map(Self)
    }

    /// Waits until there is more than up to `position`: true; or the log is at
    /// its end, of which there may be some left: false.
    pub async fn more(&mut self, position: u64) -> bool {
        let order = Order::AwaitLog { beyond: position };
        if wire::write_json(&mut self.0, Kind::Order, &order).await.is_err() {
            return false;
        }
        while let Ok(Some((kind, payload))) = wire::read(&mut self.0).await {
            match (kind, wire::parse(&payload)) {
                (Kind::Event, Ok(Event::Logged { ended })) => return !ended,
                (Kind::Event, Ok(Event::Exited { .. } | Event::Failed(_))) => return false,
                _ => {}
            }
        }
        false
    }
}
