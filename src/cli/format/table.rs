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
    lay_out(header, rows, None, false)
}

/// The same, for whoever is at stdout: cut to the width of a terminal, and with
/// its colours.
pub fn table_for_people(header: &[&str], rows: &[Vec<String>]) -> String {
    let terminal = Term::stdout();
    let room = terminal.is_term().then(|| terminal.size_checked()).flatten();
    let room = room.map(|(_, columns)| usize::from(columns)).filter(|columns| *columns > 0);
    lay_out(header, rows, room, console::colors_enabled())
}

fn lay_out(header: &[&str], rows: &[Vec<String>], room: Option<usize>, coloured: bool) -> String {
    let heads: Vec<usize> = header.iter().map(|head| width(head)).collect();
    // Of all cells, row after row.
    let own = rows.iter().flat_map(|row| {
        (0..header.len()).map(|column| row.get(column).map_or(0, |cell| width(cell)))
    });
    let own: Vec<usize> = own.collect();
    let own = || own.chunks(header.len().max(1));
    let mut widths = heads.clone();
    for row in own() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(*cell);
        }
    }
    if let Some(room) = room {
        fit(header, &mut widths, room);
    }
    let mut text = String::with_capacity((rows.len() + 1) * (widths.iter().sum::<usize>() + 16));
    let head = header.iter().copied().zip(heads);
    add_line(&mut text, head.zip(&widths).map(|(cell, width)| (cell, *width, None)));
    for (row, own) in rows.iter().zip(own()) {
        let cells =
            row.iter().map(String::as_str).zip(own.iter().copied()).zip(&widths).zip(header);
        add_line(
            &mut text,
            cells.map(|((cell, width), head)| {
                (cell, *width, tone(head, cell.0).filter(|_| coloured))
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
        assert_eq!(lay_out(&["N"], &[vec!["日本".into()]], Some(4), false), "N\n日本\n");
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
            let text = lay_out(&header, &rows, Some(room), false);
            text.lines().map(UnicodeWidthStr::width).max().unwrap()
        };
        let whole = table(&header, &rows);
        assert_eq!(lay_out(&header, &rows, Some(100), false), whole);
        for room in [80, 70, 60] {
            assert!(width(room) <= room, "{room}: {}", width(room));
        }
        // IDs and names are what commands take.
        let narrow = lay_out(&header, &rows, Some(20), false);
        assert!(narrow.contains(id) && narrow.contains("web"), "{narrow}");
        assert!(lay_out(&header, &rows, Some(78), false).contains("registry.example/team/app:1"));
        assert!(lay_out(&header, &[], Some(1), false).ends_with("NAMES\n"));
    }

    #[test]
    fn colour_changes_no_width() {
        let rows = rows(&[&["web", "Up 1 second"], &["x", "Dead"]]);
        let plain = lay_out(&["NAMES", "STATUS"], &rows, None, false);
        let coloured = lay_out(&["NAMES", "STATUS"], &rows, None, true);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }
}
