// SPDX-License-Identifier: Apache-2.0
//! What a helper is told that is for nobody else's eyes: in a file in memory
//! that it inherits, so neither in an argument nor in a variable nor on a disk.
//! The helper is root with more rights than the workload's, whose processes
//! can therefore not look at what it has open (ptrace(2), access mode checks).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use mvm_proto::{Process, SshServer};
use protobuf::Message;
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;

/// The helper that gets keys.
const SSH_SERVER: &str = "ssh-server";

/// A file for this helper, if it is one that gets any; and its last argument,
/// which names it. `workload`: as it was started.
pub fn prepare(
    request: &mut Process,
    workload: Option<&Process>,
    hostname: &str,
) -> io::Result<Option<OwnedFd>> {
    let keys = request.ssh.take();
    if !request.helper || request.args.first().is_none_or(|name| name != SSH_SERVER.as_bytes()) {
        return Ok(None);
    }
    let (Some(keys), Some(workload)) = (keys, workload) else {
        return Err(io::Error::other("the host gave the SSH server no keys"));
    };
    let document = SshServer {
        keys: Some(keys).into(),
        workload: Some(workload.clone()).into(),
        hostname: hostname.to_owned(),
        ..SshServer::default()
    };
    let file = rustix::fs::memfd_create("ssh", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(&document.write_to_bytes()?)?;
    let file = OwnedFd::from(file);
    request.args.push(file.as_raw_fd().to_string().into_bytes());
    Ok(Some(file))
}

/// The file that this process inherited as its argument says. Called once, when
/// nothing else has been opened.
pub fn taken(argument: &OsString) -> io::Result<OwnedFd> {
    let number = argument.to_str().and_then(|text| text.parse::<i32>().ok());
    let number = number.filter(|number| *number > 2);
    let number = number.ok_or_else(|| {
        io::Error::other(format!("{} is no descriptor", OsStr::new(argument).display()))
    })?;
    // SAFETY: `number` was open at the start of this process or is open nowhere
    // (then fcntl says so below, and the file is forgotten); nothing in this
    // program has opened it, and it is no standard descriptor.
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    if let Err(error) = rustix::io::fcntl_setfd(&file, FdFlags::CLOEXEC) {
        std::mem::forget(file);
        return Err(error.into());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use mvm_proto::SshKeys;

    use super::*;

    #[test]
    fn only_the_ssh_server_gets_keys() {
        let keys = SshKeys { host_key: "secret".into(), ..SshKeys::default() };
        let helper =
            |name: &str, helper| Process { args: vec![name.into()], helper, ..Process::default() };
        for mut other in [helper("tar", true), helper(SSH_SERVER, false)] {
            let workload = Process::default();
            assert!(prepare(&mut other, Some(&workload), "").unwrap().is_none());
            assert_eq!(other.args.len(), 1);
        }
        let mut server = helper(SSH_SERVER, true);
        server.ssh = Some(keys).into();
        let workload = Process { user: "web".into(), ..Process::default() };
        let file = prepare(&mut server, Some(&workload), "box").unwrap().unwrap();
        assert_eq!(server.args[1], file.as_raw_fd().to_string().as_bytes());
        let mut file = File::from(file);
        let mut text = Vec::new();
        use std::io::{Read, Seek};
        file.rewind().unwrap();
        file.read_to_end(&mut text).unwrap();
        let document = SshServer::parse_from_bytes(&text).unwrap();
        assert_eq!(document.keys.host_key, "secret");
        assert_eq!((document.workload.user.as_str(), document.hostname.as_str()), ("web", "box"));
        assert!(prepare(&mut helper(SSH_SERVER, true), Some(&workload), "").is_err());
        assert!(taken(&"2".into()).is_err());
        assert!(taken(&"1000000".into()).is_err());
    }
}
