// SPDX-License-Identifier: Apache-2.0
//! The command line: flags become typed requests here and nowhere else.

mod attach;
mod attachment;
mod busy;
mod complete;
mod completion;
mod config;
mod console;
mod cp;
mod create;
mod doctor;
mod exec;
mod filter;
mod format;
mod help;
mod image;
mod image_inspect;
mod image_verify;
mod images;
mod inject;
mod inspect;
mod kill;
mod limits;
mod load;
mod log_options;
mod login;
mod logout;
mod logs;
mod names;
mod platform;
mod prune;
mod ps;
mod ps_filter;
mod pull;
mod push;
mod rare;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod secrets;
mod ssh;
mod ssh_config;
mod start;
mod stats;
mod stop;
mod stream;
mod style;
mod system;
mod system_check;
mod system_df;
mod tag;
mod top;
mod values;
mod version;
mod vm_document;
mod volumes;
mod wait;
mod when;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::process::ExitCode;

use clap::error::ErrorKind as UsageError;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::{Failure, MVM_FAILED, Result};
#[cfg(unix)]
use crate::hypervisor::libkrun;
use crate::monitor;
use crate::state::Dirs;
use style::Style;

/// What the manual says at the end of `mvm(1)`.
const EXIT_STATUS: &str = "Exit status: of run, exec, attach and start -a the command's own; 126 if it \
cannot be invoked, 127 if it is not found, 128+n if signal n ended it. 125 if mvm or the VM failed \
under run, and for wrong usage of any command. Of all others 0, or 1 if something failed.";

/// Run any OCI image as a microVM
#[derive(Debug, Parser)]
#[command(
    name = "mvm",
    version,
    max_term_width = MAX_WIDTH,
    infer_subcommands = false,
    disable_help_subcommand = true,
    after_long_help = EXIT_STATUS
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const MAX_WIDTH: usize = 100;

#[derive(Debug, Args)]
struct Global {
    /// Say where the time goes; twice: say what is done
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

type Parsed<T> = std::result::Result<T, clap::Error>;
type Defaults = Vec<(&'static str, Vec<String>)>;
type FromMatches = fn(&mut ArgMatches) -> Parsed<Command>;

macro_rules! commands {
    ($($name:literal => $variant:ident($args:ty),)*) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $(#[command(name = $name)] $variant($args),)*
        }

        /// As `command`; `base` changes what the definition is made upon.
        fn command_upon(
            name: &OsStr,
            base: fn(clap::Command) -> clap::Command,
        ) -> Option<(clap::Command, FromMatches)> {
            $(if name == $name {
                let from: FromMatches =
                    |matches| <$args>::from_arg_matches_mut(matches).map(Command::$variant);
                return Some((<$args>::augment_args(base(clap::Command::new($name))), from));
            })*
            None
        }
    };
}

/// The definition of one command, and what makes it of its flags.
fn command(name: &OsStr) -> Option<(clap::Command, FromMatches)> {
    command_upon(name, |base| base)
}

commands! {
    "run" => Run(Box<run::RunArgs>),
    "create" => Create(Box<create::CreateArgs>),
    "start" => Start(start::StartArgs),
    "restart" => Restart(restart::RestartArgs),
    "exec" => Exec(exec::ExecArgs),
    "ssh" => Ssh(ssh::SshArgs),
    "ssh-config" => SshConfig(ssh_config::SshConfigArgs),
    "cp" => Cp(cp::CpArgs),
    "pull" => Pull(pull::PullArgs),
    "push" => Push(push::PushArgs),
    "login" => Login(login::LoginArgs),
    "logout" => Logout(logout::LogoutArgs),
    "images" => Images(images::ImagesArgs),
    "rmi" => Rmi(rmi::RmiArgs),
    "tag" => Tag(tag::TagArgs),
    "history" => History(image_inspect::HistoryArgs),
    "image" => Image(image::ImageArgs),
    "system" => System(system::SystemArgs),
    "load" => Load(load::LoadArgs),
    "save" => Save(save::SaveArgs),
    "ps" => Ps(ps::PsArgs),
    "logs" => Logs(logs::LogsArgs),
    "console" => Console(console::ConsoleArgs),
    "top" => Top(top::TopArgs),
    "stats" => Stats(stats::StatsArgs),
    "stream" => Stream(stream::StreamArgs),
    "rename" => Rename(rename::RenameArgs),
    "attach" => Attach(attach::AttachArgs),
    "stop" => Stop(stop::StopArgs),
    "kill" => Kill(kill::KillArgs),
    "wait" => Wait(wait::WaitArgs),
    "inspect" => Inspect(inspect::InspectArgs),
    "rm" => Rm(rm::RmArgs),
    "doctor" => Doctor(doctor::DoctorArgs),
    "config" => Config(config::ConfigArgs),
    "completion" => Completion(completion::CompletionArgs),
    "version" => Version(version::VersionArgs),
    "help" => Help(help::HelpArgs),
}

/// Commands whose flags have defaults in `config.toml`.
const CONFIGURED: [&str; 2] = ["run", "create"];

/// The program with its own flags, and no command yet.
fn with_globals() -> clap::Command {
    let program = clap::Command::new("mvm").max_term_width(MAX_WIDTH);
    Global::augment_args(program.disable_help_subcommand(true))
}

impl Cli {
    /// Parses what `Cli::parse_from` would, and defines only the command that
    /// comes first: to define them all takes longer than what a start does else.
    /// `defaults` are of flags, for the commands that have such.
    fn of(words: &[OsString], defaults: Defaults) -> Parsed<Self> {
        let name = words.get(1).map(OsString::as_os_str).unwrap_or_default();
        if defaults.is_empty()
            && CONFIGURED.iter().any(|configured| name == *configured)
            && let Some((command, from)) = command_upon(name, rare::leave_out)
            && let Ok(cli) = Self::of_one(words, command, from)
        {
            return Ok(cli);
        }
        match command(name) {
            Some((command, from)) => Self::of_one(words, config::apply(command, defaults), from),
            None => Self::of_all(words, defaults),
        }
    }

