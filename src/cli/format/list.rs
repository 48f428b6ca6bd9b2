// SPDX-License-Identifier: Apache-2.0
//! What all commands that list something share: their flags, and the ways to
//! print rows.

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use super::template::Template;
use super::{json_lines, table, table_for_people};
use crate::error::Result;

/// Flags of `images` and `ps`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// IDs only
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not shorten what is long
    #[arg(long)]
    pub no_trunc: bool,
    /// table, json (one object for each line), or a template such as '{{.ID}}'
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: String,
}

impl ListArgs {
    /// How rows are to be printed.
    pub fn output(&self) -> Result<Output> {
        Ok(match Output::parse(&self.format)? {
            Output::Table if self.no_trunc => Output::Whole,
            output => output,
        })
    }
}

/// How rows are printed.
pub enum Output {
    /// Cut to what a terminal has room for.
    Table,
    Whole,
    Json,
    Lines(Template),
    /// A table with the columns of the template.
    Columns(Template),
}

impl Output {
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "table" | "" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => match text.strip_prefix("table ") {
                Some(columns) => Ok(Self::Columns(Template::parse(columns)?)),
                None => Ok(Self::Lines(Template::parse(text)?)),
            },
        }
    }

    /// Prints `rows`: by `header` and `cells`, as `objects`, or by the `fields`
    /// that a template may name, each with the head of its column.
    pub fn render<R, J: Serialize>(
        &self,
        rows: &[R],
        (header, cells): (&[&str], impl Fn(&R) -> Vec<String>),
        objects: impl IntoIterator<Item = J>,
        (heads, fields): (&[(&str, &str)], impl Fn(&R) -> Vec<String>),
    ) -> Result<String> {
        let named = |values: Vec<String>| {
            let names = heads.iter().map(|(name, _)| (*name).to_owned());
            Value::Object(Map::from_iter(names.zip(values.into_iter().map(Value::String))))
        };
        let titles = || named(heads.iter().map(|(_, title)| (*title).to_owned()).collect());
        match self {
            Self::Table => Ok(table_for_people(header, rows.iter().map(cells))),
            Self::Whole => Ok(table(header, &rows.iter().map(cells).collect::<Vec<_>>())),
            Self::Json => json_lines(objects),
            Self::Lines(template) => {
                // A field that is none is an error even if there are no rows.
                template.render(&titles())?;
                let lines = rows.iter().map(|row| template.render(&named(fields(row))));
                lines.map(|line| Ok(line? + "\n")).collect()
            }
            Self::Columns(template) => {
                let split = |line: String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
                let header = split(template.render(&titles())?);
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                let mut lines = Vec::new();
                for row in rows {
                    let mut cells = split(template.render(&named(fields(row)))?);
                    // A tab in a value must not make another column.
                    cells.resize(header.len(), String::new());
                    lines.push(cells);
                }
                Ok(table(&header, &lines))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str, rows: &[u32]) -> Result<String> {
        Output::parse(format)?.render(
            rows,
            (&["N"], |n| vec![n.to_string()]),
            rows,
            (&[("N", "NUMBER"), ("Twice", "TWICE")], |n| vec![n.to_string(), (n * 2).to_string()]),
        )
    }

    #[test]
    fn rows_in_every_way() {
        for (format, text) in [
            ("table", "N\n1\n20\n"),
            ("json", "1\n20\n"),
            ("{{.N}}-{{.Twice}}", "1-2\n20-40\n"),
            (r"table {{.N}}\t{{.Twice}}", "NUMBER   TWICE\n1        2\n20       40\n"),
            ("{{json .}}", "{\"N\":\"1\",\"Twice\":\"2\"}\n{\"N\":\"20\",\"Twice\":\"40\"}\n"),
        ] {
            assert_eq!(render(format, &[1, 20]).unwrap(), text, "{format}");
        }
        assert!(render("{{.None}}", &[]).is_err());
    }
}
