// SPDX-License-Identifier: Apache-2.0
//! `mvm __complete COUNT WORD...`: what a shell may offer for the last of COUNT
//! words, of which those that are missing are empty. The shells' own parts, in
//! `completions/`, know nothing of commands and flags: they ask here, so that
//! they cannot be out of date.
//!
//! The answer is a line for each candidate, `VALUE` or `VALUE<TAB>HELP`, and one
//! that begins with a colon: `:files` or `:directories` where the shell's own
//! names of files are candidates, too, and `nospace` where the word goes on.
//! Whatever goes wrong, there are just no candidates. Nothing is changed, made
//! or waited for.

mod line;
mod live;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use line::Wanted;

/// What shells call; no command of clap's.
pub const COMMAND: &str = "__complete";

/// A word that the shell may put in place of the one that is typed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub value: String,
    pub help: String,
}

impl Candidate {
    pub fn new(value: impl Into<String>, help: impl Into<String>) -> Self {
        Self { value: value.into(), help: help.into() }
    }
}

/// What files may be candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    #[default]
    None,
    All,
    Directories,
}

/// All that may be offered.
#[derive(Debug, Default)]
pub struct Answer {
    pub candidates: Vec<Candidate>,
    pub files: Files,
}

/// The whole of `mvm __complete`.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let words: Option<Vec<String>> =
        arguments.iter().map(|word| word.to_str().map(str::to_owned)).collect();
    let answer = words.and_then(|words| {
        let (count, words) = words.split_first()?;
        Some(answer(&pad(words, count.parse().ok()?)))
    });
    let _ = super::print(&printed(answer.unwrap_or_default()));
    ExitCode::SUCCESS
}

/// Shells drop empty words; a cursor behind the last one makes one.
fn pad(words: &[String], count: usize) -> Vec<String> {
    let mut words = words.to_vec();
    // Nobody types so many.
    words.resize(count.clamp(2, 10_000), String::new());
    words
}

/// `words`: the program, and what was typed.
fn answer(words: &[String]) -> Answer {
    let typed = canonical(words);
    let program = line::program(&typed);
    let line = line::read(&program, &typed);
    let (word, before) = (line.word.clone(), line.before.clone());
    let mut answer = match &line.wanted {
        Wanted::Nothing => Answer::default(),
        Wanted::Command => Answer { candidates: commands(&line), ..Answer::default() },
        Wanted::Flag => Answer { candidates: line.flags(), ..Answer::default() },
        Wanted::Value { arg, at } => values::of(&line.path, arg, *at, &word),
    };
    answer.candidates.retain(|candidate| candidate.value.starts_with(&word));
    for candidate in &mut answer.candidates {
        candidate.value.insert_str(0, &before);
    }
    answer
}

/// What is typed to its end may be another name of a command.
fn canonical(words: &[String]) -> Vec<String> {
    let Some((last, typed)) = words.split_last() else { return Vec::new() };
    let typed = super::names::canonical(typed.iter().map(OsString::from).collect());
    typed.into_iter().filter_map(|word| word.into_string().ok()).chain([last.clone()]).collect()
}

fn commands(line: &line::Line<'_>) -> Vec<Candidate> {
    match line.path.as_slice() {
        [] => super::names::all(),
        _ => line.subcommands(),
    }
}

fn printed(answer: Answer) -> String {
    let mut text = String::new();
    let fits = |candidate: &&Candidate| is_harmless(&candidate.value);
    let mut nospace = !answer.candidates.is_empty();
    for candidate in answer.candidates.iter().filter(fits) {
        nospace &= candidate.value.ends_with(['=', ':', ',', '/']);
        text += &candidate.value;
        let help: String = candidate.help.chars().filter(|c| !c.is_control()).collect();
        if !help.is_empty() {
            text += "\t";
            text += &help;
        }
        text.push('\n');
    }
    text += match answer.files {
        Files::None => ":",
        Files::All => ":files",
        Files::Directories => ":directories",
    };
    if nospace {
        text += " nospace";
    }
    text.push('\n');
    text
}

/// A word that means the same in every shell, with no quotes around it.
fn is_harmless(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@=+,%".contains(c);
    !value.is_empty() && !value.starts_with(':') && value.chars().all(plain)
}

#[cfg(test)]
mod tests;