    fn of_one(words: &[OsString], command: clap::Command, from: FromMatches) -> Parsed<Self> {
        let mut program = with_globals().subcommand(command);
        let parse = |program: &mut clap::Command| {
            let mut matches = program.try_get_matches_from_mut(words)?;
            let global = Global::from_arg_matches_mut(&mut matches)?;
            let mut of_command = matches.remove_subcommand().map(|(_, of_command)| of_command);
            let command = from(of_command.as_mut().unwrap_or(&mut matches))?;
            Ok(Self { global, command })
        };
        parse(&mut program).map_err(|error: clap::Error| error.format(&mut program))
    }

    fn of_all(words: &[OsString], defaults: Defaults) -> Parsed<Self> {
        let mut program = names::program();
        for name in CONFIGURED {
            program = program.mut_subcommand(name, |c| config::apply(c, defaults.clone()));
        }
        let matches = program.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut program))
    }
}

/// What `config.toml` says of the flags of the command that is asked for.
fn defaults(words: &[OsString]) -> Result<Defaults> {
    let asked = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let defaults = || config::defaults(&Dirs::from_env()?);
    match asked.and_then(|word| word.to_str()) {
        Some("run") => defaults(),
        Some("create") => defaults().map_err(|failure| failure.status(1)),
        _ => Ok(Defaults::new()),
    }
}

/// Parses, runs, and turns the outcome into the process's status.
pub fn main() -> ExitCode {
    // Our own processes have no flags to parse.
    let words: Vec<OsString> = std::env::args_os().collect();
    let first = words.get(1).map(OsString::as_os_str).unwrap_or_default();
    #[cfg(unix)]
    if first == libkrun::COMMAND {
        return libkrun::runner();
    }
    if first == monitor::COMMAND {
        return as_monitor();
    }
    if first == "run"
        && let Some(code) = monitor::prepare(as_monitor)
    {
        return code;
    }
    if first == complete::COMMAND {
        return complete::main(words.get(2..).unwrap_or_default());
    }
    let words = names::asking_for_help(names::canonical(words));
    let defaults = match defaults(&words) {
        Ok(defaults) => defaults,
        Err(failure) => return failed(&failure),
    };
    let cli = match Cli::of(&words, defaults) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &words),
    };
    start_log(cli.global.verbose);
    match dispatch(cli.command) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    report(failure);
    ExitCode::from(failure.status)
}

fn as_monitor() -> ExitCode {
    start_log(0);
    monitor::main()
}

