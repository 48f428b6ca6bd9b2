// SPDX-License-Identifier: Apache-2.0
//! Flags of commands that stay with a VM's command.

use clap::{ArgAction, Args};

use crate::config::Config;
use crate::error::Result;
use crate::monitor::{Attachment, Streams};
use crate::state::Dirs;
use crate::terminal::DetachKeys;

#[derive(Debug, Args)]
pub struct AttachmentArgs {
    /// Pass signals on to the command; else they end this one alone
    #[arg(
        long, action = ArgAction::Set, default_value_t = true, num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_name = "BOOL"
    )]
    pub sig_proxy: bool,
    /// Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

impl AttachmentArgs {
    /// `terminal`: there may be one to leave.
    pub fn with(&self, dirs: &Dirs, streams: Streams, terminal: bool) -> Result<Attachment> {
        let detach_keys = detach_keys(dirs, self.detach_keys.as_deref(), terminal)?;
        Ok(Attachment { streams, sig_proxy: self.sig_proxy, detach_keys })
    }
}

/// Those of the flag, unless it is empty, or else of the configuration.
pub fn detach_keys(dirs: &Dirs, flag: Option<&str>, terminal: bool) -> Result<DetachKeys> {
    match flag.filter(|keys| !keys.is_empty()) {
        Some(keys) => keys.parse(),
        None if !terminal => Ok(DetachKeys::default()),
        None => Ok(Config::of(dirs)?.detach_keys.unwrap_or_default()),
    }
}
