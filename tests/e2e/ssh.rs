// SPDX-License-Identifier: Apache-2.0
//! Into a VM over SSH: with mvm's own client, and with Debian's OpenSSH and
//! rsync.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mvm::monitor::{self, ExecRequest, SSH_SERVER};
use mvm::state::{Dirs, VmStore};

use crate::openssh::{OpenSsh, expect, fed};
use crate::support::{Home, slower};
use crate::{image, need, ready};

const STATUS_OF_NO_CONNECTION: i32 = 255;

fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| (n * 7 % 251) as u8).collect()
}

/// Makes a pair of keys of people; its private one.
fn key(home: &Home, name: &str, kind: &str) -> PathBuf {
    let path = home.path().join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t", kind, "-f"])
        .arg(&path)
        .status()
        .expect("ssh-keygen");
    assert!(made.success());
    path
}

/// A VM whose command is not root's; nothing of it is reached by a network.
#[test]
fn sessions_files_and_forwards() {
    let home = need!(ready());
    let debian = image("debian:12");
    let (mine, rsa) = (key(&home, "mine", "ed25519"), key(&home, "rsa", "rsa"));
    home.mvm(["run", "-d", "--name", "box", "-u", "1000:7", "-e", "FROM=run", "--ssh-key"])
        .args([mine.as_os_str(), "--ssh-key".as_ref(), rsa.with_extension("pub").as_os_str()])
        .args([&debian, "sleep", "100000"])
        .run()
        .status(0);
    own_client(&home);
    at_a_terminal(&home);
    let openssh = OpenSsh::new(&home, "box");
    clients_of_openssh(&home, &openssh, &[&mine, &rsa]);
    files(&home, &openssh);
    rsync(&home, &openssh);
    the_agent(&home, &openssh);
    forwards(&openssh);
    slow_and_stuck(&home, &openssh);
    channels_without_end(&home);
    bad_connections(&home);
    an_impostor(&home, &openssh);
    without_a_shell(&home, &openssh);
    home.mvm(["stop", "-t", "1", "box"]).run().status(0);
    let stopped = home.mvm(["ssh", "box"]).run();
    stopped.status(STATUS_OF_NO_CONNECTION).stderr_has("not running").stderr_has("mvm start box");
    // Its keys are those that it was made with.
    home.mvm(["start", "box"]).run().status(0);
    home.mvm(["ssh", "box", "/bin/echo", "again"]).run().status(0).stdout("again\n");
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.is_quiet();
}

fn own_client(home: &Home) {
    let ssh = |words: &[&str]| home.mvm(["ssh"]).args(words).run();
    let script = "echo $USER $FROM $PWD $(id -u):$(id -g); echo err >&2; exit 7";
    ssh(&["box", script]).status(7).stdout("app run /home/app 1000:7\n").guest_stderr("err\n");
    ssh(&["root@box", "echo $USER $FROM $HOME $SHELL"]).stdout("root run /root /bin/bash\n");
    ssh(&["-l", "root", "box", "--", "id", "-un"]).stdout("root\n");
    ssh(&["box", "kill -TERM $$"]).status(143);
    ssh(&["box", "nowhere"]).status(127);
    home.mvm(["ssh", "box", "echo $LC_TIME,$LANG,$OTHER"])
        .env("LC_TIME", "xx")
        .env("OTHER", "no")
        .env("LANG", "C")
        .run()
        .stdout("xx,C,\n");
    // More than the windows of both sides, both ways at once.
    let all = bytes(3_000_000);
    home.mvm(["ssh", "box", "cat"]).stdin(all.clone()).run().status(0).stdout(&all);
    for stranger in ["nobody", "daemon", ""] {
        let place = format!("{stranger}@box");
        ssh(&[&place, "true"]).status(STATUS_OF_NO_CONNECTION).stderr_has("may not log in");
    }
    // As the workload, it can have no more rights than that.
    ssh(&["root@box", "mount -t tmpfs x /mnt"]).status(32);
    ssh(&["nowhere"]).status(STATUS_OF_NO_CONNECTION).stderr_has("no such VM");
    let many: Vec<_> =
        (0..10).map(|n| home.mvm(["ssh", "box", &format!("sleep 1; echo {n}")]).spawn()).collect();
    for (n, running) in many.into_iter().enumerate() {
        running.finish().status(0).stdout(format!("{n}\n"));
    }
}

