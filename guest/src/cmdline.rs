// SPDX-License-Identifier: Apache-2.0
//! What the host says on the kernel command line: how to reach it, and the
//! nonce that ties the hello to this boot. Nothing secret is there.

use mvm_proto::hello::Nonce;
use mvm_proto::{CHANNEL_ARGUMENT, NONCE_ARGUMENT};
use thiserror::Error;

/// The way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Serial,
    Vsock,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub nonce: Nonce,
    pub transport: Transport,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum CmdlineError {
    #[error("kernel argument {0} is missing")]
    Missing(&'static str),
    #[error("kernel argument {0}={1} cannot be read")]
    Invalid(&'static str, String),
}

/// Reads `/proc/cmdline`; as for the kernel, the last of two wins.
pub fn parse(cmdline: &str) -> Result<Arguments, CmdlineError> {
    let value = |name: &'static str| {
        cmdline
            .split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .next_back()
            .ok_or(CmdlineError::Missing(name))
    };
    let nonce = value(NONCE_ARGUMENT)?;
    let transport = value(CHANNEL_ARGUMENT)?;
    Ok(Arguments {
        nonce: Nonce::from_hex(nonce)
            .ok_or_else(|| CmdlineError::Invalid(NONCE_ARGUMENT, nonce.into()))?,
        transport: match transport {
            "serial" => Transport::Serial,
            "vsock" => Transport::Vsock,
            other => return Err(CmdlineError::Invalid(CHANNEL_ARGUMENT, other.into())),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn arguments_are_found_among_others() {
        let line =
            format!("console=ttyS0 mvm.channel=vsock mvm.nonce={NONCE} mvm.channel=serial quiet\n");
        let arguments = parse(&line).unwrap();
        assert_eq!(arguments.transport, Transport::Serial);
        assert_eq!(arguments.nonce.to_hex(), NONCE);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert_eq!(parse("quiet"), Err(CmdlineError::Missing(NONCE_ARGUMENT)));
        assert_eq!(
            parse(&format!("mvm.nonce={NONCE}")),
            Err(CmdlineError::Missing(CHANNEL_ARGUMENT))
        );
        for bad in ["mvm.nonce=12 mvm.channel=serial", "mvm.nonce=\u{e9} mvm.channel=vsock"] {
            assert!(matches!(parse(bad), Err(CmdlineError::Invalid(..))), "{bad}");
        }
        let line = format!("mvm.nonce={NONCE} mvm.channel=pigeon");
        assert_eq!(parse(&line), Err(CmdlineError::Invalid(CHANNEL_ARGUMENT, "pigeon".into())));
    }
}