fn dispatch(command: Command) -> Result<u8> {
    let dirs = Dirs::from_env()?;
    // What is not about a workload fails as Docker's client does, with 1.
    let plain = |outcome: Result<u8>| outcome.map_err(|failure| failure.status(1));
    match command {
        Command::Run(args) => on_runtime(|| run::run(&dirs, *args)),
        Command::Create(args) => plain(on_runtime(|| create::run(&dirs, *args))),
        Command::Start(args) => plain(on_runtime(|| start::run(&dirs, args))),
        Command::Restart(args) => plain(on_runtime(|| restart::run(&dirs, args))),
        Command::Exec(args) => on_runtime(|| exec::run(&dirs, args)),
        Command::Ssh(args) => on_runtime(|| ssh::run(&dirs, args)),
        Command::SshConfig(args) => plain(ssh_config::run(&dirs, &args)),
        Command::Cp(args) => plain(on_runtime(|| cp::run(&dirs, args))),
        Command::Pull(args) => plain(on_runtime(|| pull::run(&dirs, args))),
        Command::Push(args) => plain(on_runtime(|| push::run(&dirs, args))),
        Command::Images(args) => plain(images::run(&dirs, args)),
        Command::Rmi(args) => plain(rmi::run(&dirs, &args)),
        Command::Tag(args) => plain(tag::run(&dirs, &args)),
        Command::Image(args) => plain(image::run(&dirs, args)),
        Command::System(args) => plain(system::run(&dirs, &args)),
        Command::Load(args) => plain(on_runtime(|| load::run(&dirs, args))),
        Command::Save(args) => plain(save::run(&dirs, &args)),
        Command::Login(args) => plain(on_runtime(|| login::run(&dirs, args))),
        Command::Logout(args) => plain(on_runtime(|| logout::run(&dirs, args))),
        Command::Ps(args) => plain(ps::run(&dirs, args)),
        Command::Logs(args) => plain(on_runtime(|| logs::run(&dirs, args))),
        Command::Console(args) => plain(on_runtime(|| console::run(&dirs, args))),
        Command::Top(args) => plain(on_runtime(|| top::run(&dirs, args))),
        Command::Stats(args) => plain(on_runtime(|| stats::run(&dirs, args))),
        Command::Stream(args) => plain(on_runtime(|| stream::run(&dirs, args))),
        Command::Rename(args) => plain(rename::run(&dirs, &args)),
        Command::Attach(args) => plain(on_runtime(|| attach::run(&dirs, args))),
        Command::Kill(args) => plain(on_runtime(|| kill::run(&dirs, args))),
        Command::Wait(args) => plain(on_runtime(|| wait::run(&dirs, args))),
        Command::Inspect(args) => plain(inspect::run(&dirs, &args)),
        Command::History(args) => plain(image_inspect::history(&dirs, &args)),
        Command::Stop(args) => plain(on_runtime(|| stop::run(&dirs, args))),
        Command::Rm(args) => plain(on_runtime(|| rm::run(&dirs, args))),
        Command::Doctor(args) => plain(doctor::run(&dirs, &args)),
        Command::Config(args) => plain(config::run(&dirs, &args)),
        Command::Completion(args) => plain(completion::run(&args)),
        Command::Version(args) => plain(version::run(&dirs, &args)),
        Command::Help(args) => plain(help::run(&args)),
    }
}

/// Runs to completion on this thread. What still blocks on another (a read of
/// stdin that nobody will answer) is left behind.
///
/// Not part of its caller, which would have room for the work of all commands;
/// made here, the work is never moved.
#[inline(never)]
fn on_runtime<T, F: Future<Output = Result<T>>>(work: impl FnOnce() -> F) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::cannot("start", e))?;
    let outcome = runtime.block_on(pin!(work()));
    runtime.shutdown_background();
    outcome
}

/// Help goes to stdout and is no failure; a usage error is mvm's failure.
fn usage(error: &clap::Error, words: &[OsString]) -> ExitCode {
    if error.kind() == UsageError::InvalidSubcommand
        && let Some(name) = help::unknown_name(error, words)
    {
        return failed(&names::unknown(&name));
    }
    let _ = error.print();
    if let Some(hint) = config::blame(error) {
        say(Style::Hint, &hint);
    }
    match error.kind() {
        UsageError::DisplayHelp | UsageError::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(MVM_FAILED),
    }
}

/// `error:` what and why, `hint:` what to do.
fn report(failure: &Failure) {
    say(Style::Error, &failure.message);
    if let Some(hint) = &failure.hint {
        say(Style::Hint, hint);
    }
}

/// A line on stderr behind its kind.
fn say(style: Style, text: &str) {
    let _ = writeln!(io::stderr().lock(), "{} {text}", style.word());
}

/// Writes to stdout. A reader that went away ends the output, not in an error.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::cannot("write to stdout", e)),
        _ => Ok(()),
    }
}

/// `MVM_LOG` is `TARGET=LEVEL,...` and wins over `-v`.
fn start_log(verbose: u8) {
    let asked = std::env::var("MVM_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| match verbose {
        0 => Targets::new().with_default(Level::WARN),
        1 => Targets::new().with_default(Level::WARN).with_target("mvm", Level::INFO),
        _ => Targets::new().with_default(Level::INFO).with_target("mvm", Level::DEBUG),
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        // Or a log on a full disk would end the process that writes to it.
        .log_internal_errors(false);
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

#[cfg(all(test, unix))]
mod generated;
#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_command_is_parsed_as_among_all() {
        for name in Cli::command().get_subcommands().map(clap::Command::get_name) {
            assert!(command(name.as_ref()).is_some(), "{name}");
            for line in [&["mvm", name, "--help"][..], &["mvm", name, "--nope"], &["mvm", name]] {
                let words: Vec<OsString> = line.iter().map(OsString::from).collect();
                let said = |cli: Parsed<Cli>| match cli {
                    Ok(cli) => format!("{cli:?}"),
                    Err(error) => error.render().to_string(),
                };
                let one = said(Cli::of(&words, Defaults::new()));
                assert_eq!(one, said(Cli::try_parse_from(&words)), "{line:?}");
            }
        }
    }
}
