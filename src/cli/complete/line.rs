// SPDX-License-Identifier: Apache-2.0
//! What the last word of an unfinished command line may be, by the definition of
//! the command.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Candidate;
use crate::cli::{self, Cli};

/// An unfinished command line.
pub struct Line<'a> {
    command: &'a Command,
    /// Names of the command and of that in it.
    pub path: Vec<String>,
    pub wanted: Wanted<'a>,
    /// What the last word begins with and stays: `--name=`.
    pub before: String,
    /// The rest of it.
    pub word: String,
    given: Vec<&'a Arg>,
}

pub enum Wanted<'a> {
    Nothing,
    Command,
    Flag,
    /// A flag's value, or an argument; so many of its kind come before it.
    Value {
        arg: &'a Arg,
        at: usize,
    },
}

/// The definition that the words need: that of one command, where they have one.
pub fn program(words: &[String]) -> Command {
    let named = |words: &[String]| -> Option<Command> {
        let (_, rest) = words.split_last()?;
        let name = rest.iter().skip(1).find(|word| !word.starts_with('-'))?;
        Some(cli::command(OsString::from(name).as_ref())?.0)
    };
    let mut program = match named(words) {
        Some(command) => cli::with_globals().subcommand(command),
        None => Cli::command(),
    };
    program.build();
    program
}

/// Reads the words, the first of which is the program.
pub fn read<'a>(program: &'a Command, words: &[String]) -> Line<'a> {
    let (last, typed) =
        words.split_last().map_or((String::new(), &[][..]), |(l, t)| (l.clone(), t));
    let mut reader = Reader::new(program);
    for word in typed.iter().skip(1) {
        reader.take(word);
    }
    reader.finish(last)
}

struct Reader<'a> {
    command: &'a Command,
    path: Vec<String>,
    given: Vec<&'a Arg>,
    /// The flag whose value comes next.
    flag: Option<&'a Arg>,
    /// Arguments so far.
    arguments: usize,
    /// What follows is no flag.
    no_flags: bool,
    /// A command or a flag that is none: nobody knows what may follow.
    lost: bool,
}

impl<'a> Reader<'a> {
    fn new(command: &'a Command) -> Self {
        Self {
            command,
            path: Vec::new(),
            given: Vec::new(),
            flag: None,
            arguments: 0,
            no_flags: false,
            lost: false,
        }
    }

    fn take(&mut self, word: &str) {
        if self.flag.take().is_some() || self.lost {
            return;
        }
        match word {
            "--" if !self.no_flags => self.no_flags = true,
            _ if !self.no_flags && word.starts_with("--") => self.long(&word[2..]),
            _ if !self.no_flags && word.len() > 1 && word.starts_with('-') => {
                self.short(&word[1..])
            }
            _ if self.command.has_subcommands() => self.descend(word),
            _ => {
                let trailing = self.argument().is_some_and(Arg::is_trailing_var_arg_set);
                self.no_flags |= trailing;
                self.arguments += 1;
            }
        }
    }

    fn descend(&mut self, word: &str) {
        match self.command.find_subcommand(word) {
            Some(command) => {
                self.command = command;
                self.path.push(command.get_name().to_owned());
            }
            None => self.lost = true,
        }
    }

    fn long(&mut self, word: &str) {
        let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)));
        let Some(arg) = self.find_long(name) else {
            self.lost = value.is_none();
            return;
        };
        self.given.push(arg);
        if value.is_none() && takes_next(arg) {
            self.flag = Some(arg);
        }
    }

    /// Several may stand together, the last with its value.
    fn short(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let Some(arg) = self.command.get_arguments().find(|a| a.get_short() == Some(letter))
            else {
                self.lost = true;
                return;
            };
            self.given.push(arg);
            if takes_value(arg) {
                let rest = &letters[at + letter.len_utf8()..];
                self.flag = (rest.is_empty() && takes_next(arg)).then_some(arg);
                return;
            }
        }
    }

    fn find_long(&self, name: &str) -> Option<&'a Arg> {
        let named = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        };
        self.command.get_arguments().find(named)
    }

    /// The argument that comes next.
    fn argument(&self) -> Option<&'a Arg> {
        let last = self.command.get_positionals().last();
        let many = last.filter(|arg| {
            matches!(arg.get_action(), ArgAction::Append)
                || arg.get_num_args().is_some_and(|range| range.max_values() > 1)
        });
        self.command.get_positionals().nth(self.arguments).or(many)
    }

    fn finish(self, word: String) -> Line<'a> {
        let (wanted, before, word) = self.wanted(word);
        Line { command: self.command, path: self.path, wanted, before, word, given: self.given }
    }

    fn wanted(&self, word: String) -> (Wanted<'a>, String, String) {
        let none = String::new;
        if self.lost {
            return (Wanted::Nothing, none(), word);
        }
        if let Some(arg) = self.flag {
            return (Wanted::Value { arg, at: 0 }, none(), word);
        }
        if !self.no_flags && word.starts_with('-') {
            let value = word.strip_prefix("--").and_then(|rest| rest.split_once('='));
            return match value {
                None => (Wanted::Flag, none(), word),
                Some((name, value)) => match self.find_long(name).filter(|arg| takes_value(arg)) {
                    Some(arg) => {
                        let before = format!("--{name}=");
                        (Wanted::Value { arg, at: 0 }, before, value.to_owned())
                    }
                    None => (Wanted::Nothing, none(), word),
                },
            };
        }
        if self.command.has_subcommands() {
            return (Wanted::Command, none(), word);
        }
        let before = self.command.get_positionals().count().saturating_sub(1);
        match self.argument() {
            Some(arg) => {
                (Wanted::Value { arg, at: self.arguments.saturating_sub(before) }, none(), word)
            }
            None => (Wanted::Nothing, none(), word),
        }
    }
}

impl Line<'_> {
    /// Flags that may still be given.
    pub fn flags(&self) -> Vec<Candidate> {
        let again = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let given = |arg: &&Arg| self.given.iter().any(|given| given.get_id() == arg.get_id());
        let flags = self.command.get_arguments().filter(|arg| {
            !arg.is_hide_set() && !arg.is_positional() && (again(arg) || !given(arg))
        });
        let mut candidates = Vec::new();
        for arg in flags {
            let end = if arg.is_require_equals_set() { "=" } else { "" };
            let help = help(arg.get_help());
            match (arg.get_long(), arg.get_short()) {
                (Some(name), _) => candidates.push(Candidate::new(format!("--{name}{end}"), help)),
                (None, Some(letter)) => candidates.push(Candidate::new(format!("-{letter}"), help)),
                (None, None) => {}
            }
        }
        candidates
    }

    pub fn subcommands(&self) -> Vec<Candidate> {
        let shown = self.command.get_subcommands().filter(|command| !command.is_hide_set());
        shown.map(|c| Candidate::new(c.get_name(), help(c.get_about()))).collect()
    }
}

/// One line.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// Whether the value is the next word.
fn takes_next(arg: &Arg) -> bool {
    takes_value(arg) && !arg.is_require_equals_set()
}
