// SPDX-License-Identifier: Apache-2.0
//! `mvm ssh`: one session in a VM, on this terminal or on pipes.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, ChannelOpenHandle, Config, Handle, Handler, Msg, connect_stream};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Preferred, Sig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::escape::Escape;
use super::transport::{self, Ending, Stream, why};
use super::{FAILED, Keys, agent};
use crate::error::{Failure, Result};
use crate::state::Record;
use crate::sys;
use crate::terminal::{self, Raw, Size, Sizes};

/// From the first byte to a session: the guest may be emulated.
const CONNECTING: Duration = Duration::from_secs(60);
/// Bytes of stdin that are read at once; a packet's worth.
const PIECE: usize = 32 << 10;
/// Number of stderr among extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// Who logs in where.
pub struct Login<'a> {
    pub record: &'a Record,
    pub keys: &'a Keys,
    pub user: String,
}

/// What is to run.
#[derive(Debug)]
pub struct Session {
    /// None is a shell.
    pub command: Option<Vec<u8>>,
    pub terminal: bool,
    /// The agent of this host may be asked from there.
    pub forward_agent: bool,
}

/// Who holds the server's pinned key, and gives the VM a way to the agent.
struct Client {
    pinned: PublicKey,
    agent: Option<OsString>,
    impostor: mpsc::Sender<()>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> std::result::Result<bool, russh::Error> {
        let known = matches!(key, PublicKeyOrCertificate::PublicKey { key, .. }
            if key.key_data() == self.pinned.key_data());
        if !known {
            let _ = self.impostor.try_send(());
        }
        Ok(known)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> std::result::Result<(), russh::Error> {
        // Nobody who was not given the agent gets it.
        let Some(place) = self.agent.clone() else { return Ok(()) };
        tokio::spawn(async move {
            let Ok(mut here) = agent::connect(&place).await else { return };
            reply.accept().await;
            let mut there = channel.into_stream();
            let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        });
        Ok(())
    }
}

/// Runs a session to its end: the status that ssh(1) would have, and 128 + n
/// for a death by signal n.
pub async fn run(login: &Login<'_>, session: Session) -> Result<u8> {
    let agent = match session.forward_agent {
        true => Some(agent::place().ok_or_else(no_agent)?),
        false => None,
    };
    let (stream, ending) = transport::open(login.record).await?;
    let (handle, ending) = connect(login, stream, ending, agent.clone()).await?;
    let (reader, writer) = open(&handle, &session, agent.is_some()).await.map_err(refused)?;
    let ended = converse(reader, Arc::new(writer), session.terminal).await;
    match ended? {
        Some(status) => {
            let farewell = handle.disconnect(russh::Disconnect::ByApplication, "", "");
            let _ = timeout(Duration::from_secs(1), farewell).await;
            Ok(status)
        }
        None => {
            drop(handle);
            Err(why(ending, format!("the connection to {} was lost", login.record.name)).await)
        }
    }
}

fn no_agent() -> Failure {
    Failure::new("-A forwards an ssh-agent, and there is none here")
        .hint("eval \"$(ssh-agent)\" && ssh-add, or leave out -A")
        .status(FAILED)
}

fn refused(error: russh::Error) -> Failure {
    Failure::cannot("open a session", error).status(FAILED)
}

async fn connect(
    login: &Login<'_>,
    stream: Stream,
    ending: Ending,
    agent: Option<OsString>,
) -> Result<(Handle<Client>, Ending)> {
    let (impostor, mut impostors) = mpsc::channel(1);
    let client = Client { pinned: login.keys.pinned().clone(), agent, impostor };
    let name = &login.record.name;
    let connecting = timeout(CONNECTING, connect_stream(Arc::new(config()), stream, client)).await;
    let mut handle = match connecting {
        Ok(Ok(handle)) => handle,
        Ok(Err(_)) if impostors.try_recv().is_ok() => return Err(impostor_at(name)),
        Ok(Err(error)) => {
            return Err(
                why(ending, format!("cannot reach the SSH server of {name}: {error}")).await
            );
        }
        Err(_) => return Err(too_slow(name)),
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(login.keys.client().clone()), None);
    let authenticating = handle.authenticate_publickey(&login.user, key);
    match timeout(CONNECTING, authenticating).await {
        Ok(Ok(AuthResult::Success)) => Ok((handle, ending)),
        Ok(Ok(AuthResult::Failure { .. })) => Err(unknown_user(&login.user, name)),
        Ok(Err(error)) => {
            drop(handle);
            Err(why(ending, format!("cannot log in to {name}: {error}")).await)
        }
        Err(_) => Err(too_slow(name)),
    }
}

fn impostor_at(name: &str) -> Failure {
    Failure::new(format!("the SSH server of {name} does not have the key that was made for it"))
        .hint("something in the VM answers in its place: do not trust what it says")
        .status(FAILED)
}

fn too_slow(name: &str) -> Failure {
    let seconds = CONNECTING.as_secs();
    Failure::new(format!("the SSH server of {name} did not answer within {seconds} s"))
        .hint(format!("mvm stats {name} shows whether it has CPU and memory left"))
        .status(FAILED)
}

fn unknown_user(user: &str, name: &str) -> Failure {
    Failure::new(format!("{user:?} may not log in to {name}"))
        .hint("root may, and the user that the VM's command runs as")
        .status(FAILED)
}

fn config() -> Config {
    Config {
        // The server offers few; of those, what a CPU has instructions for.
        preferred: Preferred::DEFAULT,
        window_size: 1 << 20,
        channel_buffer_size: 16,
        ..Config::default()
    }
}

type Halves = (ChannelReadHalf, ChannelWriteHalf<Msg>);

/// The requests go out together: the answers are looked at as they come.
async fn open(
    handle: &Handle<Client>,
    session: &Session,
    agent: bool,
) -> std::result::Result<Halves, russh::Error> {
    let (reader, writer) = handle.channel_open_session().await?.split();
    for (name, value) in environment() {
        writer.set_env(false, name, value).await?;
    }
    if agent {
        writer.agent_forward(false).await?;
    }
    if session.terminal {
        let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".into());
        let size = terminal::size().unwrap_or(Size { rows: 0, columns: 0 });
        let (columns, rows) = (size.columns.into(), size.rows.into());
        writer.request_pty(false, &term, columns, rows, 0, 0, &[]).await?;
    }
    match &session.command {
        Some(command) => writer.exec(true, command.clone()).await?,
        None => writer.request_shell(true).await?,
    }
    Ok((reader, writer))
}

/// What Debian's ssh sends, and the word for colours.
fn environment() -> impl Iterator<Item = (String, String)> {
    let wanted = |name: &str| name == "LANG" || name == "COLORTERM" || name.starts_with("LC_");
    let all = std::env::vars_os();
    let text =
        all.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(move |(name, _)| wanted(name))
}

type Writer = Arc<ChannelWriteHalf<Msg>>;

/// Until the session's end: its status, or `None` if it had no word of it.
async fn converse(reader: ChannelReadHalf, writer: Writer, terminal: bool) -> Result<Option<u8>> {
    let raw = match terminal && io::stdin().is_terminal() {
        true => Some(Raw::set().map_err(|e| Failure::cannot("make the terminal raw", e))?),
        false => None,
    };
    let (leaving, mut left) = mpsc::channel(1);
    tokio::spawn(pass_input(Arc::clone(&writer), raw.is_some(), leaving));
    if terminal {
        tokio::spawn(follow_terminal(Arc::clone(&writer)));
    }
    // A raw terminal is set back before this process goes.
    let mut signals = match raw {
        Some(_) => sys::signals().ok(),
        None => None,
    };
    let signal = async {
        loop {
            match &mut signals {
                Some(signals) => match signals.recv().await {
                    // Its terminal's, and job control.
                    Some(1 | 2 | 3 | 13 | 15) | None => return,
                    Some(_) => {}
                },
                None => std::future::pending().await,
            }
        }
    };
    let status = tokio::select! {
        status = receive(reader) => Ok(status),
        Some(()) = left.recv() => Ok(Some(FAILED)),
        () = signal => Ok(Some(FAILED)),
    };
    drop(raw);
    status
}

async fn receive(mut reader: ChannelReadHalf) -> Option<u8> {
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let mut status = None;
    while let Some(message) = reader.wait().await {
        match message {
            // Who reads no more here is no reason to stop the command there: it
            // learns of it by the end of this one.
            ChannelMsg::Data { data } => {
                let shown = stdout.write_all(&data).await;
                if shown.is_err() || stdout.flush().await.is_err() {
                    return Some(FAILED);
                }
            }
            ChannelMsg::ExtendedData { data, ext: STDERR } => {
                let _ = stderr.write_all(&data).await;
                let _ = stderr.flush().await;
            }
            ChannelMsg::ExitStatus { exit_status } => {
                status = Some(u8::try_from(exit_status).unwrap_or(FAILED));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                status = Some(128_u8.saturating_add(number(&signal_name)));
            }
            ChannelMsg::Failure => return Some(FAILED),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    status
}

fn number(signal: &Sig) -> u8 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        // Ours: see the guest's session.
        Sig::Custom(name) => name.split('@').next().and_then(|n| n.parse().ok()).unwrap_or(127),
    }
}

async fn pass_input(writer: Writer, raw: bool, leaving: mpsc::Sender<()>) {
    let mut stdin = tokio::io::stdin();
    let mut escape = raw.then(Escape::new);
    let mut buffer = vec![0; PIECE];
    loop {
        let count = stdin.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        let mut bytes = buffer[..count].to_vec();
        if let Some(escape) = &mut escape {
            let typed = std::mem::take(&mut bytes);
            if !escape.pass(&typed, &mut bytes) {
                let _ = leaving.send(()).await;
                return;
            }
        }
        if writer.data_bytes(bytes).await.is_err() {
            return;
        }
    }
    match raw {
        // A raw terminal has no end but its own.
        true => drop(leaving.send(()).await),
        false => drop(writer.eof().await),
    }
}

/// The terminal of the VM takes the size of this one.
async fn follow_terminal(writer: Writer) {
    let Some(mut sizes) = Sizes::follow() else {
        return;
    };
    while let Some(Size { rows, columns }) = sizes.next().await {
        let _ = writer.window_change(columns.into(), rows.into(), 0, 0).await;
    }
}