fn at_a_terminal(home: &Home) {
    let mut terminal = home.mvm(["ssh", "root@box"]).on_terminal(30, 100);
    terminal.shows("# ").is_raw(true);
    terminal
        .line("stty size; tty; echo $0 $SSH_TTY", "30 100\r\n/dev/pts/0\r\n-bash /dev/pts/0\r\n");
    terminal.resize(41, 77);
    terminal.line("sleep 0.5; stty size", "41 77\r\n");
    terminal.line("sleep 1000", "sleep 1000\r\n");
    std::thread::sleep(Duration::from_millis(500));
    terminal.types("\x03");
    terminal.shows("# ");
    terminal.line("exit 42", "exit 42").ends_with(42).is_as_before();
    let mut left = home.mvm(["ssh", "-t", "box", "sleep 1000"]).on_terminal(30, 100);
    left.is_raw(true);
    left.types("~.");
    left.ends_with(STATUS_OF_NO_CONNECTION).is_as_before();
}

fn clients_of_openssh(home: &Home, openssh: &OpenSsh, keys: &[&Path]) {
    expect(&openssh.run("ssh", ["box", "echo out; exit 5"]), 5, "out\n");
    expect(&openssh.run("ssh", ["-tt", "box", "tty"]), 0, "/dev/pts/0\r\n");
    let all = bytes(1_000_000);
    expect(&fed(openssh.command("ssh").args(["box", "cat"]), all.clone()), 0, &all);
    let keyless = openssh.without_key();
    for key in keys {
        let identity = key.to_str().expect("a name");
        expect(&keyless.run("ssh", ["-i", identity, "root@box", "id -un"]), 0, "root\n");
    }
    // One that nobody named; and the right one behind more than anyone has.
    let guesses = |keys: &[PathBuf], why: &str| {
        let mut command = keyless.command("ssh");
        for key in keys {
            command.arg("-i").arg(key);
        }
        let refused = command.args(["box", "true"]).output().expect("start ssh");
        expect(&refused, STATUS_OF_NO_CONNECTION, "");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(why), "{said}");
    };
    let mut strangers: Vec<PathBuf> =
        (0..20).map(|number| key(home, &format!("stranger{number}"), "ed25519")).collect();
    guesses(&strangers[..1], "Permission denied (publickey)");
    strangers.push(keys[0].to_owned());
    guesses(&strangers, "");
    let refused = openssh.run("ssh", ["nobody@box", "true"]);
    expect(&refused, STATUS_OF_NO_CONNECTION, "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied (publickey)"));
}

fn files(home: &Home, openssh: &OpenSsh) {
    let tree = home.path().join("tree");
    fs::create_dir_all(tree.join("sub")).expect("a directory");
    let all = bytes(2_000_000);
    fs::write(tree.join("sub/bytes"), &all).expect("a file");
    let back = home.path().join("back");
    let (tree, back_text) = (tree.to_str().expect("a name"), back.to_str().expect("a name"));
    expect(&openssh.run("scp", ["-r", "-p", tree, "root@box:/root/"]), 0, "");
    expect(&openssh.run("ssh", ["root@box", "wc -c < /root/tree/sub/bytes"]), 0, "2000000\n");
    expect(&openssh.run("scp", ["root@box:tree/sub/bytes", back_text]), 0, "");
    assert!(fs::read(&back).expect("the copy") == all);
    // As a user, with a user's rights.
    let refused = openssh.run("scp", [back_text, "box:/etc/mine"]);
    assert!(!refused.status.success());
    let batch =
        b"mkdir /tmp/d\nls -l /tmp\nput /etc/hostname /tmp/d/x\nchmod 600 /tmp/d/x\n".to_vec();
    let session = fed(openssh.command("sftp").args(["-b", "-", "box"]), batch);
    assert!(session.status.success(), "{}", String::from_utf8_lossy(&session.stderr));
    let line = "stat -c '%u %a' /tmp/d/x";
    expect(&openssh.run("ssh", ["box", line]), 0, "1000 600\n");
}

