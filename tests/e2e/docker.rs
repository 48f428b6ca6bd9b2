// SPDX-License-Identifier: Apache-2.0
//! Lines of Docker's reference for `run`, `ps`, `logs`, `stop`, `rm`, `inspect`
//! and their kin, run by bash as they stand there, with `docker` being mvm. The
//! images have the reference's names and are busybox or Debian. What the
//! reference shows depends on its machine (IDs, times): that is compared by its
//! form. Where it types at a prompt, the line is run in a terminal made by
//! script(1).

use std::fs::create_dir;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};

use crate::support::{Home, kernel};
use crate::{image, need, ready};

/// What a line must print on stdout.
enum Out {
    Is(&'static str),
    Has(&'static str),
    Lacks(&'static str),
    /// An ID of 64 digits, and a line's end.
    Id,
}
use Out::{Has, Id, Is, Lacks};

/// A line, its status, and its output.
type Line = (&'static str, i32, Out);

/// Exit statuses, streams, environment, surroundings.
const RUN: &[Line] = &[
    ("docker run --foo busybox; echo $?", 0, Is("125\n")),
    ("docker run busybox /etc; echo $?", 0, Is("126\n")),
    ("docker run busybox foo; echo $?", 0, Is("127\n")),
    ("docker run busybox /bin/sh -c 'exit 3'; echo $?", 0, Is("3\n")),
    (r#"docker run --cidfile docker_test.cid ubuntu echo "test""#, 0, Is("test\n")),
    ("docker inspect -f '{{.Id}}' $(cat docker_test.cid)", 0, Id),
    (r#"echo "test" | docker run -i -a stdin ubuntu cat -"#, 0, Id),
    (r#"docker run -a stderr ubuntu echo test"#, 0, Is("")),
    ("tty run -w /path/to/dir/ -i -t ubuntu pwd", 0, Has("/path/to/dir\r\n")),
    (
        r#"docker run --env VAR1=value1 --env VAR2=value2 ubuntu env | grep VAR"#,
        0,
        Is("VAR1=value1\nVAR2=value2\n"),
    ),
    (
        "export VAR1=value1 VAR2=value2; docker run --env VAR1 --env VAR2 ubuntu env | grep VAR",
        0,
        Is("VAR1=value1\nVAR2=value2\n"),
    ),
    (
        r#"printf '# comment\nVAR1=value1\nVAR2=value2\nUSER\n' > env.list
        USER=jonzeolla docker run --env-file env.list ubuntu env | grep -E 'VAR|USER'"#,
        0,
        Is("VAR1=value1\nVAR2=value2\nUSER=jonzeolla\n"),
    ),
    (r#"docker run --ulimit nofile=1024:1024 --rm debian sh -c "ulimit -n""#, 0, Is("1024\n")),
    (
        "docker run --rm --add-host=my-hostname=8.8.8.8 alpine cat /etc/hosts",
        0,
        Has("8.8.8.8\tmy-hostname\n"),
    ),
    ("tty run -t -i --rm ubuntu bash -c 'mount -t tmpfs none /mnt'", 32, Has("permission denied")),
    (
        "tty run -t -i --privileged --rm ubuntu bash -c 'mount -t tmpfs none /mnt; df -h /mnt'",
        0,
        Has("none"),
    ),
    ("docker run --rm --read-only --tmpfs /icanwrite busybox touch /icanwrite/here", 0, Is("")),
    (
        "docker run --rm --tmpfs /run:rw,noexec,nosuid,size=65536k busybox df -k /run",
        0,
        Has(" 65536 "),
    ),
    (
        "tty run --rm -v $(pwd):$(pwd) -w $(pwd) -i -t ubuntu pwd | tr -d '\\r' | grep -c \"$PWD\"",
        0,
        Is("1\n"),
    ),
    (
        "mkdir data; docker run --rm --mount type=bind,src=$PWD/data,dst=/data busybox \
        touch /data/here; ls data",
        0,
        Is("here\n"),
    ),
    (
        "docker run --rm --sysctl net.ipv4.ip_forward=1 busybox sysctl net.ipv4.ip_forward",
        0,
        Is("net.ipv4.ip_forward = 1\n"),
    ),
    ("docker run --rm --cap-drop=ALL busybox chown 1 /etc/passwd", 1, Is("")),
    (
        "docker run --rm --entrypoint /bin/echo -u 1000:1000 -h box --init busybox hello",
        0,
        Is("hello\n"),
    ),
];

/// A VM in the background, seen and changed from outside.
const LIVE: &[Line] = &[
    (
        r#"docker run --name test -d --label com.example.foo=bar -l my-label busybox \
        sh -c "while true; do date +%s; sleep 1; done""#,
        0,
        Id,
    ),
    ("docker ps", 0, Has("busybox   \"sh -c 'while true; …\"")),
    ("docker ps --no-trunc -q", 0, Id),
    (
        r#"docker ps --filter "label=com.example.foo=bar" --format "{{.Names}}: {{.Command}}""#,
        0,
        Is("test: \"sh -c 'while true; …\"\n"),
    ),
    (r#"docker ps --filter "label=color""#, 0, Lacks("test")),
    (r#"docker ps --filter "name=tes" --filter status=running -q | wc -l"#, 0, Is("1\n")),
    (
        "docker ps -n 1 --format 'table {{.Names}}\\t{{.Image}}'",
        0,
        Is("NAMES   IMAGE\ntest    busybox\n"),
    ),
    ("docker ps --filter ancestor=busybox --format json | grep -c test", 0, Is("1\n")),
    ("sleep 3; docker logs -f --until=2s test | grep -c .", 0, Has("")),
    ("docker logs -n 1 -t test | cut -dT -f1 | grep -cx $(date -u +%F)", 0, Is("1\n")),
    ("docker inspect --format='{{.Config.Image}}' test", 0, Is("busybox\n")),
    (
        "docker inspect --format='{{json .Config.Labels}}' test",
        0,
        Is("{\"com.example.foo\":\"bar\",\"my-label\":\"\"}\n"),
    ),
    ("test -f $(docker inspect --format='{{.LogPath}}' test); echo $?", 0, Is("0\n")),
    ("docker rename test my_container", 0, Is("")),
    (
        "docker kill --signal=HUP my_container; docker wait my_container",
        0,
        Is("my_container\n129\n"),
    ),
    ("docker ps -a --filter 'exited=129' --format {{.Names}}", 0, Is("my_container\n")),
    (
        "docker start my_container; docker restart -t 0 my_container",
        0,
        Is("my_container\nmy_container\n"),
    ),
    ("docker stop my_container", 0, Is("my_container\n")),
    ("docker rm /my_container", 0, Is("/my_container\n")),
    ("docker run -d --name redis busybox sleep 1000; docker rm redis; echo $?", 0, Has("\n1\n")),
    ("docker rm --force --volumes redis", 0, Is("redis\n")),
    ("docker create -t -i --name typed ubuntu bash -c 'echo inside'", 0, Id),
    ("tty start -a -i typed", 0, Has("inside\r\n")),
    (
        "docker rm $(docker ps --filter status=exited -q) >rm.out; docker ps -aq | wc -l",
        0,
        Is("0\n"),
    ),
];

/// Lines of the reference that need what is not built, and what that is. Each
/// is refused clearly.
const NOT_YET: &[(&str, &str)] = &[
    ("docker run -p 127.0.0.1:80:8080/tcp nginx:alpine", "ports: the network is issue 7"),
    ("docker run -d --network=my-net busybox", "networks of a name: issue 7"),
    ("docker run --volumes-from 777f7dc92da7 ubuntu pwd", "volumes of a name"),
    ("docker run --restart=always redis", "restart policies: nobody stays to restart"),
    ("docker run --pid=host alpine sh", "a VM shares no namespace of the host"),
    ("docker run --device=/dev/sda:/dev/xvdc --rm ubuntu fdisk /dev/xvdc", "devices of the host"),
    ("docker run --gpus all ubuntu nvidia-smi", "devices of the host"),
];

/// `tty` is docker in a terminal.
const PRELUDE: &str = r#"export SHELL=/bin/bash
tty() { script -qec "docker $(printf '%q ' "$@")" /dev/null; }
"#;

fn bash(home: &Home, line: &str) -> Output {
    let directory = home.path().join("docker");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("{PRELUDE}{line}")])
        .current_dir(&directory)
        .env("PATH", path)
        .env("MVM_HOME", home.path())
        .env("MVM_KERNEL", kernel().expect("a kernel"))
        .stdin(Stdio::null());
    command.output().expect("run bash")
}

/// A home in which `docker` is mvm, and knows the reference's images.
fn like_dockers() -> Result<Home, String> {
    let home = ready()?;
    let directory = home.path().join("docker");
    create_dir(&directory).expect("make a directory");
    symlink(env!("CARGO_BIN_EXE_mvm"), directory.join("docker")).expect("make a link");
    for (name, of) in [
        ("busybox", "busybox"),
        ("alpine", "busybox"),
        ("redis", "busybox"),
        ("nginx:alpine", "busybox"),
        ("debian", "debian:12"),
        ("ubuntu", "debian:12"),
    ] {
        let of = image(of);
        home.mvm(["pull", "-q", &of]).run().status(0);
        home.mvm(["tag", &of, name]).run().status(0);
    }
    Ok(home)
}

/// How a line fell short, if it did.
fn fault(line: &Line, output: &Output) -> Option<String> {
    let (words, status, expected) = line;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let is_id =
        |text: &str| text.len() == 65 && text.trim_end().bytes().all(|b| b.is_ascii_hexdigit());
    let (holds, wanted) = match expected {
        Is(text) => (stdout == *text, format!("{text:?}")),
        Has(text) => (stdout.contains(text), format!("something with {text:?}")),
        Lacks(text) => (!stdout.contains(text), format!("nothing with {text:?}")),
        Id => (is_id(&stdout), "an ID".into()),
    };
    if holds && output.status.code() == Some(*status) {
        return None;
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Some(format!(
        "{words}\n  expected {status} and {wanted}\n  got {} and {stdout:?}\n  stderr {stderr:?}\n",
        output.status
    ))
}

#[track_caller]
fn check(home: &Home, lines: &[Line]) {
    let faults: Vec<String> =
        lines.iter().filter_map(|line| fault(line, &bash(home, line.0))).collect();
    assert!(faults.is_empty(), "{} of {} lines\n{}", faults.len(), lines.len(), faults.concat());
}

#[test]
fn lines_of_run_do_what_the_reference_says() {
    let home = need!(like_dockers());
    check(&home, RUN);
    home.mvm(["rm", "-f"]).args(home.vms()).run().status(0);
}

#[test]
fn lines_about_a_running_vm_do_what_the_reference_says() {
    let home = need!(like_dockers());
    check(&home, LIVE);
    home.is_quiet();
}

/// Listed, each with what it waits for, and refused with a word about it.
#[test]
fn lines_that_need_what_is_not_built_are_refused() {
    let home = need!(like_dockers());
    for (line, missing) in NOT_YET {
        println!("not yet: {line}: {missing}");
        let output = bash(&home, line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{line}: {stderr}");
        assert!(stderr.contains("error:"), "{line}: {stderr}");
    }
    assert!(home.vms().is_empty());
}
