// SPDX-License-Identifier: Apache-2.0
//! The options of ps(1) that people give to `docker top`: which columns, and
//! in which order.

use std::cmp::Ordering;

use mvm_proto::{ProcessInfo, ProcessList};

use super::columns::{Kind, NAMES};
use crate::error::{Failure, Result};

/// `ps -ef`, which Docker runs.
const FULL: [(&str, Kind); 8] = [
    ("UID", Kind::User),
    ("PID", Kind::Pid),
    ("PPID", Kind::Ppid),
    ("C", Kind::Cpu),
    ("STIME", Kind::Started),
    ("TTY", Kind::Tty),
    ("TIME", Kind::Time),
    ("CMD", Kind::Args),
];
/// `ps -e`
const SIMPLE: [(&str, Kind); 4] =
    [("PID", Kind::Pid), ("TTY", Kind::Tty), ("TIME", Kind::Time), ("CMD", Kind::Command)];
/// `ps aux`
const BY_USER: [(&str, Kind); 11] = [
    ("USER", Kind::User),
    ("PID", Kind::Pid),
    ("%CPU", Kind::CpuPercent),
    ("%MEM", Kind::MemoryPercent),
    ("VSZ", Kind::Vsz),
    ("RSS", Kind::Rss),
    ("TTY", Kind::Tty),
    ("STAT", Kind::Stat),
    ("START", Kind::StartedShort),
    ("TIME", Kind::Time),
    ("COMMAND", Kind::Args),
];
/// `ps ax`
const BSD: [(&str, Kind); 5] = [
    ("PID", Kind::Pid),
    ("TTY", Kind::Tty),
    ("STAT", Kind::Stat),
    ("TIME", Kind::Time),
    ("COMMAND", Kind::Args),
];

pub struct Column {
    pub title: String,
    pub kind: Kind,
}

pub struct Options {
    pub columns: Vec<Column>,
    /// By this, the largest first or last; else by PID.
    sort: Vec<(Kind, bool)>,
}

impl Options {
    pub fn parse(words: &[String]) -> Result<Self> {
        let (mut form, mut chosen, mut sort) = (None, Vec::new(), Vec::new());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = |name: &str, given: &str| match given {
                "" => words.next().cloned().ok_or_else(|| unknown(&format!("{name} of nothing"))),
                given => Ok(given.to_owned()),
            };
            if let Some(long) = word.strip_prefix("--") {
                let (name, given) = long.split_once('=').unwrap_or((long, ""));
                match name {
                    "format" => chosen.extend(columns(&value("--format", given)?)?),
                    "sort" => sort.extend(keys(&value("--sort", given)?)?),
                    "" | "everyone" => {}
                    _ => return Err(unknown(word)),
                }
                continue;
            }
            let bsd = !word.starts_with('-') || word == "-aux";
            let letters = word.trim_start_matches('-');
            for (at, letter) in letters.char_indices() {
                match letter {
                    'o' | 'O' => {
                        let given = letters.get(at + 1..).unwrap_or_default();
                        chosen.extend(columns(&value("-o", given)?)?);
                        break;
                    }
                    'u' if bsd => form = Some(&BY_USER[..]),
                    'a' | 'x' if bsd => form = form.or(Some(&BSD[..])),
                    'f' if !bsd => form = Some(&FULL[..]),
                    'e' | 'A' if !bsd => form = form.or(Some(&SIMPLE[..])),
                    // Which processes: always all; how wide: as wide as they are.
                    'a' | 'd' | 'w' | 'x' | 'e' | 'A' | 'g' => {}
                    _ => return Err(unknown(word)),
                }
            }
        }
        if chosen.is_empty() {
            let of = |(title, kind): &(&str, Kind)| Column { title: (*title).into(), kind: *kind };
            chosen = form.unwrap_or(&FULL).iter().map(of).collect();
        }
        Ok(Self { columns: chosen, sort })
    }

    pub fn sorted<'a>(&self, list: &'a ProcessList) -> impl Iterator<Item = &'a ProcessInfo> {
        let mut all: Vec<&ProcessInfo> = list.processes.iter().collect();
        all.sort_by(|one, other| {
            let by = |(kind, down): &(Kind, bool)| {
                let order = kind.number(one, list).total_cmp(&kind.number(other, list));
                let text = || kind.show(one, list).cmp(&kind.show(other, list));
                let order = order.then_with(text);
                if *down { order.reverse() } else { order }
            };
            let different = self.sort.iter().map(by).find(|order| *order != Ordering::Equal);
            different.unwrap_or_else(|| one.pid.cmp(&other.pid))
        });
        all.into_iter()
    }
}

