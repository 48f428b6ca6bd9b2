// SPDX-License-Identifier: Apache-2.0
//! OpenSSH's clients, told by `mvm ssh-config` how to reach VMs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support::Home;

pub struct OpenSsh {
    config: PathBuf,
}

impl OpenSsh {
    pub fn new(home: &Home, vm: &str) -> Self {
        let block = home.mvm(["ssh-config", vm]).run();
        block.status(0);
        let config = home.path().join("ssh_config");
        let rest = "Host *\n  BatchMode yes\n  LogLevel ERROR\n";
        std::fs::write(&config, block.stdout_text() + rest).expect("write ssh_config");
        Self { config }
    }

    /// As it is, but for the VM's own key, which ssh tries beside all that it is given.
    pub fn without_key(&self) -> Self {
        let text = std::fs::read_to_string(&self.config).expect("read ssh_config");
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("IdentityFile "));
        let config = self.config.with_extension("keyless");
        std::fs::write(&config, lines.collect::<Vec<_>>().join("\n") + "\n").expect("write");
        Self { config }
    }

    /// One of ssh, scp and sftp, with nothing on stdin.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(&self.config).stdin(Stdio::null());
        command.env_remove("SSH_AUTH_SOCK");
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Output {
        self.command(program).args(args).output().expect("start a client of OpenSSH")
    }

    /// What rsync is to start.
    pub fn shell(&self) -> String {
        format!("ssh -F {}", self.config.display())
    }
}

/// Exactly this status and this on stdout.
#[track_caller]
pub fn expect(output: &Output, status: i32, stdout: impl AsRef<[u8]>) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    let same = output.stdout == stdout.as_ref();
    assert!(same, "{} {stderr}", String::from_utf8_lossy(&output.stdout));
}

/// Runs a command with this on its stdin.
pub fn fed(command: &mut Command, bytes: Vec<u8>) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("start a client of OpenSSH");
    let mut input = child.stdin.take().expect("a pipe");
    // It may end without having read all of it.
    let feeder = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let output = child.wait_with_output().expect("wait for a client");
    let _ = feeder.join();
    output
}
