// SPDX-License-Identifier: Apache-2.0
//! Who a process runs as, by the files of the running root; the rules are
//! shared with the host.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use mvm_proto::users::{self, MAX_FILE};
pub use mvm_proto::users::{Credentials, Login, UserError};

/// Looks `user` up in the files of the running root.
pub fn resolve(user: &str, additional: &[String]) -> Result<Credentials, UserError> {
    let read = |path: &str| {
        read_capped(Path::new(path)).map_err(|e| UserError::Unreadable(format!("{path}: {e}")))
    };
    users::resolve(user, additional, &read("/etc/passwd")?, &read("/etc/group")?)
}

/// What the running root says of a user's login.
pub fn login(user: &str) -> io::Result<Option<Login>> {
    Ok(users::login(user, &read_capped(Path::new("/etc/passwd"))?))
}

/// A file that is missing or no regular file is empty.
fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    // A FIFO in its place must not hold the agent up.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = match opened {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(Vec::new()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut content = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_none_are_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read_capped(&directory.path().join("missing")).unwrap().is_empty());
        assert!(read_capped(directory.path()).unwrap().is_empty());
        let fifo = directory.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read_capped(&fifo).unwrap().is_empty());
    }
}
