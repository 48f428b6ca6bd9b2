// SPDX-License-Identifier: Apache-2.0
//! Into a VM over SSH: with mvm's own client, and with Debian's OpenSSH and
//! rsync.

mod files;
mod forwards;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
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
fn key(home: &Home, name: &str, kind: &[&str]) -> PathBuf {
    let path = home.path().join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-t"])
        .args(kind)
        .arg("-f")
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
    let keys = [&["ed25519"][..], &["rsa"], &["ecdsa"], &["ecdsa", "-b", "521"]];
    let keys: Vec<PathBuf> = keys.iter().map(|kind| key(&home, &kind.join(""), kind)).collect();
    let mut run = home.mvm(["run", "-d", "--name", "box", "-u", "1000:7", "-e", "FROM=run"]);
    // That of a private key stands for the public one beside it.
    run = run.args(["--ssh-key".as_ref(), keys[0].as_os_str()]);
    for key in &keys[1..] {
        run = run.args(["--ssh-key".as_ref(), key.with_extension("pub").as_os_str()]);
    }
    run.args([&debian, "sleep", "100000"]).run().status(0);
    own_client(&home);
    at_a_terminal(&home);
    let openssh = OpenSsh::new(&home, "box");
    clients_of_openssh(&home, &openssh, &keys);
    new_keys_all_the_time(&openssh);
    files::files(&home, &openssh);
    files::rsync(&home, &openssh);
    files::git(&home, &openssh);
    forwards::the_agent(&home, &openssh);
    forwards::forwards(&openssh);
    forwards::forwards_back(&openssh);
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

fn clients_of_openssh(home: &Home, openssh: &OpenSsh, keys: &[PathBuf]) {
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
        (0..20).map(|number| key(home, &format!("stranger{number}"), &["ed25519"])).collect();
    guesses(&strangers[..1], "Permission denied (publickey)");
    strangers.push(keys[0].clone());
    guesses(&strangers, "Too many authentication attempts");
    let refused = openssh.run("ssh", ["nobody@box", "true"]);
    expect(&refused, STATUS_OF_NO_CONNECTION, "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied (publickey)"));
}

/// Both sides agree on new keys after each MiB, in the middle of what they say.
fn new_keys_all_the_time(openssh: &OpenSsh) {
    let all = bytes(20 << 20);
    let options = ["-o", "LogLevel=DEBUG1", "-o", "RekeyLimit=1M", "box", "cat"];
    let output = fed(openssh.command("ssh").args(options), all.clone());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(output.stdout == all, "{} bytes came back: {said}", output.stdout.len());
    let times = said.matches("SSH2_MSG_NEWKEYS received").count();
    assert!(times >= 20, "{times} times: {said}");
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
