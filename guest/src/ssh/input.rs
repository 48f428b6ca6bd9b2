// SPDX-License-Identifier: Apache-2.0
//! What a client sent to a channel and nobody has taken yet.
//!
//! russh opens a channel's window again when data has come, not when it was
//! taken, and while a handler waits it reads nothing else: neither the other
//! channels nor the window of this channel's own output, for which the process
//! may be waiting that is to take the data. So the handler must not wait. It
//! leaves the data here, and says by the window it asks for (`target`) whether
//! clients may go on: with `SHUT`, a channel whose window is used up is given
//! two bytes at a time, and by `pace` a few times a second.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::ChannelId;
use tokio::sync::watch;
use tokio::time::timeout;

use super::limits;

/// Bytes in one piece.
const PIECE: usize = limits::PACKET as usize;
/// Bytes of a channel at which no client may go on.
const ENOUGH: usize = limits::WINDOW as usize / 2;
/// Bytes of a channel at which all wait: only who does not keep to windows gets
/// here, or who trickles for an hour.
const TOO_MUCH: usize = 4 * limits::WINDOW as usize;
/// The smallest window that is ever opened again.
const SHUT: u32 = 2;
/// How long a trickling channel holds up its connection at once.
const PACE: Duration = Duration::from_millis(20);

/// Data on its way into a channel.
pub struct Input(watch::Sender<State>);

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    length: usize,
    /// No more will come.
    ended: bool,
    /// The channel is closed.
    closed: bool,
    /// Nobody takes any more.
    unread: bool,
}

impl Input {
    fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(State::default())))
    }

    pub fn push(&self, data: &[u8]) {
        self.0.send_modify(|state| {
            if state.unread || state.ended || state.closed {
                return;
            }
            state.length += data.len();
            match state.pieces.back_mut() {
                Some(last) if last.len() + data.len() <= PIECE => last.extend_from_slice(data),
                _ => state.pieces.push_back(data.to_vec()),
            }
        });
    }

    /// No more will come.
    pub fn end(&self) {
        self.0.send_modify(|state| state.ended = true);
    }

    pub fn close(&self) {
        self.0.send_modify(|state| {
            state.closed = true;
            state.drop_all();
        });
    }

    /// What is there and what comes is dropped.
    pub fn ignore(&self) {
        self.0.send_modify(|state| {
            state.unread = true;
            state.drop_all();
        });
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&self) -> Option<Vec<u8>> {
        let ready = |state: &State| state.length > 0 || state.ended || state.closed;
        let _ = self.0.subscribe().wait_for(ready).await;
        let mut piece = None;
        self.0.send_modify(|state| {
            piece = state.pieces.pop_front();
            state.length -= piece.as_ref().map_or(0, Vec::len);
        });
        piece
    }

    /// Returns when the channel is closed.
    pub async fn closed(&self) {
        let _ = self.0.subscribe().wait_for(|state| state.closed).await;
    }

    /// Keeps a client that may not go on from trickling fast.
    pub async fn pace(&self, received: usize) {
        let length = self.0.borrow().length;
        let below = async |limit: usize| {
            let _ = self.0.subscribe().wait_for(|state| state.length < limit).await;
        };
        if length >= TOO_MUCH {
            below(TOO_MUCH).await;
        } else if length >= ENOUGH && received <= SHUT as usize {
            let _ = timeout(PACE, below(ENOUGH)).await;
        }
    }
}

impl State {
    fn drop_all(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }
}

/// Every channel of a connection.
#[derive(Clone, Default)]
pub struct Inputs(Arc<Mutex<HashMap<ChannelId, Arc<Input>>>>);

impl Inputs {
    /// `None` if there are as many as there may be.
    pub fn open(&self, id: ChannelId) -> Option<Arc<Input>> {
        let mut all = self.lock();
        if all.len() >= limits::CHANNELS {
            return None;
        }
        Some(Arc::clone(all.entry(id).or_insert_with(Input::new)))
    }

    pub fn get(&self, id: ChannelId) -> Option<Arc<Input>> {
        self.lock().get(&id).cloned()
    }

    pub fn close(&self, id: ChannelId) {
        if let Some(input) = self.lock().remove(&id) {
            input.close();
        }
    }

    pub fn close_all(&self) {
        self.lock().drain().for_each(|(_, input)| input.close());
    }

    /// How far a window is opened now.
    pub fn target(&self) -> u32 {
        let stuck = self.lock().values().any(|input| input.0.borrow().length >= ENOUGH);
        if stuck { SHUT } else { limits::WINDOW }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, Arc<Input>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_comes_in_order_and_then_its_end() {
        let input = Input::new();
        input.push(b"one ");
        input.push(b"two");
        input.push(&vec![b'x'; PIECE]);
        input.end();
        input.push(b"after the end");
        assert_eq!(input.next().await.as_deref(), Some(&b"one two"[..]));
        assert_eq!(input.next().await.map(|piece| piece.len()), Some(PIECE));
        assert_eq!(input.next().await, None);
        let input = Input::new();
        input.push(b"lost");
        input.close();
        assert_eq!(input.next().await, None);
    }

    #[tokio::test]
    async fn who_is_not_read_is_held_back() {
        let inputs = Inputs::default();
        let input = Input::new();
        inputs.0.lock().unwrap().insert(serde_id(1), Arc::clone(&input));
        assert_eq!(inputs.target(), limits::WINDOW);
        input.push(&vec![0; ENOUGH]);
        assert_eq!(inputs.target(), SHUT);
        input.pace(SHUT as usize).await;
        while input.0.borrow().length > 0 {
            input.next().await;
        }
        assert_eq!(inputs.target(), limits::WINDOW);
        input.ignore();
        input.push(&vec![0; ENOUGH]);
        assert_eq!(inputs.target(), limits::WINDOW);
    }

    fn serde_id(number: u32) -> ChannelId {
        use russh::keys::ssh_encoding::Decode;
        ChannelId::decode(&mut &number.to_be_bytes()[..]).unwrap()
    }
}
