// SPDX-License-Identifier: Apache-2.0
//! What the guest does.

use std::collections::HashMap;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream as BlockingStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream;
use mvm_proto::hello::{self, Nonce};
use mvm_proto::mux::{self, Stream};
use mvm_proto::{
    Agent, Configured, Empty, Exit, InitConfig, MessageField, Process, ShutdownRequest,
    SignalRequest, StartFailure, Started, WaitRequest, create_agent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use ttrpc::r#async::transport::Listener;
use ttrpc::r#async::{Server, TtrpcContext};
use ttrpc::{Code, Error, get_status};

/// Variable that says which guest this is.
pub const VARIABLE: &str = "MVM_TEST_GUEST";

/// Says everything as large as it can be said.
pub const HUGE_NUMBERS: &str = "huge-numbers";
/// Refuses the command with a message that has no end, and colours.
pub const LONG_REFUSAL: &str = "long-refusal";
/// Answers with such an error.
pub const LONG_ERROR: &str = "long-error";
/// Writes on for ever when the command has ended.
pub const FLOOD: &str = "flood";
/// Never reads what is typed, and never ends.
pub const DEAF: &str = "deaf";
/// Opens streams, as only the host should.
pub const STREAMS: &str = "streams";
/// Frames that do not hold what they say.
pub const LENGTHS: [&str; 4] = ["long-frame", "wide-frame", "long-message", "noise"];
/// Lets the host wait in the middle of an answer.
pub const HALF: &str = "half-a-message";

/// 2 MiB of words that would paint a terminal.
fn long_words() -> String {
    "\x1b[31mred\x07 ".repeat((2 << 20) / 11)
}

/// Finds the channel on QEMU's command line and misbehaves on it.
pub fn play(arguments: &[String]) {
    let case = std::env::var(VARIABLE).expect("which guest to be");
    let number = |argument: &String| argument.strip_prefix("socket,id=agent,fd=")?.parse().ok();
    let channel: i32 = arguments.iter().find_map(number).expect("the channel");
    let nonce = |argument: &String| {
        let words = &mut argument.split(' ');
        words.find_map(|word| {
            Nonce::from_hex(word.strip_prefix(mvm_proto::NONCE_ARGUMENT)?.strip_prefix('=')?)
        })
    };
    let nonce = arguments.iter().find_map(nonce).expect("the nonce");
    // SAFETY: mvm left it open for the program that it named it to, which is
    // this one; nothing else here knows of it.
    let channel = BlockingStream::from(unsafe { OwnedFd::from_raw_fd(channel) });
    channel.set_nonblocking(true).expect("a socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut channel = UnixStream::from_std(channel).expect("a socket");
        hello::announce(&mut channel, nonce).await.expect("the hello");
        match raw(&case) {
            Some(bytes) => lie(channel, &bytes).await,
            None => serve(channel, case).await,
        }
    });
}

/// A yamux header: version 0, kind, flags, stream, length.
fn header(kind: u8, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    let mut header = vec![0, kind];
    header.extend(flags.to_be_bytes());
    header.extend(stream.to_be_bytes());
    header.extend(length.to_be_bytes());
    header
}

/// What is sent in place of anything that makes sense. The host's first stream
/// is 1.
fn raw(case: &str) -> Option<Vec<u8>> {
    const DATA: u8 = 0;
    const WINDOW: u8 = 1;
    const SYN: u16 = 1;
    match case {
        STREAMS => Some((1..=20_000).flat_map(|n| header(WINDOW, SYN, 2 * n, 0)).collect()),
        "long-frame" => Some([header(DATA, 0, 1, u32::MAX), vec![b'x'; 1 << 20]].concat()),
        "wide-frame" => Some([header(DATA, 0, 1, 1 << 20), vec![b'x'; 1 << 20]].concat()),
        "long-message" => {
            // TTRPC: length, stream, kind 2 (a response), flags.
            let message = [&u32::MAX.to_be_bytes()[..], &1_u32.to_be_bytes(), &[2, 0]].concat();
            let frame = |bytes: Vec<u8>| {
                [header(DATA, 0, 1, u32::try_from(bytes.len()).expect("short")), bytes].concat()
            };
            Some([frame(message), frame(vec![b'x'; 200_000])].concat())
        }
        HALF => Some([header(DATA, 0, 1, 10), vec![0; 4]].concat()),
        "noise" => {
            Some((0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect())
        }
        _ => None,
    }
}

/// Says it, and lets the host go on for a while before it hangs up.
async fn lie(channel: UnixStream, bytes: &[u8]) {
    let (mut reader, mut writer) = channel.into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    });
    // The host may hang up first.
    let _ = writer.write_all(bytes).await;
    let _ = tokio::time::timeout(Duration::from_secs(2), reading).await;
}

