// SPDX-License-Identifier: Apache-2.0
//! `mvm run`

use clap::{Args, ValueEnum};

use super::attachment::AttachmentArgs;
use super::busy::Busy;
use super::create::CreateArgs;
use crate::error::{Failure, Result};
use crate::image;
use crate::monitor::{Attachment, End, Streams};
use crate::pipeline;
use crate::state::Dirs;

/// Create a VM from an image and run a command in it
#[derive(Debug, Args)]
#[command(disable_help_flag = true, override_usage = "mvm run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct RunArgs {
    /// Run in the background and print the VM's ID
    #[arg(short, long)]
    detach: bool,
    /// Take only these streams of the command; stdin too with -i
    #[arg(short, long, value_enum, ignore_case = true, value_name = "STREAM")]
    attach: Vec<StreamArg>,
    #[command(flatten)]
    attachment: AttachmentArgs,
    #[command(flatten)]
    create: CreateArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StreamArg {
    Stdin,
    Stdout,
    Stderr,
}

pub async fn run(dirs: &Dirs, args: RunArgs) -> Result<u8> {
    if args.detach && !args.attach.is_empty() {
        return Err(Failure::new("-a stays with the command, and -d does not")
            .hint("leave one of them out"));
    }
    let progress = image::for_stderr(args.create.quiet);
    let attachment = match args.detach {
        true => Attachment::none(),
        false => args.attachment.with(dirs, args.streams(), args.create.tty)?,
    };
    let streams = attachment.streams;
    let mut spec = args.create.spec()?;
    spec.vm.stdin_once &= !args.detach;
    let started = pipeline::run(dirs, spec, attachment, progress).await?;
    let id = format!("{}\n", started.id);
    // As Docker: who takes no output is told the ID, and does not stay for the
    // end.
    if streams.output() {
        let (End::Exited(code) | End::Left(code)) = started.to_the_end().await?;
        return Ok(code);
    }
    match streams.stdin {
        true => drop(started.to_the_end().await?),
        false => {
            let _busy = Busy::with("booting");
            started.in_background().await?;
        }
    }
    super::print(&id).map(|()| 0)
}

impl RunArgs {
    fn streams(&self) -> Streams {
        let all = self.attach.is_empty();
        let asked = |stream| self.attach.contains(&stream);
        Streams {
            stdin: self.create.interactive,
            stdout: all || asked(StreamArg::Stdout),
            stderr: all || asked(StreamArg::Stderr),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn parse(line: &[&str]) -> RunArgs {
        match Cli::try_parse_from(["mvm", "run"].iter().chain(line)).unwrap().command {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dockers_flags_for_streams_and_signals() {
        let streams = |stdin, stdout, stderr| Streams { stdin, stdout, stderr };
        for (line, taken, sig_proxy) in [
            (&["i"][..], streams(false, true, true), true),
            (&["-it", "--sig-proxy=false", "i"], streams(true, true, true), false),
            (&["-a", "STDERR", "--sig-proxy", "i"], streams(false, false, true), true),
            (&["-i", "-a", "stdin", "-astdout", "i"], streams(true, true, false), true),
            (&["-a", "stdin", "i"], streams(false, false, false), true),
        ] {
            let args = parse(line);
            assert_eq!(args.streams(), taken, "{line:?}");
            assert_eq!(args.attachment.sig_proxy, sig_proxy, "{line:?}");
        }
        assert!(parse(&["-dit", "i"]).create.tty);
        assert!(Cli::try_parse_from(["mvm", "run", "-a", "stdxxx", "i"]).is_err());
    }
}
