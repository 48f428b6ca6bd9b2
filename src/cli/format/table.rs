// SPDX-License-Identifier: Apache-2.0
//! Tables: as wide as their cells in a pipe, as wide as the terminal on one.

use std::borrow::Cow;

use console::Term;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cli::style::Tone;

const GAP: &str = "   ";
/// No column is cut to less.
const MIN_WIDTH: usize = 8;

/// Columns that are cut where there is no room, the first of them first.
const CUT: [&str; 12] = [
    "COMMAND",
    "CREATED BY",
    "COMMENT",
    "LABELS",
    "MOUNTS",
    "DIGEST",
    "IMAGE",
    "REPOSITORY",
    "CREATED",
    "STATUS",
    "VALUE",
    "NAMES",
];

/// Columns as wide as their widest cell, three spaces apart, as Docker's.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    lay_out(header, rows.iter(), None, false)
}

/// The same, for whoever is at stdout: cut to the width of a terminal, and with
/// its colours.
pub fn table_for_people(
    header: &[&str],
    rows: impl IntoIterator<Item = impl AsRef<[String]>>,
) -> String {
    let terminal = Term::stdout();
    let room = terminal.is_term().then(|| terminal.size_checked()).flatten();
    let room = room.map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0);
    lay_out(header, rows, room, console::colors_enabled())
}

/// Cells of all rows, one text: of a thousand rows, each cell is gone before
/// the next needs room.
#[derive(Default)]
struct Cells {
    text: String,
    /// Where each ends, and the columns it takes.
    cells: Vec<(usize, usize)>,
}

impl Cells {
    fn add(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.cells.push((self.text.len(), width(cell)));
    }

    /// Rows of so many cells, each with the columns it takes.
    fn rows(&self, columns: usize) -> impl Iterator<Item = impl Iterator<Item = (&str, usize)>> {
        let mut begin = 0;
        self.cells.chunks(columns.max(1)).map(move |row| {
            let mut from = begin;
            begin = row.last().map_or(begin, |(end, _)| *end);
            row.iter().map(move |(end, width)| {
                let cell = &self.text[from..*end];
                from = *end;
                (cell, *width)
            })
        })
    }
}

fn lay_out(
    header: &[&str],
    rows: impl IntoIterator<Item = impl AsRef<[String]>>,
    room: Option<usize>,
    coloured: bool,
) -> String {
    let mut all = Cells::default();
    header.iter().for_each(|head| all.add(head));
    for row in rows {
        let row = row.as_ref();
        (0..header.len()).for_each(|at| all.add(row.get(at).map_or("", String::as_str)));
    }
    let mut widths = vec![0; header.len()];
    for row in all.rows(header.len()) {
        for (width, (_, cell)) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell);
        }
    }
    if let Some(room) = room {
        fit(header, &mut widths, room);
    }
    let line = widths.iter().sum::<usize>() + GAP.len() * widths.len();
    let mut text = String::with_capacity(all.cells.len() / header.len().max(1) * line);
    for (at, row) in all.rows(header.len()).enumerate() {
        let cells = row.zip(&widths).zip(header);
        add_line(
            &mut text,
            cells.map(|((cell, width), head)| {
                (cell, *width, tone(head, cell.0).filter(|_| coloured && at > 0))
            }),
        );
    }
    text
}

/// Adds cells, each with its own width and that of its column.
fn add_line<'a>(
    text: &mut String,
    cells: impl Iterator<Item = ((&'a str, usize), usize, Option<Tone>)>,
) {
    let begin = text.len();
    for (column, ((cell, own), width, tone)) in cells.enumerate() {
        if column > 0 {
            text.push_str(GAP);
        }
        let cut = if own > width { Cow::Owned(cut(cell, width)) } else { Cow::Borrowed(cell) };
        match tone {
            Some(tone) => text.push_str(&tone.paint(&cut)),
            None => text.push_str(&cut),
        }
        let own = if own > width { self::width(&cut) } else { own };
        add_spaces(text, width.saturating_sub(own));
    }
    let end = text[begin..].trim_end().len();
    text.truncate(begin + end);
    text.push('\n');
}

fn add_spaces(text: &mut String, mut count: usize) {
    const SPACES: &str = "                                ";
    while count > 0 {
        let some = count.min(SPACES.len());
        text.push_str(&SPACES[..some]);
        count -= some;
    }
}

/// Columns that a text takes. Of most, each letter takes one: to look up what
/// letters are takes longer than to print them.
fn width(text: &str) -> usize {
    match text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => text.len(),
        false => text.width(),
    }
}

