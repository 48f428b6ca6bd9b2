// SPDX-License-Identifier: Apache-2.0
//! What a workload may do and use: looked at from inside, as Docker's users
//! would find it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::support::{Home, Mvm};
use crate::{image, need, ready, sh};

/// `mvm run --rm OPTIONS debian:12 sh -c SCRIPT`.
fn debian<'home>(home: &'home Home, options: &[&str], script: &str) -> Mvm<'home> {
    let debian = image("debian:12");
    home.mvm(["run", "--rm"]).args(options).args([&debian, "sh", "-c", script])
}

/// The sets of every thread but the agent's and the kernel's, each once.
const EVERY_THREAD: &str = "sleep 9 & python3 -c '
import glob, threading, time
threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
sets, threads = set(), 0
for path in glob.glob(\"/proc/[0-9]*/task/*/status\"):
    try: lines = open(path).readlines()
    except OSError: continue # It has ended.
    fields = dict(line.strip(chr(10)).split(\":\\t\", 1) for line in lines if \":\\t\" in line)
    # Kernel threads have no memory.
    if path.startswith(\"/proc/1/\") or \"VmSize\" not in fields: continue
    threads += 1
    sets.add(tuple(fields[name] for name in \"CapBnd CapPrm CapEff CapInh CapAmb NoNewPrivs\".split()))
print(threads >= 4, *sets)
'";

#[test]
fn root_has_dockers_rights_and_no_more() {
    let home = need!(ready());
    // What Debian's tools do as root, and what would reach the machine.
    let script = [
        EVERY_THREAD,
        "
        umask 022; cd /tmp
        cp /usr/bin/id id && chown 5:5 id && chown 0:0 id && chmod u+s id
        setpriv --reuid 65534 --clear-groups ./id -u; su nobody -s /bin/sh -c 'id -u'
        mkdir -p p/DEBIAN; printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n' >p/DEBIAN/control
        dpkg-deb -b p x.deb >/dev/null && dpkg -i x.deb >/dev/null && echo dpkg
        python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print(\"raw\")'
        chroot / true && echo chroot
        mknod zero c 1 5 && head -c1 zero | wc -c
        exec 2>/dev/null
        mknod disk b $(cat /sys/block/vdb/dev | tr : ' ') && { cat disk || echo no disk; }
        mknod port c $(cat /sys/class/virtio-ports/*/dev | head -n1 | tr : ' '); [ -e port ] && { echo >port || echo no port; }
        python3 -c 'if 1:
          import socket
          s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM); s.settimeout(5)
          s.connect((2, 1025)); s.send(bytes(16)); assert s.recv(16)' || echo no vsock
        echo b >/proc/sysrq-trigger || echo no sysrq
        echo '|/bin/x' >/proc/sys/kernel/core_pattern || echo no core_pattern
        echo max >/sys/fs/cgroup/workload/pids.max || echo no cgroup
        mount -t tmpfs x /mnt || echo no mount
        unshare -Urmpf mount -t proc proc /mnt || echo no proc
        unshare -Urmn mount -t sysfs sys /mnt || echo no sys
        head -c1 /proc/1/environ || echo no environ
        ls /proc/1/root/ || echo no agent
        dmesg || echo no log
        date -s 2020-01-01 >/dev/null || echo no clock
        kill -9 1; kill -STOP 1; reboot -f || echo no reboot
        echo $(cd /proc/sys/kernel; cat yama/ptrace_scope dmesg_restrict kptr_restrict unprivileged_bpf_disabled)
        ls /dev | tr '\\n' ' '; stat -f -c %b:%S /dev/shm; ulimit -n; ulimit -p",
    ]
    .concat();
    let rights = "00000000a80425fb";
    let none = "0000000000000000";
    let port = if crate::is_libkrun() { "" } else { "no port\n" };
    debian(&home, &[], &script).run().status(0).stdout(format!(
        "True ('{rights}', '{rights}', '{rights}', '{none}', '{none}', '0')\n\
         0\n65534\ndpkg\nraw\nchroot\n1\n\
         no disk\n{port}no vsock\nno sysrq\nno core_pattern\nno cgroup\nno mount\nno proc\nno sys\n\
         no environ\nno agent\nno log\nno clock\nno reboot\n1 1 1 2\n\
         core fd full mqueue mvm mvm.sock null ptmx pts random shm stderr stdin stdout tty urandom zero \
         16384:4096\n1048576\nunlimited\n"
    ));
}

#[test]
fn rights_are_given_and_taken_as_asked() {
    let home = need!(ready());
    let none = "0000000000000000";
    // No rights but bounds, and no way to get them.
    let dropped = ["-u", "1000", "--cap-drop", "ALL", "--cap-add", "net_admin"];
    debian(&home, &dropped, EVERY_THREAD).run().status(0).stdout(format!(
        "True ('0000000000001000', '{none}', '{none}', '{none}', '{none}', '1')\n"
    ));
    // Root with a say; what is setuid stays without.
    let said = ["--security-opt", "no-new-privileges", "--cap-add=ALL", "--cap-drop=SYS_BOOT"];
    let script = "cp /usr/bin/id /tmp; chmod u+s /tmp/id
        setpriv --reuid 65534 --clear-groups /tmp/id -u; grep -E 'CapEff|NoNew' /proc/self/status";
    let all_but_boot = "CapEff:\t000001ffffbfffff\nNoNewPrivs:\t1\n";
    debian(&home, &said, script).run().status(0).stdout(format!("65534\n{all_but_boot}"));
    // All there is.
    let script = "grep -E 'CapEff|NoNew' /proc/self/status; [ -b /dev/vda ] && echo disk
        mount -t tmpfs x /mnt && echo mount; echo core >/proc/sys/kernel/core_pattern && echo written";
    debian(&home, &["--privileged"], script)
        .run()
        .status(0)
        .stdout("CapEff:\t000001ffffffffff\nNoNewPrivs:\t0\ndisk\nmount\nwritten\n");
}

#[test]
fn surroundings_are_as_the_flags_say() {
    let home = need!(ready());
    let file = home.path().join("env");
    fs::write(&file, "\u{feff}A=file\r\n# no\nB=\"file\"\nFROM_HOST\nNOT_SET\n").unwrap();
    let file = file.to_str().unwrap();
    let options = [
        "-u=1000",
        "--read-only",
        "-w=/made/for/it",
        "--tmpfs=/run:size=1m,exec,mode=700,uid=1000",
        "--tmpfs=/scratch",
        "--shm-size=1m",
        "--add-host=db:10.0.0.5",
        "--add-host=six=[::1]",
        "--dns=9.9.9.9",
        "--dns-search=a.example",
        "--dns-option=ndots:2",
        "--env-file",
        file,
        "-e=A=flag",
        "--group-add=44",
        "--group-add=audio",
        "--sysctl=kernel.domainname=dom",
        "--sysctl=fs.nr_open=2000000",
        "--ulimit=nofile=100:1500000",
        "--ulimit=core=-1",
        "--pids-limit=50",
        "--security-opt=no-new-privileges=false",
        "--init",
        "--device=/dev/fuse",
        "--device=/dev/vda:/dev/disks/one",
    ];
    let script = "pwd; touch /x 2>/dev/null || echo sealed; touch /run/a /scratch/b && echo room
        awk '$2 ~ /^.(run|scratch|dev.shm)$/ { print $2, $4 }' /proc/mounts
        tail -n2 /etc/hosts; cat /etc/resolv.conf; echo $A $B $FROM_HOST ${NOT_SET-unset}
        id -G; cat /proc/sys/kernel/domainname; ulimit -n; ulimit -Hn; ulimit -c
        cat /sys/fs/cgroup/workload/pids.max; grep NoNew /proc/self/status
        ls -l /dev/fuse /dev/disks/one | cut -c1-10; : </dev/fuse && echo fuse";
    debian(&home, &options, script).env("FROM_HOST", "host").run().status(0).stdout(
        "/made/for/it\nsealed\nroom\n\
         /dev/shm rw,nosuid,nodev,noexec,relatime,size=1024k,inode64\n\
         /run rw,nosuid,nodev,relatime,size=1024k,mode=700,uid=1000,inode64\n\
         /scratch rw,nosuid,nodev,noexec,relatime,inode64\n\
         10.0.0.5\tdb\n::1\tsix\n\
         search a.example\nnameserver 9.9.9.9\noptions ndots:2\n\
         flag \"file\" host unset\n1000 29 44 2000\ndom\n100\n1500000\nunlimited\n50\n\
         NoNewPrivs:\t0\nbrw-------\ncrw-rw-rw-\nfuse\n",
    );
}

#[test]
fn nonsense_is_refused_before_the_boot() {
    let home = need!(ready());
    for (options, says) in [
        (&["--tmpfs", "relative"][..], "absolute"),
        (&["--tmpfs", "/a", "--tmpfs", "/a/"], "duplicate mount point: /a"),
        (&["--ulimit", "nofile=2:1"], "soft limit"),
        (&["--cap-add", "MAGIC"], "invalid capability"),
        (&["--add-host", "db:name"], "invalid IP address"),
        (&["--add-host", "h:host-gateway"], "no address"),
        (&["--dns", "name"], "not correctly formatted"),
        (&["--env-file", "/no/such/file"], "/no/such/file"),
        (&["--sysctl", "x"], "no value"),
        (&["--security-opt", "seccomp=x.json"], "system calls"),
        (&["--device", "/etc/passwd"], "below /dev"),
        (&["--ipc", "host"], "a kernel of its own"),
        (&["--pids-limit", "5000000"], "limit"),
    ] {
        sh(&home, options, "true").run().fails_with(says);
    }
    assert!(home.vms().is_empty());
    // Only the guest can tell.
    sh(&home, &["--sysctl", "kernel.nope=1"], "true").run().fails_with("set sysctl kernel.nope");
    sh(&home, &["--device", "/dev/none"], "true").run().fails_with("device /dev/none: no such");
    sh(&home, &["--group-add", "nobodys"], "true").run().fails_with("unable to find group nobodys");
    assert!(home.vms().is_empty());
}

/// It is the command that fails, in its own words; the VM ends as any other.
#[test]
fn what_is_used_up_ends_clearly() {
    let home = need!(ready());
    let bomb = "i=0; while [ $i -lt 100 ]; do sleep 100 & i=$((i+1)); done; echo never";
    let output = sh(&home, &["--pids-limit", "50"], bomb).run();
    output.status(2).stdout("").stderr_has("can't fork: Resource temporarily unavailable");
    // A full disk, a full /tmp, and orphans that nobody else waits for.
    let script = "dd if=/dev/zero of=/big bs=1M count=100; echo disk $?
        dd if=/dev/zero of=/tmp/big bs=1M count=2; echo tmp $?
        for i in 1 2 3; do (sleep 0.1 &); done; sleep 1
        grep -l '^State:.Z' /proc/[0-9]*/status | wc -l; exit 6";
    let words = ["run", "--name", "full", "--disk", "64m", "--tmpfs", "/tmp:size=1m"];
    let output = home.mvm(words).args([&image("busybox"), "sh", "-c", script]).run();
    output.status(6).stdout("disk 1\ntmp 1\n0\n");
    assert_eq!(output.stderr_text().matches("No space left on device").count(), 2);
    let record = home.mvm(["inspect", "full"]).run().json();
    assert_eq!(record[0]["State"]["ExitCode"], 6);
    home.mvm(["rm", "full"]).run().status(0);
    home.is_quiet();
}

#[test]
fn a_fork_bomb_without_a_limit_leaves_the_agent_alive() {
    let home = need!(ready());
    let bomb = "b() { b | b & }; b; echo lit; sleep 1000";
    let mut running = sh(&home, &["--name", "bomb"], bomb).spawn();
    running.wait_for_stdout("lit");
    std::thread::sleep(Duration::from_secs(3));
    home.mvm(["stop", "-t", "30", "bomb"]).run().status(0);
    running.finish().status(143);
    assert!(home.vms().is_empty());
}

#[test]
fn memory_that_is_not_there_ends_who_takes_it() {
    let home = need!(ready());
    let small = ["-m", "128", "--tmpfs", "/t:size=1g"];
    // A child is not the command.
    let output = sh(&home, &small, "tail /dev/zero; echo $?; exit 3").run();
    output.status(3).stdout("137\n").stderr_lacks("ran out of memory");
    // A file in memory is nobody's, and not freed by anyone's end.
    for takes in ["exec tail /dev/zero", "exec cat /dev/zero >/t/x"] {
        let output = sh(&home, &small, takes).run();
        output.status(137).stdout("").stderr_has("warning: the VM ran out of memory");
    }
    assert!(home.vms().is_empty());
}

#[test]
fn words_of_every_byte_and_of_every_length() {
    let home = need!(ready());
    let every_byte: Vec<u8> = (1..=255).collect();
    let variable = OsString::from_vec([b"A=", &every_byte[..]].concat());
    let large = home.path().join("large");
    let line = |n: usize| format!("V{n}={}\n", "x".repeat(1000));
    fs::write(&large, (0..1000).map(line).collect::<String>()).unwrap();
    let words = ["run", "--rm", "--env-file", large.to_str().unwrap(), "-e"];
    let command = ["sh", "-c", "printf %s \"$1$A\"; env | grep -c ^V", "x"].map(OsString::from);
    home.mvm(words)
        .args([variable, image("busybox").into()])
        .args(command)
        .args([OsString::from_vec(every_byte.clone())])
        .run()
        .status(0)
        .stdout([&every_byte[..], &every_byte, b"1000\n"].concat());
    // The guest's kernel takes no string of 128 KiB; a stack holds no 4 MB.
    for (text, hint) in
        [(format!("V={}\n", "x".repeat(200_000)), ""), (line(0).repeat(4000), "hint:")]
    {
        fs::write(&large, text).unwrap();
        let output = sh(&home, &["--env-file", large.to_str().unwrap()], "true").run();
        output.status(126).one_error("argument list too long").stderr_has(hint);
    }
    assert!(home.vms().is_empty());
}
