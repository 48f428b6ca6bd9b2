// SPDX-License-Identifier: Apache-2.0
//! A process in the VM as commands meet it, and one command's side of that:
//! what it sends is stdin of its process, or an order.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::io::{AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::clients::{Client, Clients, Sender};
use super::exec::{self, Begun, ExecRequest, Inside};
use super::follow::Following;
use super::stream::{self, StreamRequest};
use super::wire::{self, Event, Kind, Order, STDIN_WINDOW, Streams};
use crate::error::Failure;

/// Bytes for a process's stdin, and who is to be given credit for as many.
pub struct Input {
    pub bytes: Vec<u8>,
    pub from: Sender,
}

/// A process in the VM.
pub struct Session {
    /// Its ID in the guest.
    pub process: String,
    pub terminal: bool,
    stdin: bool,
    /// stdin ends with the first command that ends it. Never on a terminal,
    /// where it has no end: one types ^D.
    once: bool,
    /// Unbounded as a type; bounded by the credit that commands are given.
    input: Mutex<Option<mpsc::UnboundedSender<Input>>>,
}

impl Session {
    /// The receiver is for what is to become its stdin.
    pub fn new(
        process: &str,
        terminal: bool,
        stdin: bool,
        once: bool,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Input>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let input = Mutex::new(stdin.then_some(sender));
        let process = process.to_owned();
        (Arc::new(Self { process, terminal, stdin, once, input }), receiver)
    }

    fn send(&self, input: Input) {
        if let Some(sender) = &*self.input.lock().unwrap_or_else(PoisonError::into_inner) {
            // A process that reads no more is no error.
            let _ = sender.send(input);
        }
    }

