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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
pub struct Input {
    state: watch::Sender<State>,
    /// Its channel counts for as long as anyone takes what came.
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    length: usize,
    /// No more will come.
    ended: bool,
    /// The channel is closed: no more will come, and nothing goes back.
    closed: bool,
    /// Nobody takes any more.
    unread: bool,
}

impl Input {
    fn new(room: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self { state: watch::Sender::new(State::default()), _room: room })
    }

    pub fn push(&self, data: &[u8]) {
        self.state.send_modify(|state| {
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
        self.state.send_modify(|state| state.ended = true);
    }

    /// What is there can be taken still.
    fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
    }

    /// What is there and what comes is dropped.
    pub fn ignore(&self) {
        self.state.send_modify(|state| {
            state.unread = true;
            state.drop_all();
        });
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&self) -> Option<Vec<u8>> {
        let ready = |state: &State| state.length > 0 || state.ended || state.closed;
        let _ = self.state.subscribe().wait_for(ready).await;
        let mut piece = None;
        self.state.send_modify(|state| {
            piece = state.pieces.pop_front();
            state.length -= piece.as_ref().map_or(0, Vec::len);
        });
        piece
    }

    /// Returns when the channel is closed.
    pub async fn closed(&self) {
        let _ = self.state.subscribe().wait_for(|state| state.closed).await;
    }

    /// Keeps a client that may not go on from trickling fast.
    pub async fn pace(&self, received: usize) {
        let length = self.state.borrow().length;
        let below = async |limit: usize| {
            let _ = self.state.subscribe().wait_for(|state| state.length < limit).await;
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
#[derive(Clone)]
pub struct Inputs {
    open: Arc<Mutex<HashMap<ChannelId, Arc<Input>>>>,
    room: Arc<Semaphore>,
}

impl Default for Inputs {
    fn default() -> Self {
        Self { open: Arc::default(), room: Arc::new(Semaphore::new(limits::CHANNELS)) }
    }
}

impl Inputs {
    /// `None` if there are as many as there may be.
    pub fn open(&self, id: ChannelId) -> Option<Arc<Input>> {
        let mut all = self.lock();
        if let Some(input) = all.get(&id) {
            return Some(Arc::clone(input));
        }
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let input = Input::new(room);
        all.insert(id, Arc::clone(&input));
        Some(input)
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
        let stuck = self.lock().values().any(|input| input.state.borrow().length >= ENOUGH);
        if stuck { SHUT } else { limits::WINDOW }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, Arc<Input>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn data_comes_in_order_and_then_its_end() {
        let inputs = Inputs::default();
        let input = inputs.open(id(1)).unwrap();
        input.push(b"one ");
        input.push(b"two");
        input.push(&vec![b'x'; PIECE]);
        input.end();
        input.push(b"after the end");
        assert_eq!(input.next().await.as_deref(), Some(&b"one two"[..]));
        assert_eq!(input.next().await.map(|piece| piece.len()), Some(PIECE));
        assert_eq!(input.next().await, None);
        // What came before a channel was closed is not lost, unless nobody wants it.
        let input = inputs.open(id(2)).unwrap();
        input.push(b"kept");
        inputs.close(id(2));
        input.push(b"after the end");
        assert_eq!(input.next().await.as_deref(), Some(&b"kept"[..]));
        assert_eq!(input.next().await, None);
        let input = inputs.open(id(3)).unwrap();
        input.push(b"lost");
        inputs.close(id(3));
        input.ignore();
        assert_eq!(input.next().await, None);
    }

    #[tokio::test]
    async fn who_is_not_read_is_held_back() {
        let inputs = Inputs::default();
        let input = inputs.open(id(1)).unwrap();
        assert_eq!(inputs.target(), limits::WINDOW);
        input.push(&vec![0; ENOUGH]);
        assert_eq!(inputs.target(), SHUT);
        input.pace(SHUT as usize).await;
        while input.state.borrow().length > 0 {
            input.next().await;
        }
        assert_eq!(inputs.target(), limits::WINDOW);
        input.ignore();
        input.push(&vec![0; ENOUGH]);
        assert_eq!(inputs.target(), limits::WINDOW);
    }

    #[test]
    fn a_channel_counts_until_nobody_takes_from_it() {
        let inputs = Inputs::default();
        let number = |n: usize| id(u32::try_from(n).unwrap());
        let mut all: Vec<_> =
            (0..limits::CHANNELS).map(|n| inputs.open(number(n)).unwrap()).collect();
        // The last one is found again.
        assert!(inputs.open(number(limits::CHANNELS - 1)).is_some());
        assert!(inputs.open(number(limits::CHANNELS)).is_none());
        inputs.close(number(0));
        assert!(inputs.open(number(limits::CHANNELS)).is_none());
        drop(all.remove(0));
        assert!(inputs.open(number(limits::CHANNELS)).is_some());
    }

    fn id(number: u32) -> ChannelId {
        use russh::keys::ssh_encoding::Decode;
        ChannelId::decode(&mut &number.to_be_bytes()[..]).unwrap()
    }
}
