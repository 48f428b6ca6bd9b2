// SPDX-License-Identifier: Apache-2.0
//! An error as the person at the terminal meets it: what happened, a hint with
//! the fix, and the exit status. Typed errors of the modules become one at the
//! edge; it also crosses from the monitor to the command that waits for it.

use serde::{Deserialize, Serialize};

/// mvm itself failed (Docker's 125).
pub const MVM_FAILED: u8 = 125;
/// The command is there and cannot be invoked.
pub const CANNOT_INVOKE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub status: u8,
}

pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, status: MVM_FAILED }
    }

    /// The fix, one sentence.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    #[must_use]
    pub fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// For what failed while doing something: "cannot DO: why".
    pub fn cannot(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::new(format!("cannot {what}: {why}"))
    }
}

/// Errors that know their own fix.
macro_rules! with_hint {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string()).maybe_hint(error.hint())
            }
        }
    )*};
}

with_hint!(
    crate::hypervisor::VmError,
    crate::image::Error,
    crate::image::ReferenceError,
    crate::preflight::PreflightError
);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