/// `pid,comm=NAME,args`: a title takes all that follows.
fn columns(text: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find([',', ' ', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (title, kind) = find(name)?;
        if let Some(title) = after.strip_prefix('=') {
            columns.push(Column { title: super::super::format::printable(title), kind });
            break;
        }
        columns.push(Column { title: title.into(), kind });
        rest = after.trim_start_matches([',', ' ']);
    }
    match columns.is_empty() {
        true => Err(unknown("-o of nothing")),
        false => Ok(columns),
    }
}

/// `-rss,+pid`
fn keys(text: &str) -> Result<Vec<(Kind, bool)>> {
    let key = |word: &str| {
        let name = word.trim_start_matches(['+', '-']);
        find(name).map(|(_, kind)| (kind, word.starts_with('-')))
    };
    text.split(',').map(key).collect()
}

fn find(name: &str) -> Result<(&'static str, Kind)> {
    let found = NAMES.iter().find(|(names, ..)| names.contains(&name));
    found.map(|(_, title, kind)| (*title, *kind)).ok_or_else(|| {
        let names: Vec<&str> =
            NAMES.iter().filter_map(|(names, ..)| names.first().copied()).collect();
        Failure::new(format!("there is no column {name:?}"))
            .hint(format!("there are {}", names.join(", ")))
    })
}

fn unknown(what: &str) -> Failure {
    Failure::new(format!("mvm top does not know ps's {what:?}")).hint(
        "it knows -ef, aux, ax, -e, -o COLUMNS and --sort COLUMNS; mvm exec runs the image's ps",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(line: &[&str]) -> Result<String> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let columns = Options::parse(&words)?.columns;
        Ok(columns.iter().map(|column| column.title.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_as_ps_reads_them() {
        const FULL: &str = "UID PID PPID C STIME TTY TIME CMD";
        const USER: &str = "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND";
        for (line, expected) in [
            (&[][..], FULL),
            (&["-ef"], FULL),
            (&["-e", "-f", "-ww"], FULL),
            (&["-e"], "PID TTY TIME CMD"),
            (&["aux"], USER),
            (&["-aux"], USER),
            (&["auxww"], USER),
            (&["ax"], "PID TTY STAT TIME COMMAND"),
            (&["-o", "pid,comm"], "PID COMMAND"),
            (&["-eo", "pid,user"], "PID USER"),
            (&["-opid", "-o", "%cpu rss"], "PID %CPU RSS"),
            (&["o", "pid"], "PID"),
            (&["-o", "pid,user=WHO, REALLY"], "PID WHO, REALLY"),
            (&["-o", "pid="], "PID"),
            (&["--format=pid,stat", "--sort=-rss,pid"], "PID STAT"),
        ] {
            let expected = if line == ["-o", "pid="] { "" } else { expected };
            assert_eq!(titles(line).unwrap(), expected, "{line:?}");
        }
        for line in [
            &["-o"][..],
            &["-o", "nope"],
            &["-u", "root"],
            &["-p", "1"],
            &["-l"],
            &["--forest"],
            &["-o", ","],
            &["--sort", "x"],
            &["é"],
            &["-é"],
        ] {
            assert!(titles(line).unwrap_err().hint.is_some(), "{line:?}");
        }
    }

    #[test]
    fn rows_are_sorted_as_asked() {
        let process = |pid, resident| ProcessInfo { pid, resident, ..Default::default() };
        let processes = vec![process(3, 1), process(1, 5), process(2, 5)];
        let list = ProcessList { processes, ..Default::default() };
        for (sort, expected) in
            [(None, [1, 2, 3]), (Some("-rss"), [1, 2, 3]), (Some("rss,-pid"), [3, 2, 1])]
        {
            let words: Vec<String> = sort.iter().map(|sort| format!("--sort={sort}")).collect();
            let options = Options::parse(&words).unwrap();
            assert_eq!(options.sorted(&list).map(|p| p.pid).collect::<Vec<_>>(), expected);
        }
    }
}
