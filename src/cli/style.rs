// SPDX-License-Identifier: Apache-2.0
//! Colour: on a terminal only, and not with `NO_COLOR`, `CLICOLOR=0` or
//! `TERM=dumb`. Whatever is coloured reads as well without.

use console::style;

/// What a line on stderr begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Error,
    Hint,
}

impl Style {
    /// The word, as stderr takes it.
    pub fn word(self) -> String {
        let plain = match self {
            Self::Error => style("error:").red().bold(),
            Self::Hint => style("hint:").cyan().bold(),
        };
        plain.for_stderr().to_string()
    }
}

/// How well something is, in a table on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Doubtful,
    Bad,
    Dim,
}

impl Tone {
    pub fn paint(self, text: &str) -> String {
        let text = style(text);
        match self {
            Self::Good => text.green(),
            Self::Doubtful => text.yellow(),
            Self::Bad => text.red(),
            Self::Dim => text.dim(),
        }
        .to_string()
    }
}
