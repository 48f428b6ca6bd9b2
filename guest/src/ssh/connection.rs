// SPDX-License-Identifier: Apache-2.0
//! One connection as russh calls it: who it is, its channels, and what is asked
//! of them. No call here waits for a process or a peer.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use mvm_proto::Terminal;
use russh::keys::PublicKey;
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, Session};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig};
use tokio::sync::watch;

use super::account::{Account, is_accepted};
use super::agent::Agent;
use super::forward::{self, Forwards};
use super::input::Inputs;
use super::session::{self, Live, Running, Start, Wish};
use super::spawn::Screen;
use super::{Setup, WriteHalf, limits};
use crate::reaper::Reaper;

pub struct Connection {
    setup: Arc<Setup>,
    reaper: Reaper,
    account: Option<Arc<Account>>,
    authenticated: watch::Sender<bool>,
    inputs: Inputs,
    sessions: HashMap<ChannelId, Slot>,
    running: Running,
    forwards: Forwards,
    agent: Option<Agent>,
}

/// A session's channel.
enum Slot {
    /// Nothing runs in it yet.
    Waiting(Box<Waiting>),
    /// Something is about to run, runs, or has run.
    Used(Option<Live>),
}

struct Waiting {
    channel: WriteHalf,
    screen: Option<Screen>,
    env: Vec<Vec<u8>>,
    agent: bool,
}

type Result<T> = std::result::Result<T, russh::Error>;

impl Connection {
    pub fn new(setup: Setup, reaper: Reaper, running: Running) -> Self {
        let inputs = Inputs::default();
        Self {
            setup: Arc::new(setup),
            reaper,
            account: None,
            authenticated: watch::Sender::new(false),
            forwards: Forwards::new(inputs.clone()),
            inputs,
            sessions: HashMap::new(),
            running,
            agent: None,
        }
    }

    /// Turns true with a key that is let in.
    pub fn authenticated(&self) -> watch::Receiver<bool> {
        self.authenticated.subscribe()
    }

    fn account(&self, user: &str, key: &PublicKey) -> Option<Account> {
        let found = Account::find(user, &self.setup.workload);
        let found = found.inspect_err(|e| eprintln!("mvm-init: look up {user:?}: {e}")).ok()?;
        found.filter(|_| self.setup.knows(key))
    }

    fn waiting(&mut self, channel: ChannelId) -> Option<&mut Waiting> {
        match self.sessions.get_mut(&channel)? {
            Slot::Waiting(waiting) => Some(waiting),
            Slot::Used(_) => None,
        }
    }

    fn live(&self, channel: ChannelId) -> Option<&Live> {
        match self.sessions.get(&channel)? {
            Slot::Used(live) => live.as_ref(),
            Slot::Waiting(_) => None,
        }
    }

    /// A session's channel can run one thing.
    async fn start(&mut self, id: ChannelId, wish: Wish, session: &mut Session) -> Result<()> {
        let waiting = match self.sessions.insert(id, Slot::Used(None)) {
            Some(Slot::Waiting(waiting)) => waiting,
            other => {
                self.sessions.extend(other.map(|slot| (id, slot)));
                return session.channel_failure(id);
            }
        };
        let (Some(account), Some(input)) = (self.account.clone(), self.inputs.get(id)) else {
            return session.channel_failure(id);
        };
        // Before anything that the process says.
        session.channel_success(id)?;
        let mut env = waiting.env;
        if let Some(agent) = self.agent.as_ref().filter(|_| waiting.agent) {
            env.push(agent.variable());
        }
        let start = Start {
            setup: Arc::clone(&self.setup),
            account,
            reaper: self.reaper.clone(),
            running: self.running.clone(),
            handle: session.handle(),
            wish,
            screen: waiting.screen,
            env,
        };
        let live = start.go(waiting.channel, input).await;
        self.sessions.insert(id, Slot::Used(live));
        Ok(())
    }

