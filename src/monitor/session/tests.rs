// SPDX-License-Identifier: Apache-2.0
//! Commands and a process, as connections that meet in memory.

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
    for (terminal, once, ends) in [(false, true, true), (false, false, false), (true, true, false)]
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
