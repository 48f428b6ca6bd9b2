// SPDX-License-Identifier: Apache-2.0
//! Flags that few lines have. To define them takes a good part of what the start
//! of a VM takes this process, so a line is first read without them, and with
//! them only if it makes no sense so.

use std::ops::Deref;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, Id};

/// The argument of a command that is defined without them.
const LEFT_OUT: &str = "__without_rare_flags";

/// `command`, which is to be defined without them.
pub fn leave_out(command: Command) -> Command {
    command.arg(Arg::new(LEFT_OUT).long(LEFT_OUT).hide(true).action(ArgAction::SetTrue))
}

/// Flags that can be left out. `T::default()` is what they are where nobody
/// gives one.
#[derive(Debug)]
pub struct Rare<T>(T);

impl<T> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Args + Default> Args for Rare<T> {
    fn augment_args(command: Command) -> Command {
        let left_out = command.get_arguments().any(|argument| argument.get_id() == LEFT_OUT);
        match left_out {
            true => command,
            false => T::augment_args(command),
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        T::augment_args_for_update(command)
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}

impl<T: FromArgMatches + Default> FromArgMatches for Rare<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        match matches.try_contains_id(LEFT_OUT) {
            Ok(true) => Ok(Self(T::default())),
            _ => T::from_arg_matches_mut(matches).map(Self),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{CONFIGURED, Cli, command_upon};
    use super::*;

    #[test]
    fn a_line_without_them_means_the_same() {
        for name in CONFIGURED {
            let words = ["mvm", name, "-e", "A=b", "--rm", "image", "--read-only"];
            let words: Vec<OsString> = words.map(Into::into).into();
            let read = |base| {
                let (command, from) = command_upon(name.as_ref(), base).unwrap();
                format!("{:?}", Cli::of_one(&words, command, from).unwrap())
            };
            assert_eq!(read(leave_out), read(|base| base));
        }
    }

    #[test]
    fn a_line_with_them_is_read_with_them() {
        let read = |flag: &str| {
            let words = ["mvm", "run", flag, "image"].map(OsString::from);
            Cli::of(&words, Vec::new()).map(|cli| format!("{cli:?}"))
        };
        assert!(read("--read-only").unwrap().contains("read_only: true"));
        assert!(read("--nothing").unwrap_err().to_string().contains("--nothing"));
    }
}
