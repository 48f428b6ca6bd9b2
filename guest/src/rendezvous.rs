// SPDX-License-Identifier: Apache-2.0
//! Where streams of the host and programs of the guest meet by name
//! (docs/STREAMS.md). Whoever comes first waits, no longer than it says; a name
//! is one pair's until both have gone. Programs are hostile: there are no more
//! of them here than `MAX_JOINED`, and none says more than a line.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mvm_proto::mux::{FRAME, Stream};
use mvm_proto::streams::{
    HANDSHAKE, JOINED, MAX_JOINED, MAX_LINE, MAX_WINDOW, OK, SOCKET, check_name, parse_claim,
};
use mvm_proto::{JoinEnd, JoinRequest};
use tokio::io::unix::AsyncFd;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Interest,
};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::error::complain;
use crate::streams::Streams;

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

/// A program that has said which stream it wants.
struct Program {
    number: u64,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    hang_up: HangUp,
    /// Dropped when it waits no more.
    waiting: Option<oneshot::Sender<()>>,
    _room: OwnedSemaphorePermit,
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

impl Program {
    async fn refuse(&mut self, why: &str) {
        let line = format!("{why}\n");
        let _ = timeout(HANDSHAKE, self.writer.write_all(line.as_bytes())).await;
    }
}

/// A line without its end; what has none within `MAX_LINE` bytes is none.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> Vec<u8> {
    let mut line = Vec::new();
    let mut limited = reader.take(MAX_LINE as u64);
    match limited.read_until(b'\n', &mut line).await {
        Ok(_) if line.pop() == Some(b'\n') => line,
        _ => Vec::new(),
    }
}

/// Moves bytes both ways until both have ended what they say.
async fn pass(stream: Stream, program: Program) -> JoinEnd {
    let Program { reader, writer, hang_up, .. } = program;
    let (from_host, to_host) = tokio::io::split(stream);
    let receiving = copy(from_host, writer);
    let sending = copy(reader, to_host);
    tokio::pin!(receiving, sending);
    tokio::select! {
        received = &mut receiving => match received {
            Ok(()) => match sending.await {
                Ok(()) => JoinEnd::CLEAN,
                Err(_) => JoinEnd::VANISHED,
            },
            Err(_) => JoinEnd::VANISHED,
        },
        sent = &mut sending => match sent {
            Ok(()) => tokio::select! {
                biased;
                received = &mut receiving => match received {
                    Ok(()) => JoinEnd::CLEAN,
                    Err(_) => JoinEnd::VANISHED,
                },
                () = hang_up.wait() => JoinEnd::VANISHED,
            },
            Err(_) => JoinEnd::VANISHED,
        },
    }
}

/// Copies to the end, and ends the other side.
async fn copy<R, W>(mut from: R, mut to: W) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; FRAME];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            count => {
                to.write_all(&buffer[..count]).await?;
                to.flush().await?;
            }
        }
    }
}

/// Knows when a program has closed its socket, and not only ended one side.
#[derive(Clone)]
struct HangUp(Arc<AsyncFd<OwnedFd>>);

