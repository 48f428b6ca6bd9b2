// SPDX-License-Identifier: Apache-2.0
//! What somebody tries who has taken over a VMM.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use mvm::confine::{self, Policy};
use rustix::process::{getppid, test_kill_process};
use serde::{Deserialize, Serialize};

/// Variable with the targets as JSON. A runner has no environment: there they
/// are the VM's name.
pub const VARIABLE: &str = "MVM_TEST_TARGETS";

/// How the list of what could be done begins.
pub const POSSIBLE: &str = "possible:";

/// What there is to be had on the host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Targets {
    /// Has `.ssh/key` in it, and `.ssh/shown`, which is a volume.
    pub home: PathBuf,
    /// Listening on the host's loopback.
    pub tcp: u16,
    pub udp: u16,
    /// Name of an abstract socket.
    pub abstract_socket: String,
    /// Below `home`.
    pub socket: PathBuf,
    /// The VM's own: to be read, and to be written to.
    pub kernel: PathBuf,
    pub disk: PathBuf,
    /// The one thing to do, if it may be deadly.
    pub only: Option<String>,
}

type Attempt = (&'static str, fn(&Targets) -> io::Result<()>);

/// What is refused and survived.
pub const ATTEMPTS: [Attempt; 11] = [
    ("read a key", |targets| fs::read(targets.home.join(".ssh/key")).map(drop)),
    ("list its directory", |targets| fs::read_dir(targets.home.join(".ssh")).map(drop)),
    ("open it to others", |targets| {
        let mode = fs::Permissions::from_mode(0o644);
        fs::set_permissions(targets.home.join(".ssh/key"), mode)
    }),
    ("plant a file", |targets| fs::write(targets.home.join(".profile"), "evil")),
    ("look into the monitor", |_| {
        let monitor = getppid().ok_or(io::ErrorKind::NotFound)?;
        fs::read(format!("/proc/{}/environ", monitor.as_raw_pid())).map(drop)
    }),
    ("signal the monitor", |_| Ok(test_kill_process(getppid().ok_or(io::ErrorKind::NotFound)?)?)),
    ("connect by TCP", |targets| TcpStream::connect(("127.0.0.1", targets.tcp)).map(drop)),
    ("send by UDP", |targets| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"out", ("127.0.0.1", targets.udp)).map(drop)
    }),
    ("connect to an abstract socket", |targets| {
        let address = SocketAddr::from_abstract_name(&targets.abstract_socket)?;
        UnixStream::connect_addr(&address).map(drop)
    }),
    ("connect to a socket", |targets| UnixStream::connect(&targets.socket).map(drop)),
    ("start a shell", |_| Command::new("/bin/sh").args(["-c", "exit 0"]).status().map(drop)),
];

/// What a runner does not survive.
pub const DEADLY: [Attempt; 2] = [
    ("become a shell", |_| Err(Command::new("/bin/sh").args(["-c", "exit 0"]).exec())),
    ("make a namespace", |_| {
        // SAFETY: this process has one thread, which shares nothing with others.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWIPC)? };
        Ok(())
    }),
];

/// In place of QEMU, or as nobody's VMM.
pub fn as_program() -> ExitCode {
    let text = std::env::var(VARIABLE).expect("the targets");
    report(&serde_json::from_str(&text).expect("the targets"))
}

/// In place of the runner: through its own door, then the attempts.
pub fn as_runner(name: &str) -> ExitCode {
    #[derive(Deserialize)]
    struct Document {
        policy: Policy,
    }
    let mut document = serde_json::Deserializer::from_reader(io::stdin());
    let policy = Document::deserialize(&mut document).expect("a document").policy;
    confine::enter(&policy).expect("confine this process");
    report(&serde_json::from_str(name).expect("the targets"))
}

/// Says in a short line what could be done.
fn report(targets: &Targets) -> ExitCode {
    let own = File::open(&targets.kernel)
        .and_then(|_| OpenOptions::new().read(true).write(true).open(&targets.disk))
        .and_then(|_| {
            OpenOptions::new().append(true).open(targets.disk.with_file_name("volumes/0"))
        })
        .and_then(|mut shown| io::Write::write_all(&mut shown, b"seen"));
    if let Err(error) = own {
        eprintln!("not even its own files: {error}");
    }
    let chosen = |attempt: &&Attempt| match &targets.only {
        Some(only) => attempt.0 == only,
        None => ATTEMPTS.iter().any(|usual| usual.0 == attempt.0),
    };
    let possible = ATTEMPTS.iter().chain(&DEADLY).filter(chosen);
    let possible = possible.filter(|(_, act)| act(targets).is_ok()).map(|(name, _)| *name);
    eprintln!("{POSSIBLE} {}", possible.collect::<Vec<_>>().join(", "));
    ExitCode::FAILURE
}
