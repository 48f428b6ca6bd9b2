// SPDX-License-Identifier: Apache-2.0
//! Boots mvm-init for real, under QEMU's emulation, and plays the host. Needs
//! a kernel (`MVM_KERNEL`), QEMU, erofs-utils, e2fsprogs and a static busybox;
//! without one of them it says so and is skipped.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "../../initramfs.rs"]
mod initramfs;
mod machine;
#[path = "../../../tests/support/skip.rs"]
mod skip;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use machine::{MIB, Machine, command, make_layers, make_upper, run};
use skip::skip_because;

use mvm_proto::{MAIN_PROCESS, MAX_LAYERS, MessageField, Share, SignalRequest, StartFailureKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BUSYBOX: &str = "/bin/busybox";

struct Setup {
    kernel: PathBuf,
    initramfs: PathBuf,
    directory: tempfile::TempDir,
}

/// `None`, with the reason on stderr, where a VM cannot be booted.
fn setup() -> Option<Setup> {
    let Some(kernel) = std::env::var_os("MVM_KERNEL").map(PathBuf::from) else {
        skip_because("MVM_KERNEL names no kernel");
        return None;
    };
    for tool in ["/usr/bin/qemu-system-x86_64", "/usr/bin/mkfs.erofs", "/sbin/mke2fs", BUSYBOX] {
        if !Path::new(tool).exists() {
            skip_because(&format!("{tool} is not installed"));
            return None;
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let init = std::env::var_os("MVM_INIT_PATH").map_or_else(
        || {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guest");
            initramfs::build_init(&workspace, &target, "x86_64").unwrap()
        },
        PathBuf::from,
    );
    let initramfs = directory.path().join("initramfs");
    fs::write(&initramfs, initramfs::pack(&fs::read(init).unwrap())).unwrap();
    fs::create_dir(directory.path().join("share")).unwrap();
    make_upper(&directory.path().join("upper"));
    Some(Setup { kernel, initramfs, directory })
}

/// A base layer with a system of busybox, and one above it.
fn trees(directory: &Path, blob: &[u8]) -> [PathBuf; 2] {
    let (base, top) = (directory.join("base"), directory.join("top"));
    for path in ["bin", "etc", "root", "var/www"] {
        fs::create_dir_all(base.join(path)).unwrap();
    }
    fs::copy(BUSYBOX, base.join("bin/busybox")).unwrap();
    let applets = Command::new(BUSYBOX).arg("--list").output().unwrap();
    for applet in String::from_utf8(applets.stdout).unwrap().lines() {
        if applet != "busybox" {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
    }
    let write = |path: &str, content: &str, mode: u32| {
        fs::write(base.join(path), content).unwrap();
        fs::set_permissions(base.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    write("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/var/www:/bin/sh\n", 0o644);
    write("etc/group", "root:x:0:\nweb:x:34:\nadm:x:4:web\n", 0o644);
    write("bin/lost", "#!/no/such/shell\n", 0o755);
    write("bin/raw", "echo no format\n", 0o755);
    write("bin/secret", "#!/bin/sh\n", 0o700);
    symlink("../elsewhere", base.join("etc/resolv.conf")).unwrap();
    fs::write(base.join("blob"), blob).unwrap();
    fs::create_dir_all(top.join("etc")).unwrap();
    fs::write(top.join("etc/motd"), "top\n").unwrap();
    [base, top]
}

/// Bytes that no pattern makes.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

#[tokio::test]
async fn an_image_runs_like_a_container() {
    let Some(setup) = setup() else { return };
    let directory = setup.directory.path();
    let blob = noise(1 << 20);
    let [base, top] = trees(directory, &blob);
    let layers = make_layers(directory, &[&base, &top]);
    let share = directory.join("share");
    fs::write(share.join("from-host"), "hello").unwrap();

    let since = Instant::now();
    let mut vm = Machine::boot(&setup.kernel, &setup.initramfs, directory, &layers).await;
    let dialled = since.elapsed();
    let booted = vm.cpu_time();
    let mut config = vm.config();
    config.nameservers = vec!["10.0.2.3".into()];
    let mut volume = Share::new();
    (volume.tag, volume.target) = ("share".into(), b"/mnt/volume".to_vec());
    config.shares = vec![volume];
    let configured = vm.configure(&config).await;
    println!(
        "to dial {dialled:?}, CPU {booted:?}; to configured, CPU {:?}; guest clock: init {} ms, configured {} ms; kernel {}",
        vm.cpu_time(),
        configured.init_started_ms,
        configured.configured_ms,
        configured.kernel_release
    );
    assert!(vm.client.configure(machine::deadline(), &config).await.is_err());
    let mut first = command(&["true"]);
    first.id = "first".into();
    println!("guest clock: exec {} ms", vm.start(&first).await.started_ms);
    assert_eq!(vm.wait("first").await.code, 0);

    status_and_streams(&mut vm).await;
    root_and_names(&mut vm).await;
    users(&mut vm).await;
    refusals(&mut vm).await;
    signals_and_orphans(&mut vm).await;
    volume_is_shared(&mut vm, &share).await;
    throughput(&mut vm, &blob).await;

    // What was written last must be on the disk: no sync, and a process that
    // still holds a file.
    let kept = vm.shell("echo kept > /kept; sleep 1000 > /held & exit 0").await;
    assert_eq!(kept.exit.code, 0);
    println!("shutdown {:?}", vm.shut_down(Duration::from_millis(500)).await);
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(directory.join("upper")));
}

async fn status_and_streams(vm: &mut Machine) {
    for code in [0, 7, 255] {
        let output = vm.shell(&format!("echo out; echo err >&2; exit {code}")).await;
        assert_eq!((output.exit.code, output.exit.signal), (code, 0));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }
    let output = vm.run(command(&["cat"]), b"in and\0out").await;
    assert_eq!(output.stdout, b"in and\0out");
    // One that does not read its input.
    let output = vm.run(command(&["true"]), &noise(3 << 20)).await;
    assert_eq!(output.exit.code, 0);
    let closes = command(&["sh", "-c", "exec <&-; sleep 0.2; echo ok"]);
    assert_eq!(vm.run(closes, &noise(1 << 20)).await.text(), "ok\n");
    // One that leaves its output to a process that stays.
    let output = vm.shell("sleep 1000 & head -c 300000 /blob; exit 3").await;
    assert_eq!((output.exit.code, output.stdout.len()), (3, 300_000));
    vm.shell("killall sleep").await;
}

async fn root_and_names(vm: &mut Machine) {
    let output = vm.shell("cat /etc/motd /etc/hostname /etc/resolv.conf; hostname; pwd").await;
    assert_eq!(output.text(), "top\nbox\nnameserver 10.0.2.3\nbox\n/\n");
    let output = vm.shell("ls -d /elsewhere; mv /var/www /var/w && mv /var/w /var/www").await;
    assert_eq!((output.exit.code, output.text()), (0, ""));
    let output = vm.shell("grep -c box /etc/hosts; ping -c1 -W1 127.0.0.1 >/dev/null && echo up");
    assert_eq!(output.await.text(), "1\nup\n");
    let output =
        vm.shell("tty; echo x > /dev/shm/x; ls /dev/pts /dev/fd; cat /proc/1/cgroup").await;
    assert!(output.text().contains("0::/agent\n"), "{}", output.text());
    let mut elsewhere = command(&["sh", "-c", "pwd; stat -c %u:%a ."]);
    elsewhere.cwd = b"/made/for/this".to_vec();
    elsewhere.user = "web".into();
    assert_eq!(vm.run(elsewhere, b"").await.text(), "/made/for/this\n0:755\n");
}

async fn users(vm: &mut Machine) {
    for (user, expected) in [
        ("", "uid=0(root) gid=0(root) groups=0(root)\n/root\n"),
        ("web", "uid=33(web) gid=34(web) groups=4(adm),34(web)\n/var/www\n"),
        ("33:adm", "uid=33(web) gid=4(adm) groups=4(adm)\n/var/www\n"),
        ("4000:5000", "uid=4000 gid=5000 groups=5000\n/\n"),
    ] {
        let mut id = command(&["sh", "-c", "id; echo $HOME; echo fine > /dev/stderr"]);
        id.user = user.into();
        let output = vm.run(id, b"").await;
        assert_eq!((output.text(), &output.stderr[..]), (expected, &b"fine\n"[..]), "{user}");
    }
    let mut env = command(&["env"]);
    env.env = vec![b"A=1".to_vec(), b"A=2".to_vec()];
    let output = vm.run(env, b"").await;
    assert_eq!(
        output.text(),
        "A=2\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         HOSTNAME=box\nHOME=/root\n"
    );
    assert_eq!(vm.shell("ulimit -n; ulimit -Hn").await.text(), "1048576\n1048576\n");
    let signals = command(&["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
    let output = vm.run(signals, b"").await;
    assert_eq!(output.text(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

async fn refusals(vm: &mut Machine) {
    use StartFailureKind::{BAD_CWD, BAD_USER, NOT_EXECUTABLE, NOT_FOUND};
    for (name, kind, message) in [
        ("ghost", NOT_FOUND, "exec: \"ghost\": executable file not found in $PATH"),
        ("/x/y", NOT_FOUND, "exec: \"/x/y\": stat /x/y: no such file or directory"),
        ("/etc/passwd", NOT_EXECUTABLE, "exec: \"/etc/passwd\": permission denied"),
        ("/etc", NOT_EXECUTABLE, "exec: \"/etc\": is a directory"),
        ("raw", NOT_EXECUTABLE, "exec: \"raw\": exec format error"),
        (
            "lost",
            NOT_FOUND,
            "exec: \"lost\": its interpreter \"/no/such/shell\": no such file or directory",
        ),
    ] {
        assert_eq!(vm.refuse(command(&[name])).await, (kind, message.into()));
    }
    let mut secret = command(&["/bin/secret"]);
    secret.user = "web".into();
    let message = "exec: \"/bin/secret\": permission denied";
    assert_eq!(vm.refuse(secret).await, (NOT_EXECUTABLE, message.into()));
    let mut ghost = command(&["true"]);
    ghost.user = "ghost".into();
    let message = "unable to find user ghost: no matching entries in passwd file";
    assert_eq!(vm.refuse(ghost).await, (BAD_USER, message.into()));
    let mut nowhere = command(&["true"]);
    nowhere.cwd = b"/etc/passwd".to_vec();
    assert_eq!(vm.refuse(nowhere).await.0, BAD_CWD);
}

async fn signals_and_orphans(vm: &mut Machine) {
    let mut sleep = command(&["sleep", "1000"]);
    sleep.id = MAIN_PROCESS.into();
    sleep.cpu_milli = 500;
    vm.start(&sleep).await;
    let mut signal = SignalRequest::new();
    (signal.id, signal.signal) = (MAIN_PROCESS.into(), 15);
    for _ in 0..2 {
        vm.client.signal(machine::deadline(), &signal).await.unwrap();
        let exit = vm.wait(MAIN_PROCESS).await;
        assert_eq!((exit.code, exit.signal), (143, 15));
    }
    let limit = vm.shell("cat /sys/fs/cgroup/workload/cpu.max").await;
    assert_eq!(limit.text(), "50000 100000\n");
    // Nobody in there can lift it.
    let lifted = vm.shell("echo max > /sys/fs/cgroup/workload/cpu.max").await;
    assert_eq!(lifted.exit.code, 1);
    sleep.args = vec![b"true".into()];
    sleep.cpu_milli = 64_000;
    vm.start(&sleep).await;
    assert_eq!(vm.wait(MAIN_PROCESS).await.code, 0);
    let output = vm.shell("kill -9 $$").await;
    assert_eq!((output.exit.code, output.exit.signal), (137, 9));
    vm.shell("for i in 1 2 3; do (sleep 0.1 &) ; done; sleep 0.5").await;
    let zombies = vm.shell("grep -l '^State:.Z' /proc/[0-9]*/status | wc -l").await;
    assert_eq!(zombies.text(), "0\n");
    // Many at once must not take each other's status.
    for round in 0..20 {
        assert_eq!(vm.shell(&format!("exit {round}")).await.exit.code, round);
    }
}

async fn volume_is_shared(vm: &mut Machine, share: &Path) {
    let output = vm.shell("cat /mnt/volume/from-host; echo there > /mnt/volume/from-guest").await;
    assert_eq!((output.text(), output.exit.code), ("hello", 0));
    assert_eq!(fs::read_to_string(share.join("from-guest")).unwrap(), "there\n");
    // What the host changes is seen at the next open, of the same size too.
    fs::write(share.join("from-host"), "jello").unwrap();
    let output = vm.shell("cat /mnt/volume/from-host").await;
    assert_eq!(output.text(), "jello");
    fs::write(share.join("from-host"), "a longer text").unwrap();
    assert_eq!(vm.shell("cat /mnt/volume/from-host").await.text(), "a longer text");
    let output = vm.shell("cd /mnt/volume && cp /blob b && sync && cmp b /blob && rm b").await;
    assert_eq!(output.exit.code, 0, "{}", String::from_utf8_lossy(&output.stderr));
}

async fn throughput(vm: &mut Machine, blob: &[u8]) {
    const TIMES: usize = 100;
    let mut cat =
        command(&["sh", "-c", "i=0; while [ $i -lt 100 ]; do cat /blob; i=$((i+1)); done"]);
    let id = vm.stream_id();
    (cat.id, cat.stdout) = ("big".into(), id);
    let (since, cpu) = (Instant::now(), vm.cpu_time());
    let mut stdout = vm.opener.open(id).await.unwrap();
    vm.start(&cat).await;
    let mut part = vec![0; blob.len()];
    for _ in 0..TIMES {
        stdout.read_exact(&mut part).await.unwrap();
        assert!(part == blob, "stdout is not what was written");
    }
    assert_eq!(stdout.read(&mut part).await.unwrap(), 0);
    assert_eq!(vm.wait("big").await.code, 0);
    let out = (TIMES as u64 * MIB) as f64 / since.elapsed().as_secs_f64() / 1e6;
    let mut sum = command(&["sh", "-c", "cat > /dev/null"]);
    let id = vm.stream_id();
    (sum.id, sum.stdin) = ("in".into(), id);
    let cpu_out = vm.cpu_time() - cpu;

    let (since, cpu) = (Instant::now(), vm.cpu_time());
    let mut stdin = vm.opener.open(id).await.unwrap();
    vm.start(&sum).await;
    for _ in 0..TIMES {
        stdin.write_all(blob).await.unwrap();
    }
    stdin.shutdown().await.unwrap();
    assert_eq!(vm.wait("in").await.code, 0);
    let inward = (TIMES as u64 * MIB) as f64 / since.elapsed().as_secs_f64() / 1e6;
    let cpu_in = vm.cpu_time() - cpu;
    println!(
        "{TIMES} MiB: stdout {out:.1} MB/s, CPU {cpu_out:?}; stdin {inward:.1} MB/s, CPU {cpu_in:?}"
    );
}

/// Where names go, the image has what nobody should: a directory, links to
/// nothing and to outside, and no directory of the system but one that is used.
fn strange_trees(directory: &Path) -> Vec<PathBuf> {
    let [base, _] = trees(directory, b"");
    fs::create_dir_all(base.join("etc/hosts/inside")).unwrap();
    symlink("/no/where", base.join("etc/hostname")).unwrap();
    fs::create_dir_all(base.join("tmp")).unwrap();
    fs::write(base.join("tmp/shipped"), "shipped").unwrap();
    symlink("/real", base.join("mnt")).unwrap();
    fs::create_dir_all(base.join("real")).unwrap();
    let mut trees = vec![base];
    for n in 1..MAX_LAYERS {
        let tree = directory.join(format!("layer{n}"));
        fs::create_dir_all(tree.join("layers")).unwrap();
        fs::write(tree.join("layers").join(n.to_string()), n.to_string()).unwrap();
        fs::write(tree.join("layers/top"), n.to_string()).unwrap();
        trees.push(tree);
    }
    trees
}

#[tokio::test]
async fn a_strange_image_of_127_layers_boots_read_only() {
    let Some(setup) = setup() else { return };
    let directory = setup.directory.path();
    let trees = strange_trees(directory);
    let trees: Vec<&Path> = trees.iter().map(PathBuf::as_path).collect();
    let layers = make_layers(directory, &trees);
    let mut vm = Machine::boot(&setup.kernel, &setup.initramfs, directory, &layers).await;
    let early = vm.client.start(machine::deadline(), &command(&["true"])).await;
    assert!(early.unwrap_err().to_string().contains("not configured"));
    let mut config = vm.config();
    config.root.as_mut().unwrap().read_only = true;
    config.network = MessageField::some(Machine::network());
    let mut volume = Share::new();
    (volume.tag, volume.target, volume.read_only) = ("share".into(), b"/mnt/v".to_vec(), true);
    config.shares = vec![volume];
    let configured = vm.configure(&config).await;
    println!(
        "{MAX_LAYERS} layers: init {} ms, configured {} ms",
        configured.init_started_ms, configured.configured_ms
    );
    let output = vm.shell("cat /layers/top; ls /layers | wc -l; cat /tmp/shipped").await;
    assert_eq!(output.text(), "126127\nshipped");
    let output = vm.shell("ls /etc/hosts; cat /etc/hostname; test -e /no && echo leak").await;
    assert_eq!(output.text(), "inside\nbox\n");
    let output = vm.shell("touch /x /mnt/v/x; grep -c ' /real/v 9p ro' /proc/mounts").await;
    assert_eq!(output.text(), "1\n");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.matches("Read-only file system").count(), 2, "{errors}");
    let output = vm.shell("touch /dev/shm/x && mount | grep -c '^overlay on / '").await;
    assert_eq!(output.text(), "1\n");
    let output = vm.shell(
        "ip -o addr show eth0; ip route; ip link show eth0 | grep -o 'mtu [0-9]*'; \
         ping -c1 -W5 10.0.2.2 | grep -o '1 packets received'",
    );
    let output = output.await;
    for part in ["10.0.2.15/24", "default via 10.0.2.2", "mtu 1400", "1 packets received"] {
        assert!(output.text().contains(part), "{part}: {}", output.text());
    }
    assert!(!output.text().contains("inet6"), "{}", output.text());
    vm.hang_up().await;
}

/// No layers at all: the upper disk is the root, and there is nothing in it.
#[tokio::test]
async fn an_empty_image_is_a_root_too() {
    let Some(setup) = setup() else { return };
    let directory = setup.directory.path();
    let mut vm = Machine::boot(&setup.kernel, &setup.initramfs, directory, &[]).await;
    vm.configure(&vm.config()).await;
    let (kind, message) = vm.refuse(command(&["true"])).await;
    assert_eq!(kind, StartFailureKind::NOT_FOUND);
    assert_eq!(message, "exec: \"true\": executable file not found in $PATH");
    vm.shut_down(Duration::ZERO).await;
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(directory.join("upper")));
}

#[tokio::test]
async fn a_disk_that_is_missing_is_named() {
    let Some(setup) = setup() else { return };
    let directory = setup.directory.path();
    let vm = Machine::boot(&setup.kernel, &setup.initramfs, directory, &[]).await;
    let mut config = vm.config();
    config.root.as_mut().unwrap().upper_device = "serial:nothing".into();
    let error = vm.client.configure(machine::deadline(), &config).await.unwrap_err();
    assert!(error.to_string().contains("look for disk serial:nothing: no such device"), "{error}");
    vm.shut_down(Duration::ZERO).await;
}

#[test]
fn the_archive_is_one_that_cpio_reads() {
    let archive = initramfs::pack(b"an init");
    assert_eq!(archive, initramfs::pack(b"an init"));
    let mut list = Command::new("cpio")
        .args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"])
        .env("TZ", "UTC")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(list) = &mut list else {
        skip_because("cpio is not installed");
        return;
    };
    list.stdin.take().unwrap().write_all(&archive).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut list.stdout.take().unwrap(), &mut text).unwrap();
    assert!(list.wait().unwrap().success());
    let names: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["dev", "proc", "sys", "l", "u", "r", "dev/console", "dev/null", "init"]);
    assert!(text.contains("crw-------   1 0        0          5,   1"), "{text}");
    assert!(text.contains("-rwxr-xr-x   1 0        0               7"), "{text}");
}
