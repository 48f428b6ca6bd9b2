// SPDX-License-Identifier: Apache-2.0
//! Nothing that an attacker tries may succeed, whoever runs mvm.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::attempts::{ATTEMPTS, DEADLY, POSSIBLE, Targets, VARIABLE};
use crate::start::{BOUND, FITTING, LIBKRUN, MISFIT, QEMU, UNCONFINED};

#[path = "../support/skip.rs"]
mod skip;
#[path = "../support/trials.rs"]
mod trials;

/// Needs no entry in /etc/passwd.
const ORDINARY: u32 = 1000;

pub fn run() -> ExitCode {
    let tests: [(&'static str, trials::Test); 6] = [
        ("qemu_gives_root_nothing", || nothing_is_possible(QEMU, &root())),
        ("qemu_gives_an_ordinary_user_nothing", || nothing_is_possible(QEMU, &ordinary())),
        ("a_runner_gives_root_nothing", || nothing_is_possible(LIBKRUN, &root())),
        ("a_runner_gives_an_ordinary_user_nothing", || nothing_is_possible(LIBKRUN, &ordinary())),
        ("a_runner_dies_of_what_no_vmm_does", a_runner_dies_of_what_no_vmm_does),
        ("without_namespaces_the_other_walls_stand", without_namespaces_the_other_walls_stand),
    ];
    trials::run(tests)
}

fn nothing_is_possible(backend: &str, user: &Result<u32, String>) {
    let Some(host) = Host::of(user) else { return };
    let said = host.run(backend, None);
    assert!(said.contains(&format!("{POSSIBLE}\"")), "something was possible: {said}");
    assert!(!said.contains("not even"), "{said}");
    let shown = fs::read_to_string(host.targets.home.join(".ssh/shown")).unwrap();
    assert_eq!(shown, "contentseen", "a volume of one file is that file");
    host.is_untouched();

    let said = host.run(UNCONFINED, None);
    let (_, possible) = said.split_once(POSSIBLE).expect("the list");
    for (name, _) in ATTEMPTS {
        assert!(possible.contains(name), "{name:?} proves nothing: it fails unconfined too");
    }
}

fn a_runner_dies_of_what_no_vmm_does() {
    let Some(host) = Host::of(&Ok(geteuid().as_raw())) else { return };
    for (name, _) in DEADLY {
        let said = host.run(LIBKRUN, Some(name));
        assert!(said.contains("SIGSYS"), "{name}: {said}");
    }
}

fn without_namespaces_the_other_walls_stand() {
    let Some(host) = Host::of(&ordinary()) else { return };
    let said = host.run(MISFIT, None);
    for word in ["exit status: 0", ", seccomp filter", "no user namespace", "no network namespace"]
    {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    let said = host.run(BOUND, None);
    assert!(said.contains("not started: this host lets mvm mount nothing"), "{said}");
}

fn root() -> Result<u32, String> {
    match geteuid().is_root() {
        true => Ok(0),
        false => Err("needs root".into()),
    }
}

/// Whoever tests, or somebody else if that is root.
fn ordinary() -> Result<u32, String> {
    Ok(if geteuid().is_root() { ORDINARY } else { geteuid().as_raw() })
}

/// What there is to be had, and a user who may have it.
struct Host {
    directory: TempDir,
    user: u32,
    program: PathBuf,
    targets: Targets,
    tcp: TcpListener,
    udp: UdpSocket,
    _sockets: [UnixListener; 2],
}

impl Host {
    /// `None` where the test must be skipped, which is said.
    fn of(user: &Result<u32, String>) -> Option<Self> {
        let host = match user {
            Ok(user) => Self::new(*user),
            Err(reason) => {
                skip::skip_because(reason);
                return None;
            }
        };
        let report = host.run(FITTING, None);
        if report.contains("no mount namespace") || report.contains("no Landlock") {
            skip::skip_because(&format!("needs user namespaces and Landlock: {report}"));
            return None;
        }
        Some(host)
    }

    fn new(user: u32) -> Self {
        let directory = tempfile::Builder::new().prefix("mvm-").tempdir_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("home/.ssh")).unwrap();
        fs::create_dir(path("vm")).unwrap();
        for name in ["home/.ssh/key", "home/.ssh/shown", "vm/kernel", "vm/disk"] {
            fs::write(path(name), "content").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let program = path("program");
        // By a process of its own: what another test's child has inherited for
        // writing cannot be executed.
        let own = std::env::current_exe().unwrap();
        assert!(Command::new("cp").args([&own, &program]).status().unwrap().success());
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
        let (tcp, udp) = (tcp.unwrap(), udp.unwrap());
        let abstract_socket = format!("{}", directory.path().display());
        let address = SocketAddr::from_abstract_name(&abstract_socket).unwrap();
        let sockets = [
            UnixListener::bind_addr(&address).unwrap(),
            UnixListener::bind(path("home/bus")).unwrap(),
        ];
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let targets = Targets {
            home: path("home"),
            tcp: tcp.local_addr().unwrap().port(),
            udp: udp.local_addr().unwrap().port(),
            abstract_socket,
            socket: path("home/bus"),
            kernel: path("vm/kernel"),
            disk: path("vm/disk"),
            only: None,
        };
        give(directory.path(), user);
        Self { directory, user, program, targets, tcp, udp, _sockets: sockets }
    }

    /// What this user hears of what is started.
    fn run(&self, what: &str, only: Option<&str>) -> String {
        let targets = Targets { only: only.map(str::to_owned), ..self.targets.clone() };
        let mut command = Command::new(&self.program);
        command.args(["--start", what]).current_dir("/").env("HOME", &targets.home);
        command.env(VARIABLE, serde_json::to_string(&targets).unwrap());
        if self.user != geteuid().as_raw() {
            command.uid(self.user).gid(self.user);
        }
        let Output { stdout, stderr, .. } = command.output().expect("run this program");
        [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    }

    fn is_untouched(&self) {
        let home = self.directory.path().join("home");
        assert_eq!(fs::metadata(home.join(".ssh/key")).unwrap().mode() & 0o777, 0o600);
        assert!(!home.join(".profile").exists());
        assert!(self.tcp.accept().is_err() && self.udp.recv(&mut [0]).is_err());
    }
}

fn give(path: &Path, user: u32) {
    if user != geteuid().as_raw() {
        chown(path, Some(user), Some(user)).unwrap();
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            give(&entry.path(), user);
        }
    }
}