    /// A command that was attached to stdin has ended it, or gone.
    fn input_ended(&self) {
        if self.once && !self.terminal {
            drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// What a connection may do.
pub struct Connection {
    pub clients: Arc<Clients>,
    pub client: Client,
    /// What its orders are about; what it may attach to.
    pub session: Arc<Session>,
    /// What it is attached to.
    pub streams: Streams,
    /// It launched the VM: output that it does not take, and nobody else,
    /// is refused to the workload.
    pub launcher: bool,
    /// It started its process: as above, for that.
    pub owner: bool,
    pub orders: mpsc::Sender<Order>,
    pub following: Following,
    /// Set while the workload runs.
    pub inside: Arc<OnceLock<Arc<Inside>>>,
}

impl Connection {
    /// It takes these streams from now on, as far as they are there.
    pub fn attach(&mut self, streams: Streams) {
        self.streams = Streams { stdin: streams.stdin && self.session.stdin, ..streams };
        self.clients.attach(&self.client, &self.session.process, self.streams);
    }

    /// Reads a command's frames until it goes.
    pub async fn listen<R: AsyncRead + Unpin>(mut self, reader: R) {
        let mut reader = BufReader::new(reader);
        while let Ok(Some((kind, payload))) = wire::read(&mut reader).await {
            match kind {
                Kind::Stdin => self.input(payload),
                Kind::Order => match wire::parse(&payload) {
                    Ok(order) => {
                        if self.order(order).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => tracing::warn!("a command sent no order: {error}"),
                },
                other => {
                    tracing::warn!("a command sent {other:?} out of turn");
                    break;
                }
            }
        }
        self.input(Vec::new());
        self.clients.remove(&self.client);
    }

    /// None is the end.
    fn input(&mut self, bytes: Vec<u8>) {
        if !self.streams.stdin || bytes.len() > STDIN_WINDOW {
            return;
        }
        if bytes.is_empty() {
            self.streams.stdin = false;
            self.session.input_ended();
        } else {
            self.session.send(Input { bytes, from: self.client.sender.clone() });
        }
    }

    /// An error means that nobody takes orders any more.
    async fn order(&mut self, order: Order) -> Result<(), mpsc::error::SendError<Order>> {
        match order {
            Order::Attach(streams) if !self.launcher => {
                let Session { terminal, stdin, .. } = *self.session;
                let answer = Event::Attached { terminal, stdin };
                self.clients.tell(&self.client, answer).await;
                self.attach(streams);
                Ok(())
            }
            Order::Exec(request) if !self.launcher => {
                self.exec(request).await;
                Ok(())
            }
            Order::Stream(request) if !self.launcher => {
                self.stream(request).await;
                Ok(())
            }
            Order::CloseOutput(stream) => {
                let taken = self.clients.close_output(&self.client, stream);
                match (self.launcher || self.owner) && !taken {
                    true => self.orders.send(order).await,
                    false => Ok(()),
                }
            }
            Order::AwaitLog { beyond } => {
                self.following.order(beyond);
                Ok(())
            }
            order => self.orders.send(order).await,
        }
    }

    /// From here on this connection is that of a process of its own.
    async fn exec(&mut self, request: ExecRequest) {
        let Some(inside) = self.inside().await else { return };
        let streams = request.streams;
        let begun = exec::begin(&inside, request, &self.clients, &self.client);
        self.own(begun, streams);
    }

    async fn stream(&mut self, request: StreamRequest) {
        let Some(inside) = self.inside().await else { return };
        let streams = Streams { stdin: true, stdout: true, stderr: false };
        let begun = stream::begin(&inside, request, &self.clients, &self.client);
        self.own(begun, streams);
    }

    /// Where it may have something of its own, once.
    async fn inside(&self) -> Option<Arc<Inside>> {
        let refused = match self.inside.get() {
            Some(inside) if inside.is_over() => {
                Failure::new("the VM is stopping: its command has ended")
                    .hint("mvm wait returns when it has stopped")
            }
            Some(inside) if !self.owner => return Some(Arc::clone(inside)),
            _ => Failure::new("the VM's command does not run yet"),
        };
        self.clients.tell(&self.client, Event::Failed(refused.status(1))).await;
        None
    }

    fn own(&mut self, begun: Begun, streams: Streams) {
        self.session = begun.session;
        self.orders = begun.orders;
        self.streams = streams;
        self.owner = true;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio::sync::watch;

    use super::super::door::Door;
    use super::super::exec::KeyPlace;
    use super::*;
    use crate::agent::Agent;

    const ALL: Streams = Streams::ALL;
    const STDIN: Streams = Streams { stdin: true, stdout: false, stderr: false };

    /// A process whose stdin and orders come out here.
    struct Process {
        door: Door,
        input: mpsc::UnboundedReceiver<Input>,
        orders: mpsc::Receiver<Order>,
    }

    impl Process {
        fn new(terminal: bool, once: bool) -> Self {
            let (session, input) = Session::new("main", terminal, true, once);
            let (sender, orders) = mpsc::channel(16);
            let door = Door {
                inside: Arc::default(),
                clients: Arc::default(),
                session,
                orders: sender,
                logged: watch::Sender::default(),
            };
            Self { door, input, orders }
        }

        fn launcher(&self, streams: Streams) -> DuplexStream {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let (reader, writer) = tokio::io::split(theirs);
            self.door.admit_launcher(reader, writer, streams);
            ours
        }

        /// One that came later, and has heard what it is attached to.
        async fn attached(&self, streams: Streams) -> DuplexStream {
            let mut ours = self.stranger();
            order(&mut ours, Order::Attach(streams)).await;
            assert!(matches!(event(&mut ours).await, Event::Attached { .. }));
            tokio::task::yield_now().await;
            ours
        }

        fn stranger(&self) -> DuplexStream {
            let (ours, theirs) = tokio::io::duplex(1 << 20);
            let (reader, writer) = tokio::io::split(theirs);
            tokio::spawn(self.door.connection(writer).listen(reader));
            ours
        }

        async fn input(&mut self) -> Option<Vec<u8>> {
            self.input.recv().await.map(|input| input.bytes)
        }

        async fn prints(&self, bytes: &[u8]) {
            self.door.clients.output("main", Kind::Stdout, bytes.into()).await;
        }
    }

    async fn order(to: &mut DuplexStream, order: Order) {
        wire::write_json(to, Kind::Order, &order).await.unwrap();
    }

    async fn says(to: &mut DuplexStream, bytes: &[u8]) {
        wire::write(to, Kind::Stdin, bytes).await.unwrap();
    }

    async fn event(from: &mut DuplexStream) -> Event {
        let (kind, payload) = wire::read(from).await.unwrap().unwrap();
        assert_eq!(kind, Kind::Event);
        wire::parse(&payload).unwrap()
    }

    #[tokio::test]
    async fn stdin_ends_with_the_first_that_ends_it_if_it_was_made_so() {
        for (terminal, once, ends) in
            [(false, true, true), (false, false, false), (true, true, false)]
        {
            let mut process = Process::new(terminal, once);
            let mut first = process.launcher(ALL);
            says(&mut first, b"one").await;
            assert_eq!(process.input().await.unwrap(), b"one");
            drop(first);
            let mut second = process.attached(ALL).await;
            says(&mut second, b"two").await;
            // Behind what was said, the end of it would be seen.
            let expected = (!ends).then(|| b"two".to_vec());
            assert_eq!(process.input().await, expected, "{terminal} {once}");
        }
    }

    #[tokio::test]
    async fn only_who_is_attached_says_and_hears_something() {
        let mut process = Process::new(false, true);
        let mut stranger = process.stranger();
        says(&mut stranger, b"from nowhere").await;
        let mut looking = process.attached(Streams { stdin: false, ..ALL }).await;
        says(&mut looking, b"only looking").await;
        says(&mut looking, b"").await;
        let mut feeding = process.attached(STDIN).await;
        says(&mut feeding, b"words").await;
        assert_eq!(process.input().await.unwrap(), b"words");
        process.prints(b"hello").await;
        process.door.clients.event(Event::Started).await;
        let hello = wire::read(&mut looking).await.unwrap().unwrap();
        assert_eq!(hello, (Kind::Stdout, b"hello".to_vec()));
        for other in [&mut stranger, &mut feeding] {
            assert_eq!(event(other).await, Event::Started);
        }
    }

    #[tokio::test]
    async fn a_workload_misses_its_reader_when_the_last_one_goes() {
        let mut process = Process::new(false, false);
        let mut launcher = process.launcher(ALL);
        let mut other = process.attached(ALL).await;
        order(&mut launcher, Order::CloseOutput(1)).await;
        order(&mut launcher, Order::CloseOutput(2)).await;
        order(&mut launcher, Order::Signal(1)).await;
        assert_eq!(process.orders.recv().await, Some(Order::Signal(1)), "someone reads still");
        order(&mut other, Order::CloseOutput(1)).await;
        order(&mut other, Order::Signal(2)).await;
        assert_eq!(process.orders.recv().await, Some(Order::Signal(2)), "it came later");
        order(&mut launcher, Order::CloseOutput(1)).await;
        assert_eq!(process.orders.recv().await, Some(Order::CloseOutput(1)));
    }

    #[tokio::test]
    async fn nothing_is_started_before_the_workload_or_after_it() {
        let process = Process::new(false, false);
        let refused = async || {
            let mut command = process.stranger();
            order(&mut command, Order::Exec(ExecRequest::helper("top", &[]))).await;
            let Event::Failed(failure) = event(&mut command).await else { panic!("it started") };
            assert_eq!(failure.status, 1);
            failure.message
        };
        assert_eq!(refused().await, "the VM's command does not run yet");
        let places = KeyPlace { directory: "/nowhere".into(), more: Vec::new() };
        let inside = Inside::new(Agent::mute().await, mvm_proto::Process::new(), places);
        assert!(process.door.inside.set(Arc::clone(&inside)).is_ok());
        inside.close();
        assert_eq!(refused().await, "the VM is stopping: its command has ended");
    }

    #[tokio::test]
    async fn commands_in_a_vm_that_fails_hear_why_and_in_one_that_ends_are_killed() {
        let failure = Failure::new("the VM failed").status(125);
        let exited = Event::Exited { code: 0, oom_killed: false };
        for (end, heard) in [
            (Event::Failed(failure.clone()), Event::Failed(failure)),
            (exited, Event::Exited { code: 137, oom_killed: false }),
        ] {
            let process = Process::new(false, false);
            let (mut ours, theirs) = tokio::io::duplex(1 << 20);
            let client = process.door.clients.add(theirs);
            process.door.clients.attach(&client, "exec-0", ALL);
            process.door.clients.finish(&[end]).await;
            assert_eq!(event(&mut ours).await, heard);
        }
    }

    #[tokio::test]
    async fn the_end_is_heard_beside_one_that_does_not_read_and_after_it_came() {
        let process = Process::new(false, false);
        let (_stuck, theirs) = tokio::io::duplex(1);
        let (reader, writer) = tokio::io::split(theirs);
        process.door.admit_launcher(reader, writer, ALL);
        let mut other = process.attached(STDIN).await;
        let clients = Arc::clone(&process.door.clients);
        let end = Event::Exited { code: 7, oom_killed: false };
        let last = [Event::Started, end.clone()];
        let finishing = tokio::spawn(async move { clients.finish(&last).await });
        assert_eq!(event(&mut other).await, Event::Started);
        assert_eq!(event(&mut other).await, end);
        assert_eq!(event(&mut process.stranger()).await, end);
        assert!(!finishing.is_finished());
    }
}