    fn answer(session: &mut Session, id: ChannelId, done: bool) -> Result<()> {
        match done {
            true => session.channel_success(id),
            false => session.channel_failure(id),
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, user: &str, key: &PublicKey) -> Result<Auth> {
        let known = self.account(user, key).is_some();
        Ok(if known { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: &PublicKey) -> Result<Auth> {
        let Some(account) = self.account(user, key) else { return Ok(Auth::reject()) };
        self.account = Some(Arc::new(account));
        self.authenticated.send_replace(true);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<()> {
        if self.inputs.open(channel.id()).is_none() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let (_, channel) = channel.split();
        let id = channel.id();
        let waiting = Waiting { channel, screen: None, env: Vec::new(), agent: false };
        self.sessions.insert(id, Slot::Waiting(Box::new(waiting)));
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<()> {
        let target = forward::Target::tcp(host, port, &self.setup.hostname);
        self.forwards.direct(channel, target, reply).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<()> {
        let account = self.account.as_deref();
        let target = account.map(|account| forward::Target::local(path, &account.credentials));
        self.forwards.direct(channel, target.unwrap_or(Err(forward::PROHIBITED)), reply).await;
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool> {
        let root = self.account.as_ref().is_some_and(|account| account.credentials.uid == 0);
        Ok(self.forwards.listen(address, port, root, session.handle()).await)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool> {
        Ok(self.forwards.cancel(address, port))
    }

    /// Of a channel that this side asked for.
    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<()> {
        self.inputs.open(id);
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<()> {
        if let Some(input) = self.inputs.get(id) {
            input.push(data);
            input.pace(data.len()).await;
        }
        Ok(())
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        self.inputs.target()
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<()> {
        if let Some(input) = self.inputs.get(id) {
            input.end();
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<()> {
        self.inputs.close(id);
        self.sessions.remove(&id);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<()> {
        let fits = term.len() <= limits::TERM && !term.contains('\0');
        let waiting = self.waiting(id).filter(|waiting| fits && waiting.screen.is_none());
        let done = waiting.map(|waiting| {
            let size = Terminal { rows, columns, ..Terminal::default() };
            let modes = modes.to_vec();
            waiting.screen = Some(Screen { term: term.to_owned(), size, modes });
        });
        Self::answer(session, id, done.is_some())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<()> {
        let fits = is_accepted(name)
            && name.len().max(value.len()) <= limits::VARIABLE
            && !value.contains('\0');
        let waiting =
            self.waiting(id).filter(|waiting| fits && waiting.env.len() < limits::VARIABLES);
        let done = waiting.map(|waiting| waiting.env.push(format!("{name}={value}").into_bytes()));
        Self::answer(session, id, done.is_some())
    }

    async fn agent_request(&mut self, id: ChannelId, session: &mut Session) -> Result<bool> {
        if self.agent.is_none()
            && let Some(account) = self.account.clone()
        {
            let made = Agent::listen(&account.credentials, session.handle(), self.inputs.clone());
            self.agent = made.inspect_err(|e| eprintln!("mvm-init: forward the agent: {e}")).ok();
        }
        let made = self.agent.is_some();
        if let Some(waiting) = self.waiting(id) {
            waiting.agent = made;
        }
        Self::answer(session, id, made)?;
        Ok(made)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<()> {
        self.start(id, Wish::Shell, session).await
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<()> {
        if command.len() > limits::COMMAND || command.contains(&0) {
            return session.channel_failure(id);
        }
        self.start(id, Wish::Command(command.to_vec()), session).await
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<()> {
        match name {
            "sftp" => self.start(id, Wish::Sftp, session).await,
            _ => session.channel_failure(id),
        }
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        _: u32,
        _: u32,
        session: &mut Session,
    ) -> Result<()> {
        let size = Terminal { rows, columns, ..Terminal::default() };
        let set = |sizer: &crate::terminal::Sizer| -> io::Result<()> { sizer.set(&size) };
        let done = self.live(id).and_then(|live| live.sizer.as_ref()).map(set);
        Self::answer(session, id, done.is_some_and(|done| done.is_ok()))
    }

    async fn signal(&mut self, id: ChannelId, name: Sig, session: &mut Session) -> Result<()> {
        let runs = self.live(id).filter(|live| self.running.holds(live.leader));
        let signal = runs.zip(session::number_of(&name));
        let done = signal.map(|(live, number)| session::signal(live.leader, number));
        Self::answer(session, id, done.is_some())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.inputs.close_all();
    }
}
