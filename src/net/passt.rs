// SPDX-License-Identifier: Apache-2.0
//! `--network user` through passt(1), where it is installed: one process per
//! VM that turns the guest's frames into sockets of this user. The guest
//! reaches what the user reaches, except for the host's own loopback.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::user::{ADDRESS, GATEWAY, NAMESERVER, PREFIX, attachment};
use super::{Attachment, Provider};
use crate::error::{Failure, Result};
use crate::hypervisor::{Endpoint, last_lines};
use crate::sys;

pub const PROGRAM: &str = "passt";

/// How long it may take to come up.
const DEADLINE: Duration = Duration::from_secs(10);

pub struct Passt {
    pub program: PathBuf,
}

impl Provider for Passt {
    fn name(&self) -> &'static str {
        "user"
    }

    fn attach(&self, vm_id: &str) -> Option<Attachment> {
        Some(attachment(vm_id, Endpoint::Stream, Some(self.program.clone())))
    }
}

/// Starts passt on a new cable and gives the other end of it. It goes when
/// that end is closed.
pub async fn plug_in(program: &Path) -> Result<Arc<OwnedFd>> {
    let failed = |e: io::Error| {
        Failure::cannot(format!("start {}", program.display()), e).hint("--network none")
    };
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let theirs = [OwnedFd::from(theirs)];
    let mut command = Command::new(program);
    command
        .args(arguments(theirs[0].as_raw_fd()))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    sys::inherit_and_die_with_us(&mut command, &theirs);
    let child = command.spawn().map_err(failed)?;
    drop(theirs);
    // Once it is ready it goes to the background, which ends this process.
    let output = timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(failed)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = last_lines(&said, 2).join("; ");
        return Err(Failure::new(format!("passt gave no network: {why}")).hint("--network none"));
    }
    Ok(Arc::new(OwnedFd::from(ours)))
}

fn arguments(cable: i32) -> Vec<String> {
    let cable = cable.to_string();
    let prefix = PREFIX.to_string();
    let pairs = [
        ("--fd", cable.as_str()),
        ("--address", ADDRESS),
        ("--netmask", &prefix),
        ("--gateway", GATEWAY),
        ("--dns-forward", NAMESERVER),
    ];
    let mut words: Vec<String> = pairs.iter().flat_map(|&(a, b)| [a.into(), b.into()]).collect();
    // The guest is configured by its own init; the gateway is no way to the
    // host's loopback.
    let flags = ["--quiet", "--ipv4-only", "--no-map-gw", "--no-dhcp"];
    words.extend(flags.map(String::from));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_no_way_to_the_hosts_loopback() {
        let words = arguments(7);
        assert!(words.iter().any(|word| word == "--no-map-gw"));
        assert_eq!(words[..2], ["--fd", "7"]);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_fails_says_so() {
        let absent = plug_in(Path::new("/no/such/passt")).await.unwrap_err();
        assert!(absent.message.contains("/no/such/passt"), "{absent}");
        let broken = plug_in(Path::new("/bin/false")).await.unwrap_err();
        assert!(broken.message.contains("passt gave no network"), "{broken}");
    }
}