/// With the host's own rsync at the other end: no image has one.
fn rsync(home: &Home, openssh: &OpenSsh) {
    let libraries = Command::new("ldd").arg("/usr/bin/rsync").output().expect("ldd");
    let text = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let mut from: Vec<String> =
        text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    from.push("/usr/bin/rsync".into());
    expect(&openssh.run("ssh", ["root@box", "mkdir /opt/rsync"]), 0, "");
    expect(
        &openssh.run("scp", from.iter().map(String::as_str).chain(["root@box:/opt/rsync"])),
        0,
        "",
    );
    let linker = from.iter().find(|name| name.contains("ld-linux")).expect("a linker");
    let linker = linker.rsplit('/').next().unwrap_or_default();
    let there = format!("/opt/rsync/{linker} --library-path /opt/rsync /opt/rsync/rsync");
    let source = home.path().join("tree/");
    let copy = |target: &str, from: &Path| {
        let output = Command::new("rsync")
            .args(["-a", "-e", &openssh.shell(), "--rsync-path", &there])
            .arg(format!("{}/", from.display()))
            .arg(target)
            .output()
            .expect("rsync, which scripts/setup installs");
        expect(&output, 0, "");
    };
    copy("root@box:/root/synced", &source);
    fs::write(source.join("more"), "more").expect("a file");
    copy("root@box:/root/synced", &source);
    let line = "cd /root/synced && cat more && wc -c < sub/bytes";
    expect(&openssh.run("ssh", ["root@box", line]), 0, "more2000000\n");
}

/// Asks an agent for its keys: what ssh-add -l does, which no image has.
const ASK_AGENT: &str = r#"use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new($ENV{SSH_AUTH_SOCK})
    or die "no agent\n"; print $s pack("NC", 1, 11); $s->flush; read($s, my $h, 9);
    my ($l, $k, $n) = unpack("NCN", $h); print "$k $n\n""#;

