// SPDX-License-Identifier: Apache-2.0
//! The keys of a VM, made with it or (with --rm) when first asked for, in a directory beside its record: an ed25519
//! pair with which its owner gets in, and one by which its server is known. The
//! files are OpenSSH's, so that its clients can use them.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

use crate::error::{Failure, Result};
use crate::state::{Durability, ignore_missing, make_private_dir, replace_file_with};
use crate::sys;

const DIRECTORY: &str = "ssh";
const CLIENT: &str = "id_ed25519";
const SERVER: &str = "host_ed25519";
const KNOWN_HOSTS: &str = "known_hosts";

/// More is no ed25519 key.
const MAX_FILE: u64 = 16 << 10;

/// Of one VM.
pub struct Keys {
    directory: PathBuf,
    client: PrivateKey,
    server: PrivateKey,
}

impl Keys {
    /// Makes those that are not there, in a VM's directory. They are not synced:
    /// what a power cut left of them is no key, and is made anew.
    pub fn ensure(vm: &Path) -> Result<Self> {
        let directory = vm.join(DIRECTORY);
        let failed =
            |e: io::Error| Failure::cannot(format!("make keys for SSH in {}", vm.display()), e);
        make_private_dir(&directory).map_err(failed)?;
        let key = |name: &str| {
            let path = directory.join(name);
            match read(&path).map_err(failed)? {
                Some(key) => Ok(key),
                None => make(&path).map_err(failed),
            }
        };
        Ok(Self { client: key(CLIENT)?, server: key(SERVER)?, directory })
    }

    pub fn client(&self) -> &PrivateKey {
        &self.client
    }

    pub fn client_file(&self) -> PathBuf {
        self.directory.join(CLIENT)
    }

    /// By what the server is known.
    pub fn pinned(&self) -> &PublicKey {
        self.server.public_key()
    }

    /// Writes a file that has the server's key under a name: ssh(1) looks there.
    pub fn known_hosts(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(KNOWN_HOSTS);
        let failed = |why: String| Failure::cannot(format!("write {}", path.display()), why);
        let key = self.pinned().to_openssh().map_err(|e| failed(e.to_string()))?;
        let line = format!("{name} {key}\n");
        replace_file_with(&path, line.as_bytes(), Durability::Fleeting)
            .map_err(|e| failed(e.to_string()))?;
        Ok(path)
    }

    /// What the guest is told: its own key, and whom it lets in.
    pub fn for_guest(&self, more: &[String]) -> Result<mvm_proto::SshKeys> {
        let failed = |e: russh::keys::ssh_key::Error| Failure::cannot("use the keys for SSH", e);
        let own = self.client.public_key().to_openssh().map_err(failed)?;
        Ok(mvm_proto::SshKeys {
            host_key: self.server.to_openssh(LineEnding::LF).map_err(failed)?.to_string(),
            authorized_keys: std::iter::once(own).chain(more.iter().cloned()).collect(),
            ..Default::default()
        })
    }
}

/// `None` if there is none, or half of one.
fn read(path: &Path) -> io::Result<Option<PrivateKey>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(PrivateKey::from_openssh(text).ok())
}

fn make(path: &Path) -> io::Result<PrivateKey> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| io::Error::other(e.to_string()))?;
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment("mvm");
    let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    ignore_missing(fs::remove_file(&new))?;
    let mut options = File::options();
    options.write(true).create_new(true);
    sys::owner_only(&mut options);
    let put = options
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| publish(&new, path));
    ignore_missing(fs::remove_file(&new))?;
    put?;
    // Another process may have been first.
    read(path)?.ok_or_else(|| io::Error::other("what was written is no key"))
}

/// Gives a file its name, unless a key has that.
fn publish(new: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(new, path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => match read(path)? {
            Some(_) => Ok(()),
            // Half of one.
            None => fs::rename(new, path),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_and_half_of_one_is_made_anew() {
        let vm = tempfile::tempdir().unwrap();
        let made = Keys::ensure(vm.path()).unwrap();
        let again = Keys::ensure(vm.path()).unwrap();
        assert_eq!(made.pinned(), again.pinned());
        assert_eq!(made.client(), Keys::ensure(vm.path()).unwrap().client());
        assert_ne!(made.pinned().key_data(), made.client().public_key().key_data());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&made.client_file()), 0o600);
            assert_eq!(mode(&made.directory), 0o700);
        }
        let text = fs::read(made.client_file()).unwrap();
        fs::write(made.client_file(), &text[..text.len() / 2]).unwrap();
        let mended = Keys::ensure(vm.path()).unwrap();
        assert_ne!(mended.client(), made.client());
        assert_eq!(mended.pinned(), made.pinned());
        let guest = mended.for_guest(&["ssh-ed25519 more".into()]).unwrap();
        assert_eq!(guest.authorized_keys.len(), 2);
        assert!(PrivateKey::from_openssh(guest.host_key).is_ok());
        let known = fs::read_to_string(mended.known_hosts("mvm-1").unwrap()).unwrap();
        assert!(known.starts_with("mvm-1 ssh-ed25519 AAAA"), "{known}");
    }
}
