// SPDX-License-Identifier: Apache-2.0
//! `mvm cp`

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use super::format;
use crate::copy::{self, Course, Local, Options};
use crate::error::{Failure, Result};
use crate::monitor::{self, ExecRequest};
use crate::pipeline::{self, Held, Visit};
use crate::state::{Dirs, Found, Phase, VmStore};
use crate::sys;

/// Copy files between this host and a VM
#[derive(Debug, Args)]
#[command(override_usage = "mvm cp [OPTIONS] VM:SRC DEST|-\n       mvm cp [OPTIONS] SRC|- VM:DEST")]
pub struct CpArgs {
    /// File or directory: VM:PATH, or one of this host (./a:b if it has a colon);
    /// - is a tar on stdin
    #[arg(value_name = "SRC")]
    source: OsString,
    /// Where it goes, by the rules of docker cp; - is a tar on stdout
    #[arg(value_name = "DEST")]
    target: OsString,
    /// Keep owners; without it, files belong to root in the VM, and to you here
    #[arg(short, long)]
    archive: bool,
    /// Copy what SRC leads to, if it is a symbolic link
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Do not show how it goes on
    #[arg(short, long)]
    quiet: bool,
}

/// One of the two places.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Vm(String, Vec<u8>),
    Local(Local),
}

/// How long it may take before it is shown.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// SIGWINCH, in the guest's numbers.
const WINDOW_CHANGED: u32 = 28;

pub async fn run(dirs: &Dirs, args: CpArgs) -> Result<u8> {
    let options = Options { archive: args.archive, follow: args.follow_link };
    let store = VmStore::new(dirs);
    let course = Course::default();
    match (place(&args.source)?, place(&args.target)?) {
        (Place::Vm(vm, path), Place::Local(to)) => {
            if to == Local::Tar && io::stdout().is_terminal() {
                return Err(Failure::new("a tar is nothing for a terminal")
                    .hint("mvm cp VM:SRC - | tar -t"));
            }
            let found = store.find(&vm)?;
            let request = copy::request_out(&path, options);
            let work = |helper| copy::out(helper, &to, options, &course);
            watched(&args, &course, with_helper(&found, request, &course, work)).await
        }
        (Place::Local(from), Place::Vm(vm, path)) => {
            check_source(&from)?;
            let found = store.find(&vm)?;
            let request = copy::request_in(&path, &from, options);
            let work = |helper| copy::into(helper, &from, options, &course);
            watched(&args, &course, with_helper(&found, request, &course, work)).await
        }
        (Place::Vm(..), Place::Vm(..)) => Err(Failure::new("copying between VMs is not supported")
            .hint("mvm cp A:SRC - | mvm cp - B:DEST")),
        (Place::Local(_), Place::Local(_)) => {
            Err(Failure::new("no VM is given").hint("mvm cp VM:SRC DEST, or mvm cp SRC VM:DEST"))
        }
    }
}

/// Does `work` with a helper in a VM, which is booted for that if it does not run.
async fn with_helper<W: Future<Output = Result<()>>>(
    found: &Found,
    request: copy::Request,
    course: &Course,
    work: impl FnOnce(monitor::Helper) -> W,
) -> Result<()> {
    let request = ExecRequest::helper(request.name, &request.arguments);
    let name = &found.record.name;
    let held = match found.phase() {
        Phase::Created | Phase::Exited | Phase::Dead => pipeline::hold(found).await?,
        _ => Held::Runs(found.clone()),
    };
    match held {
        Held::Runs(found) if found.record.phase == Phase::Running => {
            work(monitor::helper(&found.record, request).await?).await
        }
        Held::Runs(found) => Err(Failure::new(format!("VM {name} is {}", found.phase()))
            .hint("copy when its command runs")),
        Held::Claimed(claim) => {
            let booting = course.given_up.run_until_cancelled(Visit::begin(claim)).await;
            let visit = booting.ok_or_else(copy::given_up)??;
            let outcome = match visit.helper(request).await {
                Ok(helper) => work(helper).await,
                Err(failure) => Err(failure),
            };
            visit.end().await;
            outcome
        }
    }
}

