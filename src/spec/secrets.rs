// SPDX-License-Identifier: Apache-2.0
//! Secrets of a VM: what is kept of one is where it comes from. Its content is
//! read at each start, by the command that starts, and goes to the guest over
//! the channel; it is in no file, argument or environment of ours.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use mvm_proto::MAX_SECRETS;
use serde::{Deserialize, Serialize};

use super::VmSpec;
use crate::error::{Failure, Result};
use crate::image::ImageConfig;
use crate::sys;

/// Bytes of one.
pub const MAX_SECRET: usize = 1 << 20;
/// More than any workload has.
pub const MAX_SECRET_COUNT: usize = 64;

/// Where a secret without a target of its own is.
pub const SECRETS: &str = "/run/secrets";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub id: String,
    pub source: SecretSource,
    /// Absolute and clean.
    pub target: String,
    /// Whose it is, in place of the workload's user.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// An absolute path.
    File(PathBuf),
    /// A variable of the command that starts the VM.
    Env(String),
}

/// The contents of a VM's secrets, in their order; wiped when dropped.
#[derive(Default)]
pub struct SecretContents(Vec<Vec<u8>>);

impl Drop for SecretContents {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|content| wipe(content));
    }
}

/// Leaves zeros.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Or the compiler could leave that out.
    std::hint::black_box(bytes);
}

impl SecretContents {
    /// Reads them all.
    pub fn read(secrets: &[Secret]) -> Result<Self> {
        let mut contents = Self::default();
        for secret in secrets {
            contents.0.push(secret.read()?);
        }
        let bytes: usize = contents.0.iter().map(Vec::len).sum();
        match bytes <= MAX_SECRETS {
            true => Ok(contents),
            false => Err(Failure::new(format!(
                "the secrets have {bytes} bytes together, {MAX_SECRETS} at most can be"
            ))
            .hint("share what is large with -v")),
        }
    }
}

impl Secret {
    fn read(&self) -> Result<Vec<u8>> {
        let id = &self.id;
        let content = match &self.source {
            SecretSource::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| {
                    Failure::new(format!("secret {id}: the variable {name} is not set"))
                        .hint("a secret is read anew at each start: set it for this command, too")
                })?;
                sys::os_bytes(&value)
            }
            SecretSource::File(path) => {
                let failed = |e| {
                    Failure::cannot(format!("read secret {id} from {}", path.display()), e)
                        .hint("a secret is read anew at each start: its file has to stay")
                };
                let mut content = Vec::with_capacity(4096);
                let file = File::open(path).map_err(failed)?;
                file.take(MAX_SECRET as u64 + 1).read_to_end(&mut content).map_err(failed)?;
                content
            }
        };
        match content.len() <= MAX_SECRET {
            true => Ok(content),
            false => {
                Err(Failure::new(format!("secret {id} has more than {} MiB", MAX_SECRET >> 20))
                    .hint("is it the right file? share what is large with -v"))
            }
        }
    }
}

impl VmSpec {
    /// For the guest. `contents` are those of `self.secrets`.
    pub fn guest_secrets(
        &self,
        image: &ImageConfig,
        mut contents: SecretContents,
    ) -> Vec<mvm_proto::Secret> {
        let user = self.user.as_ref().unwrap_or(&image.user);
        let secret = |(secret, content): (&Secret, &mut Vec<u8>)| mvm_proto::Secret {
            target: secret.target.clone().into_bytes(),
            content: std::mem::take(content),
            owner: secret.owner(user),
            mode: secret.mode,
            ..Default::default()
        };
        self.secrets.iter().zip(&mut contents.0).map(secret).collect()
    }

    /// Variables that hold a secret, which no process of ours is to inherit.
    pub fn secret_variables(&self) -> Vec<String> {
        let names = self.secrets.iter().filter_map(|secret| match &secret.source {
            SecretSource::Env(name) => Some(name.clone()),
            SecretSource::File(_) => None,
        });
        names.collect()
    }
}

impl Secret {
    /// `user` is the workload's, as Docker writes it.
    fn owner(&self, user: &str) -> String {
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        let name = self.uid.map_or_else(|| name.to_owned(), |uid| uid.to_string());
        match (self.gid, group) {
            (Some(gid), _) => format!("{name}:{gid}"),
            // The user's own.
            (None, "") => name,
            (None, group) => format!("{name}:{group}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(source: SecretSource) -> Secret {
        let target = format!("{SECRETS}/key");
        Secret { id: "key".into(), source, target, uid: None, gid: None, mode: 0o400 }
    }

    fn file(bytes: &[u8]) -> (tempfile::TempDir, Secret) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, bytes).unwrap();
        (directory, secret(SecretSource::File(path)))
    }

    #[test]
    fn bytes_are_what_they_are_to_a_limit() {
        for bytes in [&b""[..], b"\0\xff\n", &vec![7; MAX_SECRET]] {
            let (_directory, secret) = file(bytes);
            assert_eq!(SecretContents::read(&[secret]).unwrap().0, [bytes]);
        }
        let (_directory, large) = file(&vec![7; MAX_SECRET + 1]);
        assert!(SecretContents::read(&[large]).err().unwrap().message.contains("more than 1 MiB"));
        let (_directory, secret) = file(&vec![7; MAX_SECRET]);
        let many = vec![secret; 3];
        assert!(SecretContents::read(&many).err().unwrap().message.contains("together"));
    }

    #[test]
    fn what_is_not_there_is_told_with_a_hint() {
        let missing = secret(SecretSource::Env("MVM_TEST_IS_NOT_SET".into()));
        let failure = SecretContents::read(&[missing]).err().unwrap();
        assert!(failure.message.contains("MVM_TEST_IS_NOT_SET") && failure.hint.is_some());
        let missing = secret(SecretSource::File("/no/such/file".into()));
        let failure = SecretContents::read(&[missing]).err().unwrap();
        assert!(failure.message.contains("/no/such/file") && failure.hint.is_some());
    }

    #[test]
    fn it_is_the_workloads_unless_someone_else_is_named() {
        let mut secret = secret(SecretSource::Env("X".into()));
        for (user, owner) in [("", ""), ("app", "app"), ("7:8", "7:8")] {
            assert_eq!(secret.owner(user), owner);
        }
        secret.uid = Some(5);
        assert_eq!((secret.owner("app"), secret.owner("app:x")), ("5".into(), "5:x".into()));
        secret.gid = Some(6);
        assert_eq!(secret.owner("app:x"), "5:6");
    }
}
