// SPDX-License-Identifier: Apache-2.0
//! Where streams of the host and programs of the guest meet by name
//! (docs/STREAMS.md). Whoever comes first waits, no longer than it says; a name
//! is one pair's until both have gone. Programs are hostile: there are no more
//! of them here than `MAX_JOINED`, and none says more than a line.

mod program;

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mvm_proto::mux::{FRAME, Stream};
use mvm_proto::streams::{
    HANDSHAKE, JOINED, MAX_JOINED, MAX_WINDOW, OK, SOCKET, check_name, parse_claim,
};
use mvm_proto::{JoinEnd, JoinRequest};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::error::complain;
use crate::streams::Streams;
use program::{HangUp, Program, pass, read_line};

/// Pairs and those who wait.
#[derive(Clone, Default)]
pub struct Rendezvous(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    meetings: HashMap<String, Meeting>,
    /// Counts programs.
    programs: u64,
    /// The host's streams, and who is told when it goes.
    parting: HashMap<u32, Arc<Notify>>,
}

enum Meeting {
    Program(Program),
    Host(oneshot::Sender<Program>),
    Joined,
}

impl Rendezvous {
    /// Lets programs of any user in.
    pub fn open(&self) -> io::Result<()> {
        let listener = UnixListener::bind(SOCKET)?;
        std::fs::set_permissions(SOCKET, Permissions::from_mode(0o666))?;
        let meeting = self.clone();
        let room = Arc::new(Semaphore::new(MAX_JOINED));
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((program, _)) => meeting.admit(program, &room),
                    Err(e) => {
                        complain(format_args!("accept on {SOCKET}: {e}"));
                        // For want of descriptors, which comes to an end.
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
            }
        });
        Ok(())
    }

    fn admit(&self, program: UnixStream, room: &Arc<Semaphore>) {
        match Arc::clone(room).try_acquire_owned() {
            Ok(permit) => drop(tokio::spawn(self.clone().welcome(program, permit))),
            Err(_) => drop(program.try_write(b"error: there are too many streams\n")),
        }
    }

    /// A program's side, until it has met the host or given up.
    async fn welcome(self, program: UnixStream, room: OwnedSemaphorePermit) {
        let Ok(hang_up) = HangUp::of(&program) else { return };
        let watched = hang_up.clone();
        let (reader, writer) = program.into_split();
        let mut reader = BufReader::with_capacity(FRAME, reader);
        let line = timeout(HANDSHAKE, read_line(&mut reader)).await.unwrap_or_default();
        let number = {
            let mut state = self.lock();
            state.programs += 1;
            state.programs
        };
        let (waiting, met) = oneshot::channel();
        let waiting = Some(waiting);
        let mut program = Program { number, reader, writer, hang_up, waiting, _room: room };
        let (name, window) = match parse_claim(&line) {
            Ok(claim) => claim,
            Err(why) => return program.refuse(&format!("error: {why}")).await,
        };
        if let Err(mut program) = self.arrive(&name, program) {
            let why = format!("error: stream {name} is claimed already");
            return program.refuse(&why).await;
        }
        tokio::select! {
            () = tokio::time::sleep(window) => {}
            () = watched.wait() => {}
            // What holds the socket open is the pair's from here on.
            _ = met => return,
        }
        drop(watched);
        if let Some(mut program) = self.leave(&name, number) {
            let why =
                format!("unavailable: the host did not connect within {} s", window.as_secs_f64());
            program.refuse(&why).await;
        }
    }

    /// Hands a program to the host, or lets it wait; gives it back if its name
    /// is another's.
    fn arrive(&self, name: &str, mut program: Program) -> Result<(), Program> {
        let mut state = self.lock();
        let meeting = match state.meetings.remove(name) {
            None => Meeting::Program(program),
            Some(Meeting::Host(host)) => {
                let waiting = program.waiting.take();
                match host.send(program) {
                    Ok(()) => Meeting::Joined,
                    // Its time was up just now.
                    Err(program) => Meeting::Program(Program { waiting, ..program }),
                }
            }
            Some(other) => {
                state.meetings.insert(name.into(), other);
                return Err(program);
            }
        };
        state.meetings.insert(name.into(), meeting);
        Ok(())
    }

    /// Takes back a program that waits still.
    fn leave(&self, name: &str, number: u64) -> Option<Program> {
        let mut state = self.lock();
        match state.meetings.remove(name)? {
            Meeting::Program(program) if program.number == number => Some(program),
            other => {
                state.meetings.insert(name.into(), other);
                None
            }
        }
    }

    /// Joins a stream of the host; returns how that ended.
    pub async fn join(&self, request: &JoinRequest, streams: &Streams) -> io::Result<JoinEnd> {
        check_name(&request.name).map_err(io::Error::other)?;
        let stream = streams.claim(request.stream).await?;
        let parted = Arc::new(Notify::new());
        self.lock().parting.insert(request.stream, Arc::clone(&parted));
        let end = tokio::select! {
            end = self.serve(request, stream) => end,
            () = parted.notified() => JoinEnd::VANISHED,
        };
        self.lock().parting.remove(&request.stream);
        Ok(end)
    }

    /// The host has gone from one of its streams.
    pub fn part(&self, stream: u32) {
        if let Some(parted) = self.lock().parting.get(&stream) {
            parted.notify_one();
        }
    }

    async fn serve(&self, request: &JoinRequest, mut stream: Stream) -> JoinEnd {
        let window = Duration::from_millis(request.window_ms).min(MAX_WINDOW);
        let (_place, mut program) = match self.meet(&request.name, window).await {
            Ok(met) => met,
            Err(end) => return end,
        };
        let told = async {
            program.writer.write_all(OK.as_bytes()).await?;
            stream.write_all(&[JOINED]).await?;
            stream.flush().await
        };
        match told.await {
            Ok(()) => pass(stream, program).await,
            Err(_) => JoinEnd::VANISHED,
        }
    }

    /// The host's side of a meeting. The name is free again when the place is
    /// dropped.
    async fn meet(&self, name: &str, window: Duration) -> Result<(Place, Program), JoinEnd> {
        let (sender, mut arriving) = oneshot::channel();
        let place = {
            let mut state = self.lock();
            let full = state.meetings.len() >= 2 * MAX_JOINED;
            match state.meetings.remove(name) {
                Some(Meeting::Program(mut program)) => {
                    program.waiting = None;
                    state.meetings.insert(name.into(), Meeting::Joined);
                    drop(state);
                    return Ok((Place::new(self, name), program));
                }
                Some(other) => {
                    state.meetings.insert(name.into(), other);
                    return Err(JoinEnd::TAKEN);
                }
                None if full => return Err(JoinEnd::FULL),
                None => drop(state.meetings.insert(name.into(), Meeting::Host(sender))),
            }
            drop(state);
            Place::new(self, name)
        };
        match timeout(window, &mut arriving).await {
            Ok(Ok(program)) => return Ok((place, program)),
            _ => arriving.close(),
        }
        // It may have come at the last moment.
        arriving.try_recv().map(|program| (place, program)).map_err(|_| JoinEnd::UNAVAILABLE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that the host has.
struct Place {
    rendezvous: Rendezvous,
    name: String,
}

impl Place {
    fn new(rendezvous: &Rendezvous, name: &str) -> Self {
        Self { rendezvous: rendezvous.clone(), name: name.into() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.rendezvous.lock();
        // A program that came when the host had given up waits in its place.
        if !matches!(state.meetings.get(&self.name), Some(Meeting::Program(_))) {
            state.meetings.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;
