// SPDX-License-Identifier: Apache-2.0
//! What passes beside a session: the agent of the host, and ports both ways.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{STATUS_OF_NO_CONNECTION, bytes};
use crate::openssh::{OpenSsh, expect, fed};
use crate::support::Home;

/// Asks an agent for its keys: what ssh-add -l does, which no image has.
const ASK_AGENT: &str = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK})
    or die "no agent\n"; print $s pack("NC", 1, 11); $s->flush; read($s, my $h, 9);
    my ($l, $k, $n) = unpack("NCN", $h); print "$k $n\n""#;

pub fn the_agent(home: &Home, openssh: &OpenSsh) {
    let socket = home.path().join("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("ssh-agent");
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let added = Command::new("ssh-add")
        .env("SSH_AUTH_SOCK", &socket)
        .args(["-q".as_ref(), home.path().join("ed25519").as_os_str()])
        .status();
    assert!(added.expect("ssh-add").success());
    let ask = format!("perl -e '{ASK_AGENT}'");
    for user in ["box", "root@box"] {
        let own = home.mvm(["ssh", "-A", user, &ask]).env("SSH_AUTH_SOCK", &socket).run();
        own.status(0).stdout("12 1\n");
    }
    let theirs =
        openssh.command("ssh").env("SSH_AUTH_SOCK", &socket).args(["-A", "box", &ask]).output();
    expect(&theirs.expect("ssh"), 0, "12 1\n");
    // Not unless it is asked for, and to nobody else.
    let line = "echo ${SSH_AUTH_SOCK-none}; ls /tmp | grep -c ^ssh-";
    home.mvm(["ssh", "box", line]).env("SSH_AUTH_SOCK", &socket).run().stdout("none\n0\n");
    let line = "stat -c '%a %u' $(dirname $SSH_AUTH_SOCK)";
    let own = home.mvm(["ssh", "-A", "box", line]).env("SSH_AUTH_SOCK", &socket).run();
    own.status(0).stdout("700 1000\n");
    home.mvm(["ssh", "-A", "box", "true"]).env("SSH_AUTH_SOCK", "").run().status(255);
    agent.kill().expect("end the agent");
    agent.wait().expect("wait for the agent");
    // It cannot do it any more.
    let _ = fs::remove_file(&socket);
}

/// A server of the VM's own loopback, for one connection: it says back what it
/// is told.
const ECHO: &str = r#"use IO::Socket::INET; my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1",
    LocalPort => 7000, Listen => 1, ReuseAddr => 1); print "ready\n"; STDOUT->flush;
    my $c = $l->accept; while (sysread($c, my $b, 65536)) { syswrite($c, $b) }"#;

pub fn forwards(openssh: &OpenSsh) {
    let mut server = openssh
        .command("ssh")
        .args(["box", &format!("perl -e '{ECHO}'")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ssh");
    let mut ready = [0; 6];
    std::io::Read::read_exact(server.stdout.as_mut().expect("a pipe"), &mut ready).expect("ready");
    let all = bytes(300_000);
    expect(
        &fed(openssh.command("ssh").args(["-W", "localhost:7000", "box"]), all.clone()),
        0,
        &all,
    );
    assert!(server.wait().expect("wait").success());
    for nowhere in ["127.0.0.1:1", "10.0.2.2:80", "example.com:80"] {
        let refused = openssh.run("ssh", ["-W", nowhere, "box"]);
        assert_eq!(refused.status.code(), Some(STATUS_OF_NO_CONNECTION), "{nowhere}");
    }
}

/// Says something to a port of its own loopback, and shows the answer.
const ASK: &str = r#"use IO::Socket::INET; my $s = IO::Socket::INET->new("127.0.0.1:7100")
    or die "nobody there\n"; print $s "hello\n"; shutdown($s, 1); print <$s>"#;

pub fn forwards_back(openssh: &OpenSsh) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut asked = String::new();
        std::io::Read::read_to_string(&mut stream, &mut asked).expect("a question");
        std::io::Write::write_all(&mut stream, format!("{asked}too\n").as_bytes()).expect("told");
    });
    let with = |forward: &str, command: &str| {
        let options = ["-o", "ExitOnForwardFailure=yes", "-R", forward, "box", command];
        openssh.run("ssh", options)
    };
    let ask = format!("perl -e '{ASK}'");
    expect(&with(&format!("7100:{here}"), &ask), 0, "hello\ntoo\n");
    server.join().expect("the server");
    // It goes with its connection.
    let alone = openssh.run("ssh", ["box", &ask]);
    assert_eq!(String::from_utf8_lossy(&alone.stderr), "nobody there\n");
    // What is root's, and what is no port.
    for forward in ["80", "/tmp/socket"] {
        let refused = with(&format!("{forward}:{here}"), "echo ran");
        expect(&refused, STATUS_OF_NO_CONNECTION, "");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        let words = match forward.starts_with('/') {
            true => format!("for listen path {forward}"),
            false => format!("for listen port {forward}"),
        };
        assert_eq!(said.trim(), format!("Error: remote port forwarding failed {words}"));
    }
}
