// SPDX-License-Identifier: Apache-2.0
//! Files between this host and a VM, as tars: the one side packs, the other unpacks, with
//! the same code (mvm-files) and by the rules of `docker cp`. The VM's side is a helper in
//! it; what comes of it is a hostile guest's.

mod inject;
mod pipe;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mvm_files::archive::{TarError, Writer};
use mvm_files::helper::{self, INCOMPLETE, Incoming, Outgoing};
use mvm_files::{As, Error, Into, Notes, Rules};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::error::{Failure, Result};
use crate::monitor::{Helper, HelperEnd};

pub use inject::{
    FILE as INJECTED, Inject, put as put_injected, request as request_injected,
    write as write_injected,
};

/// This host's side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// A tar, on stdin or stdout.
    Tar,
    Path(PathBuf),
}

/// What is asked for, beside the places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Owners are kept.
    pub archive: bool,
    /// A link that is to be copied is what it leads to.
    pub follow: bool,
}

/// How a copy goes on, for whoever looks at it and may end it.
#[derive(Default)]
pub struct Course {
    /// Bytes of tar that came through.
    pub moved: AtomicU64,
    /// Ends it, between two files.
    pub given_up: CancellationToken,
}

/// How long a helper may take to clean up when a copy is given up.
const CLEANING: Duration = Duration::from_secs(5);

/// What a helper is to be started with, and what it will be asked.
pub struct Request {
    pub name: &'static str,
    pub arguments: Vec<Vec<u8>>,
}

/// Asks for `path` of a VM.
pub fn request_out(path: &[u8], options: Options) -> Request {
    let name = mvm_files::name_of(path);
    let outgoing = Outgoing { path: path.to_vec(), name, follow: options.follow };
    Request { name: helper::OUT, arguments: outgoing.arguments() }
}

/// Asks for a place in a VM for what comes.
pub fn request_in(place: &[u8], from: &Local, options: Options) -> Request {
    let each = *from == Local::Tar;
    let incoming = Incoming { place: place.to_vec(), owners: options.archive, each, hook: false };
    Request { name: helper::IN, arguments: incoming.arguments() }
}

/// Takes what a helper packs.
pub async fn out(helper: Helper, to: &Local, options: Options, course: &Course) -> Result<()> {
    let (stdin, stdout, ending) = helper.split();
    // It reads nothing.
    drop(stdin);
    let taken = match to {
        Local::Tar => pass_on(stdout, tokio::io::stdout(), course).await.map(|()| None),
        Local::Path(place) => unpack(stdout, place.clone(), options, course).await.map(Some),
    };
    if course.given_up.is_cancelled() {
        return Err(given_up());
    }
    let (notes, broken) = match taken {
        Ok(notes) => (notes, None),
        // Why it broke off, the helper knows.
        Err(Taking::Broken(failure)) => (None, Some(failure)),
        // It is hung up on.
        Err(Taking::Local(failure)) => return Err(failure),
    };
    let ended = judge(&ending.await?);
    say(notes.iter().flat_map(Notes::lines));
    ended.and(broken.map_or(Ok(()), Err))
}

/// Why a tar was not taken to its end.
enum Taking {
    Local(Failure),
    Broken(Failure),
}

async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    course: &Course,
) -> std::result::Result<(), Taking> {
    let mut buffer = vec![0; pipe::PIECE];
    let local = |e| Taking::Local(Failure::cannot("write to stdout", e));
    loop {
        let read = course.given_up.run_until_cancelled(from.read(&mut buffer)).await;
        match read.unwrap_or(Ok(0)) {
            Ok(count) if count > 0 => {
                to.write_all(buffer.get(..count).unwrap_or_default()).await.map_err(local)?;
                course.moved.fetch_add(count as u64, Ordering::Relaxed);
            }
            _ => return to.flush().await.map_err(local),
        }
    }
}

async fn unpack(
    from: impl AsyncRead + Unpin,
    place: PathBuf,
    options: Options,
    course: &Course,
) -> std::result::Result<Notes, Taking> {
    let (feeding, tar) = pipe::reader(from, course);
    let rules = Rules { owners: options.archive, ..Rules::default() };
    let working = tokio::task::spawn_blocking(move || {
        let mut notes = Notes::default();
        let unpacked = mvm_files::unpack(tar, Into::Place(&place), rules, &mut notes);
        unpacked.map(|()| notes)
    });
    let ((), worked) = tokio::join!(feeding, working);
    match worked {
        Ok(Ok(notes)) => Ok(notes),
        Ok(Err(
            error @ (Error::Tar(TarError::Read(_)) | Error::Tar(TarError::Truncated { .. })),
        )) => Err(Taking::Broken(failure(&error))),
        Ok(Err(error @ Error::Empty)) => Err(Taking::Broken(failure(&error))),
        Ok(Err(error)) => Err(Taking::Local(failure(&error))),
        Err(error) => Err(Taking::Local(Failure::cannot("unpack", error))),
    }
}