fn the_agent(home: &Home, openssh: &OpenSsh) {
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
        .args(["-q".as_ref(), home.path().join("mine").as_os_str()])
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

fn forwards(openssh: &OpenSsh) {
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

/// However slow one side is, and however stuck one channel, what is beside it
/// goes on.
fn slow_and_stuck(home: &Home, openssh: &OpenSsh) {
    // Nobody reads at first: every window on the way is full, both ways.
    let all = bytes(8_000_000);
    let mut slow = openssh.command("ssh");
    slow.args(["box", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut slow = slow.spawn().expect("ssh");
    let mut input = slow.stdin.take().expect("a pipe");
    let fed = all.clone();
    let feeder = std::thread::spawn(move || std::io::Write::write_all(&mut input, &fed));
    std::thread::sleep(Duration::from_secs(2));
    let output = slow.wait_with_output().expect("wait");
    feeder.join().expect("a thread").expect("all is taken");
    expect(&output, 0, &all);

    let socket = home.path().join("control");
    let control = format!("ControlPath={}", socket.display());
    let mut shared = openssh.command("ssh");
    let mut shared = shared.args(["-M", "-N", "-o", &control, "box"]).spawn().expect("ssh");
    while !socket.exists() {
        assert!(shared.try_wait().expect("look at ssh").is_none(), "no connection");
        std::thread::sleep(Duration::from_millis(50));
    }
    let over = |line: &str| {
        let mut command = openssh.command("ssh");
        command.args(["-o", &control, "box", line]).stdout(Stdio::piped());
        command
    };
    let mut stuck = over("sleep 1000").stdin(Stdio::piped()).spawn().expect("ssh");
    let mut pipe = stuck.stdin.take().expect("a pipe");
    // More than there is room for on the way: the writer waits for good.
    std::thread::spawn(move || std::io::Write::write_all(&mut pipe, &vec![0; 64 << 20]));
    std::thread::sleep(Duration::from_secs(2));
    for n in 0..5 {
        let echo = format!("echo {n}");
        expect(&over(&echo).output().expect("ssh"), 0, format!("{n}\n"));
    }
    let many: Vec<_> = (0..20).map(|_| over("echo there").spawn().expect("ssh")).collect();
    for client in many {
        expect(&client.wait_with_output().expect("wait"), 0, "there\n");
    }
    // Whose connection goes is hung up on.
    shared.kill().expect("end ssh");
    shared.wait().expect("wait");
    stuck.wait().expect("wait");
    let _ = fs::remove_file(&socket);
    let deadline = std::time::Instant::now() + slower(Duration::from_secs(20));
    let line = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 1000 '";
    while !home.mvm(["exec", "box", "bash", "-c", line]).run().stdout_text().starts_with('1') {
        assert!(std::time::Instant::now() < deadline, "a process outlives its connection");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks for more channels than there may be, and floods one that nobody reads.
fn channels_without_end(home: &Home) {
    struct Any;
    impl russh::client::Handler for Any {
        type Error = russh::Error;
        async fn check_server_key(
            &mut self,
            _: &russh::keys::PublicKeyOrCertificate,
        ) -> Result<bool, russh::Error> {
            Ok(true)
        }
    }
    let dirs = Dirs::under(home.path());
    let record = VmStore::new(&dirs).find("box").expect("the VM").record;
    let keys = mvm::ssh::Keys::ensure(&dirs.vm(&record.id)).expect("keys");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let request = ExecRequest::helper(SSH_SERVER, &[]);
        let helper = monitor::helper(&record, request).await.expect("a connection");
        let (stdin, stdout, ending) = helper.split();
        let stream = tokio::io::join(stdout, stdin);
        let config = std::sync::Arc::new(russh::client::Config::default());
        let mut client =
            russh::client::connect_stream(config, stream, Any).await.expect("a client");
        let key = std::sync::Arc::new(keys.client().clone());
        let key = russh::keys::PrivateKeyWithHashAlg::new(key, None);
        let entered = client.authenticate_publickey("root", key).await.expect("an answer");
        assert!(entered.success());
        let mut open = Vec::new();
        for _ in 0..200 {
            open.extend(client.channel_open_session().await);
        }
        assert_eq!(open.len(), 64);
        // One that is closed makes room.
        open.pop().expect("a channel").close().await.expect("closed");
        tokio::time::sleep(Duration::from_millis(500)).await;
        open.push(client.channel_open_session().await.expect("room for one"));
        drop((open, client));
        let ended = tokio::time::timeout(slower(Duration::from_secs(20)), ending).await;
        ended.expect("the server ends with its client").expect("an end");
    });
}

/// Garbage, and more connections than there may be.
fn bad_connections(home: &Home) {
    for nonsense in [&b"GET / HTTP/1.0\r\n\r\n"[..], &[0xff; 200_000], b""] {
        let output = home.mvm(["ssh", "--stdio", "box"]).stdin(nonsense.to_vec()).run();
        assert!([0, STATUS_OF_NO_CONNECTION].contains(&output.code()), "{}", output.stderr_text());
    }
    let vms = VmStore::new(&Dirs::under(home.path()));
    let record = vms.find("box").expect("the VM").record;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut held = Vec::new();
        for _ in 0..1000 {
            let request = ExecRequest::helper(SSH_SERVER, &[]);
            let (stdin, stdout, ending) =
                monitor::helper(&record, request).await.expect("a connection").split();
            held.push((stdin, stdout, tokio::spawn(ending)));
        }
        let patience = slower(Duration::from_secs(10));
        let mut refused = 0;
        let deadline = tokio::time::Instant::now() + patience;
        while refused < 1000 - 32 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            refused = held.iter().filter(|(_, _, ending)| ending.is_finished()).count();
        }
        assert_eq!(refused, 1000 - 32);
        let (_, _, last) = held.pop().expect("the last one");
        let failure = last.await.expect("a task").expect_err("one too many");
        assert!(failure.message.contains("32 SSH connections"), "{failure}");
        // Other commands are not held up, and the next one is told.
        home.mvm(["exec", "box", "true"]).run().status(0);
        home.mvm(["ssh", "box", "true"]).run().status(255).stderr_has("takes no more");
    });
    // They end with who held them.
    let deadline = std::time::Instant::now() + slower(Duration::from_secs(20));
    while home.mvm(["ssh", "box", "true"]).run().code() != 0 {
        assert!(std::time::Instant::now() < deadline, "no way in any more");
        std::thread::sleep(Duration::from_millis(200));
    }
    let line = "ls /proc/[0-9]*/comm | wc -l";
    let left: u32 = home
        .mvm(["exec", "box", "sh", "-c", line])
        .run()
        .stdout_text()
        .trim()
        .parse()
        .expect("a number");
    assert!(left < 150, "{left} processes are left");
}

/// A server without the key that was made for it.
fn an_impostor(home: &Home, openssh: &OpenSsh) {
    let keys = fs::read_dir(home.path().join("data/vms"))
        .expect("the VMs")
        .map(|entry| entry.expect("a VM").path().join("ssh"))
        .find(|path| path.exists())
        .expect("its keys");
    let mode = |name: &str| fs::metadata(keys.join(name)).expect("a file").permissions().mode();
    assert_eq!((mode("id_ed25519") & 0o777, mode("") & 0o777), (0o600, 0o700));
    let (pinned, kept) = (keys.join("host_ed25519"), keys.join("kept"));
    fs::rename(&pinned, &kept).expect("rename");
    fs::copy(keys.join("id_ed25519"), &pinned).expect("copy");
    let own = home.mvm(["ssh", "box", "true"]).run();
    own.status(STATUS_OF_NO_CONNECTION).stderr_has("does not have the key that was made for it");
    let other = OpenSsh::new(home, "box");
    let theirs = other.run("ssh", ["box", "true"]);
    expect(&theirs, STATUS_OF_NO_CONNECTION, "");
    assert!(String::from_utf8_lossy(&theirs.stderr).contains("Host key verification failed"));
    fs::rename(&kept, &pinned).expect("rename");
    let _ = OpenSsh::new(home, "box");
    expect(&openssh.run("ssh", ["box", "true"]), 0, "");
}

/// Last: there is none from here on.
fn without_a_shell(home: &Home, openssh: &OpenSsh) {
    let without = "rm /bin/bash /bin/sh /bin/dash";
    home.mvm(["exec", "-u", "root", "box", "/bin/rm"])
        .args(without.split_whitespace().skip(1))
        .run()
        .status(0);
    for place in ["box", "root@box"] {
        let output = home.mvm(["ssh", place, "echo $HOME"]).run();
        output.status(127).stderr_has("has no shell").stderr_has("mvm exec");
        expect(&openssh.run("ssh", [place, "/usr/bin/id -u root"]), 0, "0\n");
    }
    let shell = openssh.run("ssh", ["box"]);
    assert_eq!(shell.status.code(), Some(127));
    let copied = home.path().join("hostname");
    let copied = copied.to_str().expect("a name");
    expect(&openssh.run("scp", ["box:/etc/hostname", copied]), 0, "");
}
