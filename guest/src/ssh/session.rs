// SPDX-License-Identifier: Apache-2.0
//! One session: a shell, a command or a subsystem, from its start to the end
//! of its channel.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mvm_proto::{Process, StartFailureKind};
use russh::Sig;
use rustix::fs::Uid;
use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::account::Account;
use super::input::Input;
use super::spawn::{Ends, Screen, Spawned, spawn};
use super::{Handle, Setup, WriteHalf, limits};
use crate::lookup::Refusal;
use crate::reaper::Reaper;
use crate::streams::{Ended, Output};

/// Number of stderr among extended data (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// The helper that serves sftp: this program, as the user.
const SFTP: &[u8] = b"sftp-server";

/// What a client wants to run.
pub enum Wish {
    Shell,
    Command(Vec<u8>),
    Sftp,
}

/// Everything that a session starts with.
pub struct Start {
    pub setup: Arc<Setup>,
    pub account: Arc<Account>,
    pub reaper: Reaper,
    pub running: Running,
    pub handle: Handle,
    pub wish: Wish,
    pub screen: Option<Screen>,
    /// NAME=value, over the login's own.
    pub env: Vec<Vec<u8>>,
}

/// The leaders of a connection's sessions, which are process groups.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<HashSet<Pid>>>);

impl Running {
    fn with<T>(&self, f: impl FnOnce(&mut HashSet<Pid>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn holds(&self, leader: Pid) -> bool {
        self.with(|all| all.contains(&leader))
    }

    /// The client has gone.
    pub fn hang_up(&self) {
        self.with(|all| all.iter().for_each(|pid| signal(*pid, libc::SIGHUP)));
    }
}

/// Signals a session's process group; one that is gone is no error.
pub fn signal(leader: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process_group(leader, signal);
    }
}

/// A session that runs, as its channel sees it.
pub struct Live {
    pub leader: Pid,
    pub sizer: Option<crate::terminal::Sizer>,
}

impl Start {
    /// Starts it; what it has to say goes to `channel`, and so does why there
    /// is nothing to run.
    pub async fn go(self, channel: WriteHalf, input: Arc<Input>) -> Option<Live> {
        match self.launch().await {
            Ok(spawned) => {
                let leader = spawned.pid;
                let sizer = match &spawned.ends {
                    Ends::Terminal(master) => Some(master.sizer()),
                    Ends::Pipes { .. } => None,
                };
                self.running.with(|all| all.insert(leader));
                tokio::spawn(run(spawned, channel, self.handle, input, self.running));
                Some(Live { leader, sizer })
            }
            Err(refusal) => {
                tokio::spawn(refuse(refusal, channel));
                None
            }
        }
    }

    async fn launch(&self) -> Result<Spawned, Refusal> {
        let shell = self.account.shell.clone();
        let base = shell.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec();
        let tried = match &self.wish {
            Wish::Sftp => self.spawn(vec![SFTP.to_vec()], None).await,
            Wish::Shell => self.spawn(vec![shell], Some([b"-", &base[..]].concat())).await,
            Wish::Command(command) => {
                self.spawn(vec![shell, b"-c".to_vec(), command.clone()], Some(base)).await
            }
        };
        let Err(refusal) = tried else { return tried };
        match &self.wish {
            Wish::Sftp => Err(refusal),
            // A program may be run where there is no shell.
            Wish::Command(command) if !self.has_shell() => match plain_words(command) {
                Some(words) => self.spawn(words, None).await,
                None => Err(self.no_shell(&refusal)),
            },
            _ => Err(self.no_shell(&refusal)),
        }
    }

    async fn spawn(&self, args: Vec<Vec<u8>>, name: Option<Vec<u8>>) -> Result<Spawned, Refusal> {
        let mut process: Process = self.account.process(&self.setup.workload, args);
        process.env.extend(self.env.iter().cloned());
        process.helper = matches!(self.wish, Wish::Sftp);
        let owner = Uid::from_raw(self.account.credentials.uid);
        let hostname = &self.setup.hostname;
        spawn(process, name, self.screen.as_ref(), owner, hostname, &self.reaper).await
    }

    fn has_shell(&self) -> bool {
        Path::new(OsStr::from_bytes(&self.account.shell)).exists()
    }

