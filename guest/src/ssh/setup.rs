// SPDX-License-Identifier: Apache-2.0
//! What a server needs to know: its own key, the keys that are let in, and the
//! workload, whose surroundings sessions get.

use std::fs::File;
use std::io::{self, Read, Seek};

use mvm_proto::{Process, SshServer};
use protobuf::Message;
use russh::keys::{PrivateKey, PublicKey};

/// More is no document of ours: a workload's environment has a few MiB at most.
const MAX_BYTES: u64 = 16 << 20;

pub struct Setup {
    pub host_key: PrivateKey,
    pub authorized: Vec<PublicKey>,
    /// Without its command.
    pub workload: Process,
    pub hostname: String,
}

impl Setup {
    /// Reads the document that the agent left in a file.
    pub fn read(mut file: File) -> io::Result<Self> {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Self::parse(SshServer::parse_from_bytes(&bytes)?)
    }

    /// A key that cannot be used is left out: the others are not lost with it.
    pub fn parse(document: SshServer) -> io::Result<Self> {
        let keys = document.keys.unwrap_or_default();
        let host_key = PrivateKey::from_openssh(&keys.host_key).map_err(io::Error::other)?;
        let authorized = keys.authorized_keys.iter().filter_map(|line| {
            let key = PublicKey::from_openssh(line);
            key.inspect_err(|e| eprintln!("mvm-init: an authorized key: {e}")).ok()
        });
        Ok(Self {
            host_key,
            authorized: authorized.collect(),
            workload: document.workload.unwrap_or_default(),
            hostname: document.hostname,
        })
    }

    /// Whether this key is let in; comments do not count.
    pub fn knows(&self, key: &PublicKey) -> bool {
        self.authorized.iter().any(|known| known.key_data() == key.key_data())
    }
}