impl HangUp {
    /// By a descriptor of its own: to look does not take readiness from those
    /// who read and write.
    fn of(program: &UnixStream) -> io::Result<Self> {
        let copy = program.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` names one descriptor, open until it is dropped;
        // here only shared references to it are lent.
        let registered = unsafe { AsyncFd::register_with_interest(copy, Interest::WRITABLE) };
        Ok(Self(Arc::new(registered?)))
    }

    async fn wait(&self) {
        while let Ok(mut ready) = self.0.writable().await {
            if ready.ready().is_write_closed() {
                return;
            }
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use mvm_proto::mux;
    use tokio::task::JoinHandle;

    use super::*;

    struct Meeting {
        rendezvous: Rendezvous,
        streams: Streams,
        opener: mux::Opener,
        room: Arc<Semaphore>,
    }

    impl Meeting {
        fn new(places: usize) -> Self {
            let (one, other) = tokio::io::duplex(1 << 16);
            let streams = Streams::default();
            let (mut incoming, offering) = (mux::guest(other), streams.clone());
            tokio::spawn(async move {
                while let Some((id, stream)) = incoming.accept().await {
                    offering.offer(id, stream);
                }
            });
            let room = Arc::new(Semaphore::new(places));
            Self { rendezvous: Rendezvous::default(), streams, opener: mux::host(one), room }
        }

        async fn program(&self, line: &str) -> UnixStream {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(line.as_bytes()).await.unwrap();
            self.rendezvous.admit(theirs, &self.room);
            tokio::time::sleep(Duration::from_millis(20)).await;
            ours
        }

        async fn host(&self, stream: u32, window_ms: u64) -> (Stream, JoinHandle<JoinEnd>) {
            let ours = self.opener.open(stream).await.unwrap();
            let request =
                JoinRequest { name: "x".into(), stream, window_ms, ..JoinRequest::default() };
            let (rendezvous, streams) = (self.rendezvous.clone(), self.streams.clone());
            let joining =
                tokio::spawn(async move { rendezvous.join(&request, &streams).await.unwrap() });
            tokio::time::sleep(Duration::from_millis(20)).await;
            (ours, joining)
        }
    }

    async fn all(mut program: UnixStream) -> String {
        let mut text = String::new();
        program.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn whoever_comes_first_waits_and_both_end_in_order() {
        for program_first in [true, false] {
            let meeting = Meeting::new(4);
            let (mut program, mut host, joined);
            if program_first {
                program = meeting.program("claim x 9\nearly").await;
                (host, joined) = meeting.host(1, 9_000).await;
            } else {
                (host, joined) = meeting.host(1, 9_000).await;
                program = meeting.program("claim x\nearly").await;
            }
            program.shutdown().await.unwrap();
            let mut text = String::new();
            host.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "+early");
            host.write_all(b"late").await.unwrap();
            host.shutdown().await.unwrap();
            assert_eq!(all(program).await, "ok\nlate");
            assert_eq!(joined.await.unwrap(), JoinEnd::CLEAN);
            assert!(meeting.rendezvous.lock().meetings.is_empty());
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_ever_and_a_name_is_one_pairs() {
        let meeting = Meeting::new(4);
        let (_first, joining) = meeting.host(1, 300).await;
        let (_second, taken) = meeting.host(2, 300).await;
        assert_eq!(taken.await.unwrap(), JoinEnd::TAKEN);
        assert_eq!(joining.await.unwrap(), JoinEnd::UNAVAILABLE);
        let program = meeting.program("claim x 0.3\n").await;
        let second = meeting.program("claim x\n").await;
        assert_eq!(all(second).await, "error: stream x is claimed already\n");
        assert!(all(program).await.starts_with("unavailable: "));
        // One that hangs up makes room at once.
        drop(meeting.program("claim x 1000\n").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(meeting.rendezvous.lock().meetings.is_empty());
        assert_eq!(meeting.room.available_permits(), 4);
    }

    #[tokio::test]
    async fn who_vanishes_is_told_of_and_who_says_nonsense_is_refused() {
        let meeting = Meeting::new(2);
        let (_host, joined) = meeting.host(1, 9_000).await;
        drop(meeting.program("claim x\n").await);
        assert_eq!(joined.await.unwrap(), JoinEnd::VANISHED);
        let (_host, joined) = meeting.host(2, 9_000).await;
        let program = meeting.program("claim x\n").await;
        meeting.rendezvous.part(2);
        assert_eq!(joined.await.unwrap(), JoinEnd::VANISHED);
        assert_eq!(all(program).await, "ok\n");
        for line in ["\n", "claim a/b\n", &"x".repeat(MAX_LINE + 1)] {
            assert!(all(meeting.program(line).await).await.starts_with("error: "));
        }
        let _waiting = [meeting.program("claim a\n").await, meeting.program("claim b\n").await];
        let third = meeting.program("").await;
        assert_eq!(all(third).await, "error: there are too many streams\n");
    }
}
