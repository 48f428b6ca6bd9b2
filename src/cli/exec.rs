// SPDX-License-Identifier: Apache-2.0
//! `mvm exec`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::attachment;
use super::create::{absolute_workdir, environment};
use super::limits;
use crate::error::{Failure, Result};
use crate::monitor::{self, Attachment, End, ExecRequest, Streams};
use crate::state::{Dirs, Found, Phase, VmStore};
use crate::sys;
use crate::terminal::{self, Size};

/// Run another command in a running VM
#[derive(Debug, Args)]
#[command(override_usage = "mvm exec [OPTIONS] VM COMMAND [ARG...]")]
pub struct ExecArgs {
    /// Name, ID or start of an ID; then the command with its arguments, flags of
    /// mvm or not
    #[arg(required = true, trailing_var_arg = true, value_name = "VM")]
    words: Vec<OsString>,
    /// Pass stdin to the command
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Leave the command when it has started
    #[arg(short, long)]
    detach: bool,
    /// Set a variable; with no value, to what it is here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// Set variables from a file, a NAME[=VALUE] a line; -e wins
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory in the VM [default: the VM's command's]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User, and group: names or numbers [default: the VM's command's]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// With every right in the VM
    #[arg(long)]
    privileged: bool,
    /// Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

pub async fn run(dirs: &Dirs, args: ExecArgs) -> Result<u8> {
    let (vm, command) = args.vm_and_command()?;
    let found = VmStore::new(dirs).find(&vm).map_err(|failure| failure.status(1))?;
    check_runs(&found)?;
    let request = args.request(command)?;
    if args.tty && args.interactive && !args.detach {
        terminal::check_input()?;
    }
    let detach_keys = attachment::detach_keys(dirs, args.detach_keys.as_deref(), args.tty)?;
    let attachment = Attachment { streams: request.streams, sig_proxy: true, detach_keys };
    let attached = monitor::exec(&found.record, request, attachment).await?;
    if args.detach {
        return attached.until_started(|_| {}).await.map(|()| 0);
    }
    let (End::Exited(code) | End::Left(code)) = attached.run(|_| {}).await?;
    Ok(code)
}

/// An error unless something can be started in it now.
pub fn check_runs(found: &Found) -> Result<()> {
    let name = &found.record.name;
    match found.phase() {
        Phase::Running => Ok(()),
        Phase::Creating | Phase::Starting => {
            Err(Failure::new(format!("VM {name} is starting: its command does not run yet"))
                .hint("try again when mvm ps says that it is up; mvm ssh waits for that")
                .status(1))
        }
        _ => Err(found.record.not_running()),
    }
}

impl ExecArgs {
    fn vm_and_command(&self) -> Result<(String, &[OsString])> {
        let (vm, command) = match &self.words[..] {
            [vm, first, rest @ ..] if first == "--" => (vm, rest),
            [vm, rest @ ..] => (vm, rest),
            [] => return Err(Failure::new("no VM is given").hint("mvm exec VM COMMAND")),
        };
        if command.is_empty() {
            return Err(Failure::new("no command is given").hint("mvm exec VM COMMAND"));
        }
        Ok((vm.to_string_lossy().into_owned(), command))
    }

    fn request(&self, command: &[OsString]) -> Result<ExecRequest> {
        let mut env = limits::env_files(&self.env_file)?;
        env.extend(environment(&self.env)?);
        let stays = !self.detach;
        let size = || terminal::size().unwrap_or(Size { rows: 0, columns: 0 });
        Ok(ExecRequest {
            args: command.iter().map(|word| sys::os_bytes(word)).collect(),
            env,
            workdir: self.workdir.clone().map(absolute_workdir).transpose()?,
            user: self.user.clone(),
            privileged: self.privileged,
            streams: Streams { stdin: self.interactive && stays, stdout: stays, stderr: stays },
            terminal: self.tty.then(size),
            detach: self.detach,
            helper: false,
        })
    }
}
