// SPDX-License-Identifier: Apache-2.0
//! `mvm ssh`

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use clap::Args;

use crate::error::{Failure, Result};
use crate::ssh::{self, Keys, Login, Session};
use crate::state::{Dirs, Found, Phase, VmStore};
use crate::sys;

/// How long a VM that comes up is waited for: longer than it may take.
const PATIENCE: Duration = Duration::from_secs(200);

/// Open a shell in a running VM, or run a command there, over SSH
#[derive(Debug, Args)]
#[command(override_usage = "mvm ssh [OPTIONS] [USER@]VM [COMMAND] [ARG...]")]
pub struct SshArgs {
    /// Name, ID or start of an ID, and who logs in; then a command for the shell
    /// there, flags of mvm or not
    #[arg(required = true, trailing_var_arg = true, value_name = "VM")]
    words: Vec<OsString>,
    /// Who logs in: root, or the user of the VM's command [default: that]
    #[arg(short, long, value_name = "USER")]
    login: Option<String>,
    /// Let the VM use the ssh-agent of this host
    #[arg(short = 'A', long)]
    forward_agent: bool,
    /// Have a terminal, with a command too [default: for a shell]
    #[arg(short, long, overrides_with = "no_tty")]
    tty: bool,
    /// Have no terminal
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Be the connection, on stdin and stdout: for ProxyCommand of ssh_config
    #[arg(long, conflicts_with_all = ["forward_agent", "tty", "no_tty", "login"])]
    stdio: bool,
}

pub async fn run(dirs: &Dirs, args: SshArgs) -> Result<u8> {
    connect(dirs, args).await.map_err(|failure| failure.status(ssh::FAILED))
}

async fn connect(dirs: &Dirs, args: SshArgs) -> Result<u8> {
    let (user, vm, command) = args.place()?;
    let found = running(dirs, &vm).await?;
    if args.stdio {
        if !command.is_empty() {
            return Err(Failure::new("--stdio runs no command").hint("mvm ssh --stdio VM"));
        }
        return ssh::pass(&found.record).await;
    }
    let keys = Keys::ensure(&dirs.vm(&found.record.id))?;
    let here = io::stdin().is_terminal();
    if args.tty && !here {
        crate::terminal::check_input()?;
    }
    let terminal = !args.no_tty && here && (args.tty || command.is_empty());
    let session = Session {
        command: (!command.is_empty()).then(|| joined(command)),
        terminal,
        forward_agent: args.forward_agent,
    };
    let user = user.unwrap_or_else(|| user_of(&found));
    let login = Login { record: &found.record, keys: &keys, user };
    ssh::run(&login, session).await
}

/// As ssh(1): the shell there takes it apart again.
fn joined(command: &[OsString]) -> Vec<u8> {
    let words: Vec<Vec<u8>> = command.iter().map(|word| sys::os_bytes(word)).collect();
    words.join(&b' ')
}

/// Who logs in when nobody is named: the user of the VM's command.
pub fn user_of(found: &Found) -> String {
    let user = found.record.user.split(':').next().unwrap_or_default();
    if user.is_empty() { "root".into() } else { user.into() }
}

/// A VM whose command runs, waited for while it comes up.
async fn running(dirs: &Dirs, vm: &str) -> Result<Found> {
    let vms = VmStore::new(dirs);
    let begun = Instant::now();
    loop {
        let found = vms.find(vm)?;
        let name = &found.record.name;
        match found.phase() {
            Phase::Running => return Ok(found),
            Phase::Creating | Phase::Starting if begun.elapsed() < PATIENCE => {}
            phase @ (Phase::Creating | Phase::Starting) => {
                return Err(Failure::new(format!("VM {name} is {phase} still"))
                    .hint(format!("mvm logs {name}")));
            }
            _ => return Err(found.record.not_running()),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl SshArgs {
    /// The user, if one is named, the VM and the command.
    fn place(&self) -> Result<(Option<String>, String, &[OsString])> {
        let (place, command) = match &self.words[..] {
            [place, first, rest @ ..] if first == "--" => (place, rest),
            [place, rest @ ..] => (place, rest),
            [] => return Err(Failure::new("no VM is given").hint("mvm ssh VM")),
        };
        let place = place.to_string_lossy();
        let (user, vm) = match place.rsplit_once('@') {
            Some((user, vm)) => (Some(user.to_owned()), vm),
            None => (None, &*place),
        };
        Ok((self.login.clone().or(user), vm.to_owned(), command))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(line: &[&str]) -> SshArgs {
        match Cli::try_parse_from(["mvm", "ssh"].iter().chain(line)).unwrap().command {
            Command::Ssh(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_user_a_vm_and_a_command() {
        for (line, user, vm, command) in [
            (&["web"][..], None, "web", ""),
            (&["root@web", "ls", "-l"], Some("root"), "web", "ls -l"),
            (&["-l", "me", "root@web", "--", "ls"], Some("me"), "web", "ls"),
            (&["-A", "web", "--stdio"], None, "web", "--stdio"),
        ] {
            let args = parse(line);
            let (found, name, words) = args.place().unwrap();
            assert_eq!((found.as_deref(), name.as_str()), (user, vm), "{line:?}");
            assert_eq!(joined(words), command.as_bytes(), "{line:?}");
        }
        assert!(Cli::try_parse_from(["mvm", "ssh", "--stdio", "-A", "web"]).is_err());
    }
}