async fn serve(channel: UnixStream, case: String) {
    let begun = Semaphore::new(0);
    let guest = Arc::new(Guest { case, streams: Mutex::default(), begun });
    let mut incoming = mux::guest(channel);
    let mut servers = Vec::new();
    while let Some((id, stream)) = incoming.accept().await {
        if id != mux::CONTROL {
            guest.streams.lock().unwrap().insert(id, stream);
            continue;
        }
        let listener = Listener::new(stream::once(async { Ok(stream) }));
        let service: Arc<dyn Agent + Send + Sync> = Arc::clone(&guest) as _;
        let service = create_agent(service);
        let mut server = Server::new().add_listener(listener).register_service(service);
        server.start().await.expect("a server");
        servers.push(server);
    }
}

struct Guest {
    case: String,
    streams: Mutex<HashMap<u32, Stream>>,
    /// Has a permit when the process has begun: who waits for its end may ask
    /// before that.
    begun: Semaphore,
}

#[async_trait]
impl Agent for Guest {
    async fn configure(&self, _: &TtrpcContext, init: InitConfig) -> ttrpc::Result<Configured> {
        if self.case == LONG_ERROR {
            return Err(Error::RpcStatus(get_status(Code::INTERNAL, long_words())));
        }
        let workload = match init.workload.into_option() {
            Some(process) => MessageField::some(self.begin(process).await),
            None => MessageField::none(),
        };
        Ok(Configured {
            init_started_ms: u64::MAX,
            configured_ms: u64::MAX,
            kernel_release: long_words(),
            workload,
            ..Configured::default()
        })
    }

    async fn start(&self, _: &TtrpcContext, process: Process) -> ttrpc::Result<Started> {
        Ok(self.begin(process).await)
    }

    async fn wait(&self, _: &TtrpcContext, _: WaitRequest) -> ttrpc::Result<Exit> {
        if self.case == DEAF {
            std::future::pending::<()>().await;
        }
        let _ = self.begun.acquire().await;
        Ok(Exit { code: u32::MAX, signal: u32::MAX, oom_killed: true, ..Exit::default() })
    }

    async fn signal(&self, _: &TtrpcContext, _: SignalRequest) -> ttrpc::Result<Empty> {
        Ok(Empty::new())
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> ttrpc::Result<Empty> {
        // How long a guest may take that does not do it is no matter here.
        std::process::exit(0)
    }
}

impl Guest {
    async fn begin(&self, process: Process) -> Started {
        let mut started = Started { started_ms: u64::MAX, ..Started::default() };
        if self.case == LONG_REFUSAL {
            started.set_failure(StartFailure { message: long_words(), ..StartFailure::default() });
            return started;
        }
        started.set_pid(u32::MAX);
        for id in [process.stdout, process.stderr] {
            let stream = self.stream(id).await;
            if self.case == FLOOD {
                tokio::spawn(flood(stream));
            }
        }
        self.begun.add_permits(1);
        started
    }

    /// It may come right behind the request that names it.
    async fn stream(&self, id: u32) -> Stream {
        loop {
            let stream = self.streams.lock().unwrap().remove(&id);
            match stream {
                Some(stream) => return stream,
                None => tokio::task::yield_now().await,
            }
        }
    }
}

async fn flood(mut stream: Stream) {
    let bytes = vec![b'x'; 1 << 16];
    while stream.write_all(&bytes).await.is_ok() {}
}