/// Packs for a helper, or passes a tar on to it.
pub async fn into(helper: Helper, from: &Local, options: Options, course: &Course) -> Result<()> {
    let (mut stdin, stdout, ending) = helper.split();
    // It writes nothing.
    drop(stdout);
    let mut ending = std::pin::pin!(ending);
    let feeding = async {
        let fed = match from {
            Local::Tar => feed(tokio::io::stdin(), &mut stdin, course).await.map(|()| None),
            Local::Path(path) => pack(path.clone(), options, &mut stdin, course).await.map(Some),
        };
        let _ = stdin.shutdown().await;
        fed
    };
    let mut feeding = std::pin::pin!(feeding);
    let fed = tokio::select! {
        biased;
        // It needs no more, or cannot go on.
        ended = &mut ending => return judge(&ended?),
        fed = &mut feeding => fed,
    };
    if course.given_up.is_cancelled() {
        let _ = tokio::time::timeout(CLEANING, ending).await;
        return Err(given_up());
    }
    let notes = fed?;
    judge(&ending.await?)?;
    say(notes.iter().flat_map(Notes::lines));
    match notes.is_some_and(|notes| notes.incomplete) {
        true => Err(incomplete()),
        false => Ok(()),
    }
}

async fn feed(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    course: &Course,
) -> Result<()> {
    let mut buffer = vec![0; pipe::PIECE];
    loop {
        let read = course.given_up.run_until_cancelled(from.read(&mut buffer)).await;
        let count = read.unwrap_or(Ok(0)).map_err(|e| Failure::cannot("read stdin", e))?;
        if count == 0 {
            return Ok(());
        }
        // Who takes no more says why at its end.
        if to.write_all(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return Ok(());
        }
        course.moved.fetch_add(count as u64, Ordering::Relaxed);
    }
}

async fn pack(
    path: PathBuf,
    options: Options,
    to: &mut (impl AsyncWrite + Unpin),
    course: &Course,
) -> Result<Notes> {
    let (feeding, tar) = pipe::writer(to, course);
    let working = tokio::task::spawn_blocking(move || {
        let mut notes = Notes::default();
        let name = mvm_files::name_of(&pipe::slashed(&path));
        let what = As { follow: options.follow, ..As::named(&name) };
        let mut tar = Writer::new(tar);
        let packed = mvm_files::pack(&path, &what, &mut tar, &mut notes);
        packed.and_then(|()| tar.finish().map(drop).map_err(Error::Stream)).map(|()| notes)
    });
    let ((), worked) = tokio::join!(feeding, working);
    match worked {
        Ok(Ok(notes)) => Ok(notes),
        // The helper's end says why.
        Ok(Err(Error::Stream(_))) => Ok(Notes::default()),
        Ok(Err(error)) => Err(failure(&error)),
        Err(error) => Err(Failure::cannot("pack", error)),
    }
}

/// What a helper's end means.
fn judge(end: &HelperEnd) -> Result<()> {
    let mut lines = end.lines();
    let error = match end.code {
        0 => None,
        INCOMPLETE => Some(incomplete()),
        code => Some(match lines.pop() {
            Some(line) => in_vm(line),
            None => Failure::new(format!("the helper in the VM ended with {code}")),
        }),
    };
    say(lines);
    error.map_or(Ok(()), Err)
}

fn in_vm(what: String) -> Failure {
    let hint = if what.contains("read-only file system") {
        Some("--read-only, or :ro of a volume, is for cp, too")
    } else if what.contains("no space left") {
        Some("what was copied before is whole; make room in the VM, and copy again")
    } else {
        None
    };
    Failure::new(format!("in the VM: {what}")).maybe_hint(hint.map(str::to_owned))
}

/// A signal came.
pub fn given_up() -> Failure {
    Failure::new("given up before everything was copied")
}

fn incomplete() -> Failure {
    Failure::new("a file became smaller while it was copied: its end is zeros")
        .hint("copy it when nobody writes to it")
}

fn say(notes: impl IntoIterator<Item = String>) {
    for note in notes {
        eprintln!("warning: {note}");
    }
}

fn failure(error: &Error) -> Failure {
    Failure::new(error.to_string())
}