    fn no_shell(&self, refusal: &Refusal) -> Refusal {
        let user = String::from_utf8_lossy(&self.account.name);
        let shell = String::from_utf8_lossy(&self.account.shell);
        let message = match self.has_shell() {
            true => refusal.message.clone(),
            false => format!(
                "{user} has no shell: {shell} is not in the image; \
                 a program can be run by its absolute path, or with mvm exec"
            ),
        };
        Refusal::new(refusal.kind, message)
    }
}

/// The words of a command that begins with an absolute path and asks nothing
/// of a shell but to be taken apart at blanks.
fn plain_words(command: &[u8]) -> Option<Vec<Vec<u8>>> {
    let special = b"\"'\\`$&|;<>()*?[]{}#~!\n\0";
    let plain = command.starts_with(b"/") && !command.iter().any(|b| special.contains(b));
    let words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    plain.then(|| words.map(<[u8]>::to_vec).collect())
}

/// Says why nothing runs, on stderr and by Docker's status.
async fn refuse(refusal: Refusal, channel: WriteHalf) {
    let status = match refusal.kind {
        StartFailureKind::NOT_FOUND => 127,
        StartFailureKind::NOT_EXECUTABLE | StartFailureKind::BAD_CWD => 126,
        _ => 125,
    };
    let message = format!("mvm: {}\r\n", refusal.message);
    // The client may have gone.
    let _ = channel.extended_data_bytes(STDERR, message.into_bytes()).await;
    let _ = channel.exit_status(status).await;
    close(&channel).await;
}

pub async fn close(channel: &WriteHalf) {
    let _ = channel.eof().await;
    let _ = channel.close().await;
}

async fn run(
    spawned: Spawned,
    channel: WriteHalf,
    handle: Handle,
    input: Arc<Input>,
    running: Running,
) {
    let leader = spawned.pid;
    let (ended_sender, ended) = watch::channel(false);
    let reaping = async {
        let status = spawned.status.await.ok();
        running.with(|all| all.remove(&leader));
        ended_sender.send_replace(true);
        status
    };
    let moving = async {
        match spawned.ends {
            Ends::Terminal(master) => {
                let feeding = tokio::spawn(feed(Arc::clone(&input), master.clone()));
                show(master, &channel, None, ended).await;
                feeding.abort();
            }
            Ends::Pipes { input: pipe, output, errors } => {
                let feeding = tokio::spawn(feed(Arc::clone(&input), pipe));
                tokio::join!(
                    show(output, &channel, None, ended.clone()),
                    show(errors, &channel, Some(STDERR), ended)
                );
                feeding.abort();
            }
        }
    };
    tokio::select! {
        (status, ()) = async { tokio::join!(reaping, moving) } => {
            input.ignore();
            tell(&channel, &handle, status).await;
            close(&channel).await;
        }
        // Its pipes or its terminal are closed with it, too.
        () = input.closed() => {
            input.ignore();
            if running.with(|all| all.remove(&leader)) {
                signal(leader, libc::SIGHUP);
            }
        }
    }
}

async fn feed<W: AsyncWrite + Unpin>(input: Arc<Input>, mut pipe: W) {
    while let Some(bytes) = input.next().await {
        let written = tokio::select! {
            written = pipe.write_all(&bytes) => written.is_ok(),
            () = input.closed() => false,
        };
        if !written {
            break;
        }
    }
    // A process that reads no more is no error.
    input.ignore();
}

/// Copies what a process writes, to its end.
async fn show<R>(pipe: R, channel: &WriteHalf, extended: Option<u32>, ended: Ended)
where
    R: AsyncRead + AsFd + Unpin,
{
    let mut output = Output::new(pipe, ended);
    let mut buffer = vec![0; limits::PACKET as usize];
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        let bytes = buffer[..length].to_vec();
        let sent = match extended {
            None => channel.data_bytes(bytes).await,
            Some(number) => channel.extended_data_bytes(number, bytes).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// How it ended.
async fn tell(channel: &WriteHalf, handle: &Handle, status: Option<WaitStatus>) {
    let signal = status.and_then(|status| status.terminating_signal());
    let Some(signal) = signal else {
        let code = status.and_then(|status| status.exit_status()).unwrap_or(255);
        let _ = channel.exit_status(code.unsigned_abs()).await;
        return;
    };
    let (name, dumped) = (name_of(signal), false);
    let telling =
        handle.exit_signal_request(channel.id(), name, dumped, String::new(), String::new());
    let _ = telling.await;
}

const SIGNALS: [(i32, Sig); 12] = [
    (libc::SIGABRT, Sig::ABRT),
    (libc::SIGALRM, Sig::ALRM),
    (libc::SIGFPE, Sig::FPE),
    (libc::SIGHUP, Sig::HUP),
    (libc::SIGILL, Sig::ILL),
    (libc::SIGINT, Sig::INT),
    (libc::SIGKILL, Sig::KILL),
    (libc::SIGPIPE, Sig::PIPE),
    (libc::SIGQUIT, Sig::QUIT),
    (libc::SIGSEGV, Sig::SEGV),
    (libc::SIGTERM, Sig::TERM),
    (libc::SIGUSR1, Sig::USR1),
];

/// A signal that RFC 4254 has no name for gets one of ours.
fn name_of(signal: i32) -> Sig {
    let known = SIGNALS.iter().find(|(number, _)| *number == signal).map(|(_, name)| name.clone());
    known.unwrap_or_else(|| Sig::Custom(format!("{signal}@mvm")))
}

/// The signal that a client names; those of Linux beyond RFC 4254, too.
pub fn number_of(name: &Sig) -> Option<i32> {
    const MORE: [(&str, i32); 6] = [
        ("USR2", libc::SIGUSR2),
        ("STOP", libc::SIGSTOP),
        ("TSTP", libc::SIGTSTP),
        ("CONT", libc::SIGCONT),
        ("WINCH", libc::SIGWINCH),
        ("CHLD", libc::SIGCHLD),
    ];
    if let Sig::Custom(name) = name {
        return MORE.iter().find(|(known, _)| known == name).map(|(_, number)| *number);
    }
    let same = |known: &Sig| std::mem::discriminant(known) == std::mem::discriminant(name);
    SIGNALS.iter().find(|(_, known)| same(known)).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_by_its_path_needs_no_shell() {
        let words = |line: &str| {
            let words = plain_words(line.as_bytes())?;
            Some(words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(words("/bin/app  -v x"), Some(vec!["/bin/app".into(), "-v".into(), "x".into()]));
        for line in ["app", "", "/bin/app | x", "/bin/app $HOME", "/bin/app 'a b'", "/a;b"] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn signals_have_names_both_ways() {
        for (number, name) in &SIGNALS {
            assert_eq!(number_of(name), Some(*number));
            assert_eq!(number_of(&name_of(*number)), Some(*number));
        }
        assert_eq!(number_of(&Sig::Custom("USR2".into())), Some(libc::SIGUSR2));
        assert_eq!(number_of(&Sig::Custom("NONE".into())), None);
    }
}