/// With a word on how it goes on, and at the end; a signal gives it up.
async fn watched(
    args: &CpArgs,
    course: &Course,
    work: impl Future<Output = Result<()>>,
) -> Result<u8> {
    let bar = (!args.quiet && io::stderr().is_terminal()).then(ProgressBar::new_spinner);
    let moved = || format::size(course.moved.load(Ordering::Relaxed));
    let mut showing = pin!(show(bar.as_ref(), &moved));
    let mut working = pin!(work);
    let mut signal = pin!(signal());
    let mut ended_by = None;
    let outcome = loop {
        tokio::select! {
            outcome = &mut working => break outcome,
            number = &mut signal, if ended_by.is_none() => {
                ended_by = Some(number);
                course.given_up.cancel();
            }
            () = &mut showing => {}
        }
    };
    if let Some(bar) = &bar {
        bar.finish_and_clear();
        if outcome.is_ok() {
            eprintln!("Successfully copied {} to {}", moved(), args.target.to_string_lossy());
        }
    }
    match ended_by.and_then(|number| u8::try_from(128 + number).ok()) {
        Some(status) if outcome.is_err() => Ok(status),
        _ => outcome.map(|()| 0),
    }
}

/// Never ends.
async fn show(bar: Option<&ProgressBar>, moved: impl Fn() -> String) {
    tokio::time::sleep(SHOWN_AFTER).await;
    loop {
        if let Some(bar) = bar {
            bar.set_message(format!("{} copied", moved()));
            bar.tick();
        }
        tokio::time::sleep(SHOWN_EVERY).await;
    }
}

/// The first signal that would end this process.
async fn signal() -> u32 {
    let mut signals = match sys::signals() {
        Ok(signals) => signals,
        Err(_) => return std::future::pending().await,
    };
    loop {
        match signals.recv().await {
            Some(WINDOW_CHANGED) => {}
            Some(signal) => return signal,
            None => return std::future::pending().await,
        }
    }
}

/// What is not there needs no VM.
fn check_source(from: &Local) -> Result<()> {
    let Local::Path(path) = from else { return Ok(()) };
    let there = std::fs::symlink_metadata(path);
    there
        .map(drop)
        .map_err(|e| Failure::cannot(format!("read {}", path.display()), mvm_files::text(&e)))
}

/// As Docker: absolute paths, and those that begin with a dot, are of this host.
fn place(word: &OsStr) -> Result<Place> {
    if word.is_empty() {
        return Err(Failure::new("a path is empty").hint("mvm cp VM:SRC DEST"));
    }
    if word == "-" {
        return Ok(Place::Local(Local::Tar));
    }
    let local = || Ok(Place::Local(Local::Path(word.into())));
    let bytes = sys::os_bytes(word);
    let colon = bytes.iter().position(|&b| b == b':');
    let Some((vm, path)) = colon.and_then(|at| Some((bytes.get(..at)?, bytes.get(at + 1..)?)))
    else {
        return local();
    };
    if Path::new(word).is_absolute() || vm.starts_with(b".") {
        return local();
    }
    match std::str::from_utf8(vm) {
        Ok("") | Err(_) => Err(Failure::new(format!("{} names no VM", word.display()))
            .hint("VM:PATH; a path of this host with a colon: ./a:b")),
        Ok(vm) => Ok(Place::Vm(vm.into(), if path.is_empty() { b"/".into() } else { path.into() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_as_docker_does() {
        let vm = |vm: &str, path: &str| Place::Vm(vm.into(), path.into());
        let local = |path: &str| Place::Local(Local::Path(path.into()));
        for (word, expected) in [
            ("box:/etc", vm("box", "/etc")),
            ("box:etc/x:y", vm("box", "etc/x:y")),
            ("box:", vm("box", "/")),
            ("/a:b", local("/a:b")),
            ("./a:b", local("./a:b")),
            ("../a:b", local("../a:b")),
            ("plain/", local("plain/")),
            (".", local(".")),
            ("-", Place::Local(Local::Tar)),
        ] {
            assert_eq!(place(word.as_ref()).unwrap(), expected, "{word}");
        }
        assert!(place(":x".as_ref()).is_err() && place("".as_ref()).is_err());
    }
}