/// Takes from columns that can be cut what there is no room for.
fn fit(header: &[&str], widths: &mut [usize], room: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    for name in CUT {
        let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        let Some(column) = header.iter().position(|head| *head == name).filter(|_| over > 0) else {
            continue;
        };
        let least = MIN_WIDTH.max(name.len()).min(widths[column]);
        widths[column] = widths[column].saturating_sub(over).max(least);
    }
}

/// The beginning of a cell that is wider than `width`.
fn cut(cell: &str, width: usize) -> String {
    let mut text = String::new();
    let mut taken = 1;
    for letter in cell.chars() {
        taken += letter.width().unwrap_or(0);
        if taken > width {
            break;
        }
        text.push(letter);
    }
    text + "…"
}

/// What a state of a VM is to be seen as.
fn tone(head: &str, cell: &str) -> Option<Tone> {
    match head {
        "STATUS" if cell.starts_with("Up") => Some(Tone::Good),
        "STATUS" if cell.starts_with("Dead") => Some(Tone::Bad),
        "STATUS" if cell.starts_with("Exited (0)") => Some(Tone::Dim),
        "STATUS" if cell.starts_with("Exited") => Some(Tone::Doubtful),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn tables_line_up() {
        let rows = rows(&[&["a", "long cell"], &["bbbb", "c"]]);
        assert_eq!(table(&["X", "Y"], &rows), "X      Y\na      long cell\nbbbb   c\n");
    }

    #[test]
    fn wide_letters_take_two_columns() {
        let rows = rows(&[&["日本", "x"], &["abc", "y"]]);
        assert_eq!(table(&["N", "M"], &rows), "N      M\n日本   x\nabc    y\n");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(lay_out(&["N"], [vec!["日本".into()]], Some(4), false), "N\n日本\n");
    }

    #[test]
    fn what_says_least_is_cut_first() {
        let header = ["VM ID", "IMAGE", "COMMAND", "STATUS", "NAMES"];
        let id = "0123456789ab";
        let rows = rows(&[&[
            id,
            "registry.example/team/app:1",
            "\"nginx -g daemon\"",
            "Up 2 minutes",
            "web",
        ]]);
        let width = |room: usize| {
            let text = lay_out(&header, rows.iter(), Some(room), false);
            text.lines().map(UnicodeWidthStr::width).max().unwrap()
        };
        let whole = table(&header, &rows);
        assert_eq!(lay_out(&header, rows.iter(), Some(100), false), whole);
        for room in [80, 70, 60] {
            assert!(width(room) <= room, "{room}: {}", width(room));
        }
        // IDs and names are what commands take.
        let narrow = lay_out(&header, rows.iter(), Some(20), false);
        assert!(narrow.contains(id) && narrow.contains("web"), "{narrow}");
        assert!(
            lay_out(&header, rows.iter(), Some(78), false).contains("registry.example/team/app:1")
        );
        assert!(lay_out(&header, Vec::<Vec<String>>::new(), Some(1), false).ends_with("NAMES\n"));
    }

    #[test]
    fn colour_changes_no_width() {
        let rows = rows(&[&["web", "Up 1 second"], &["x", "Dead"]]);
        let plain = lay_out(&["NAMES", "STATUS"], rows.iter(), None, false);
        let coloured = lay_out(&["NAMES", "STATUS"], rows.iter(), None, true);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }
}
