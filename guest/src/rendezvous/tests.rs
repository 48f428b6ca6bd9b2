// SPDX-License-Identifier: Apache-2.0
//! The host's side and programs', without a VM.

use mvm_proto::mux;
use mvm_proto::streams::MAX_LINE;
use tokio::io::AsyncReadExt;
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
        let request = JoinRequest { name: "x".into(), stream, window_ms, ..JoinRequest::default() };
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
