// SPDX-License-Identifier: Apache-2.0
//! What failed, on what, and why: every step of the boot names itself, since
//! the host can see nothing of the guest but this message.

use std::io;

use thiserror::Error;

/// A step that failed.
#[derive(Debug, Error)]
#[error("{step}: {}", text(.source))]
pub struct Failure {
    step: String,
    source: io::Error,
}

impl Failure {
    pub fn new(step: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { step: step.into(), source: source.into() }
    }

    /// For what is wrong without an errno.
    pub fn invalid(step: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(step, io::Error::new(io::ErrorKind::InvalidInput, why.into()))
    }
}

/// Names the step that an I/O result belongs to.
pub trait Step<T> {
    fn step<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step<S: Into<String>>(self, step: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(step(), e))
    }
}

/// The words for an error as Go, and so Docker, writes them: lower case and
/// without the number.
pub fn text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Says something on the console, the only place left when there is no host.
pub fn complain(what: impl std::fmt::Display) {
    use std::io::Write;
    // Nothing is left to be done about a console that cannot be written.
    let _ = writeln!(io::stderr(), "mvm-init: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_docker() {
        let error = Failure::new("mount /x", rustix::io::Errno::NOENT);
        assert_eq!(error.to_string(), "mount /x: no such file or directory");
        assert_eq!(text(&rustix::io::Errno::NOEXEC.into()), "exec format error");
        assert_eq!(Failure::invalid("layer 3", "too long").to_string(), "layer 3: too long");
    }
}
