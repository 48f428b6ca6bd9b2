// SPDX-License-Identifier: Apache-2.0
//! A VM's command on a terminal, as a person meets it: through a
//! pseudo-terminal, and once through tmux.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Home, Terminal, slower};
use crate::{image, need, ready, sh, status_of};

/// Prompt of busybox's shell.
const PROMPT: &str = "/ # ";

/// ^C, ^D, ^Z; ^P^Q.
const INTERRUPT: &str = "\x03";
const END: &str = "\x04";
const SUSPEND: &str = "\x1a";
const DETACH: &str = "\x10\x11";

/// `mvm attach OPTIONS VM` on a terminal.
fn attach(home: &Home, options: &[&str], vm: &str) -> Terminal {
    home.mvm(["attach"]).args(options).args([vm]).on_terminal(30, 100)
}

/// One VM for all that a person does at a prompt, leaving it and coming back.
#[test]
fn a_shell_at_a_terminal() {
    let home = need!(ready());
    let busybox = image("busybox");
    let run = ["run", "--rm", "-it", "--name", "shell", &busybox, "sh"];
    let mut terminal = home.mvm(run).on_terminal(30, 100);
    terminal.shows(PROMPT).is_raw(true);
    what_a_shell_shows(&mut terminal);
    job_control(&mut terminal);
    every_byte(&mut terminal);
    stopped_and_continued(&mut terminal);
    terminal.types(DETACH);
    terminal.shows("read escape sequence").ends_with(0).is_as_before();
    assert_eq!(status_of(&home, "shell"), "running");
    back_again(&home);
    windows_that_go(&home);
    let mut last = attach(&home, &[], "shell");
    last.shows(PROMPT).line("exit 42", "exit 42").ends_with(42).is_as_before();
    home.is_quiet();
    assert!(home.vms().is_empty());
}

fn what_a_shell_shows(terminal: &mut Terminal) {
    terminal.line("stty size; tty; echo $TERM", "30 100\r\n/dev/pts/0\r\nxterm\r\n");
    terminal.line(
        "stat -c '%a %g %u' $(tty); [ -t 0 -a -t 1 -a -t 2 ] && echo all",
        "620 5 0\r\nall\r\n",
    );
    terminal.line("echo hello >/dev/console; ls -l /dev/console", "hello\r\ncrw--w----");
    let script = "trap 'echo resized; exit' WINCH; echo set; while :; do sleep 0.1; done";
    terminal.line(&format!("sh -c \"{script}\""), "set\r\n");
    terminal.resize(41, 77);
    terminal.shows("resized\r\n").shows(PROMPT);
    terminal.line("stty size", "41 77\r\n");
}

fn job_control(terminal: &mut Terminal) {
    terminal.line("sleep 100", "sleep 100\r\n");
    typed_at(terminal, INTERRUPT);
    terminal.shows(PROMPT).line("echo slept $?", "slept 130\r\n");
    terminal.line("cat; echo read $?", "cat; echo read $?\r\n");
    typed_at(terminal, "some words\r");
    terminal.shows("some words\r\nsome words\r\n").types(END);
    terminal.shows("read 0\r\n");
    terminal.line("sleep 1000", "sleep 1000\r\n");
    typed_at(terminal, SUSPEND);
    terminal.shows("Stopped").shows(PROMPT);
    terminal.line("fg", "sleep 1000\r\n").types(INTERRUPT);
    terminal.shows(PROMPT);
}

/// A key that is for a program, which must run first.
fn typed_at(terminal: &mut Terminal, key: &str) {
    std::thread::sleep(slower(Duration::from_millis(300)));
    terminal.types(key);
}

/// Nothing is changed on the way, and a paste may be long.
fn every_byte(terminal: &mut Terminal) {
    let every: Vec<u8> = (0..=255).collect();
    terminal.line(r"printf '\033[31mred\0\377\t\n'", b"\x1b[31mred\0\xff\t\r\n");
    terminal.line("stty raw -echo; echo now; head -c 102400 | md5sum; stty sane", "now\n");
    let paste: Vec<u8> = every.repeat(400);
    // Not the keys that leave: ^P is followed by ^Q there.
    let paste: Vec<u8> = paste.into_iter().map(|b| if b == 0x11 { b'q' } else { b }).collect();
    terminal.types(&paste);
    terminal.shows(md5(&paste)).shows(PROMPT);
    terminal.line("stty sane", PROMPT);
    // The first half of the keys, and then something else: nothing is lost.
    terminal.line("head -n 1 | od -c", "od -c\r\n").types("\x10x\r");
    terminal.shows("020   x");
}

fn md5(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut sum = Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("run md5sum");
    sum.stdin.take().expect("a pipe").write_all(bytes).expect("write to md5sum");
    let output = sum.wait_with_output().expect("the sum");
    String::from_utf8_lossy(&output.stdout[..32]).into_owned()
}

/// By someone else: ^Z is the guest's.
fn stopped_and_continued(terminal: &mut Terminal) {
    terminal.signal(Signal::TSTP);
    terminal.is_as_before();
    terminal.signal(Signal::CONT);
    terminal.is_raw(true);
    terminal.line("echo going on", "going on\r\n");
}

/// Several at once, with keys of their own, and one that only looks.
fn back_again(home: &Home) {
    let mut first = attach(home, &["--detach-keys", "ctrl-x,d"], "shell");
    // The prompt shows itself, for the size has changed.
    first.shows(PROMPT).line("stty size", "30 100\r\n");
    let mut second = attach(home, &[], "shell");
    second.shows(PROMPT).line("echo one; echo two", "two\r\n");
    first.shows("one\r\ntwo\r\n").is_raw(true);
    let mut looking = home.mvm(["attach", "--no-stdin", "shell"]).spawn();
    std::thread::sleep(slower(Duration::from_millis(500)));
    first.line("echo three", "three\r\n");
    looking.wait_for_stdout("three\r\n");
    looking.signal(Signal::TERM);
    looking.finish().status(143);
    first.types("\x18d");
    first.shows("read escape sequence").ends_with(0).is_as_before();
    // Not for the workload: what counts there is typed.
    second.signal(Signal::TERM);
    second.ends_with(143).is_as_before();
    home.mvm(["attach", "shell"]).run().one_error("the input device is not a TTY").status(1);
    home.mvm(["attach", "--detach-keys", "x,", "shell"]).run().one_error("detach keys").status(1);
    home.mvm(["attach", "nobody"]).run().one_error("nobody").status(1);
    assert_eq!(status_of(home, "shell"), "running");
}

/// A window is closed, a command is killed: the VM goes on.
fn windows_that_go(home: &Home) {
    let mut closed = attach(home, &[], "shell");
    closed.shows(PROMPT);
    closed.hang_up();
    let mut killed = attach(home, &[], "shell");
    killed.shows(PROMPT).signal(Signal::KILL);
    drop(killed);
    assert_eq!(status_of(home, "shell"), "running");
}

/// The window in which the VM was started, too; and its monitor's death gives
/// the terminal back.
#[test]
fn a_window_closed_and_a_monitor_killed() {
    let home = need!(ready());
    let busybox = image("busybox");
    let run = ["run", "--rm", "-it", "--name", "left", &busybox, "sh"];
    let mut terminal = home.mvm(run).on_terminal(24, 80);
    terminal.shows(PROMPT);
    terminal.hang_up();
    assert_eq!(status_of(&home, "left"), "running");
    let mut terminal = attach(&home, &[], "left");
    terminal.shows(PROMPT).is_raw(true);
    home.process("__monitor").kill();
    terminal.shows("monitor died").ends_with(1).is_as_before();
    home.mvm(["ps", "-a"]).run().status(0);
    home.is_quiet();
}

/// Signals to `run -t` are for the command, as with Docker.
#[test]
fn a_signal_ends_the_command_and_the_terminal_is_as_before() {
    let home = need!(ready());
    let mut terminal = {
        let busybox = image("busybox");
        let script = "echo ready; exec sleep 1000";
        home.mvm(["run", "--rm", "-it", &busybox, "sh", "-c", script]).on_terminal(24, 80)
    };
    terminal.shows("ready").is_raw(true);
    terminal.signal(Signal::TERM);
    terminal.ends_with(143).is_as_before();
    assert!(home.vms().is_empty());
}

#[test]
fn t_without_i_and_i_without_a_terminal() {
    let home = need!(ready());
    let busybox = image("busybox");
    let refused = home.mvm(["run", "--rm", "-it", &busybox, "true"]).stdin("x").run();
    refused.one_error("the input device is not a TTY").status(1);
    assert!(home.vms().is_empty(), "nothing was made");
    let bad = home.mvm(["run", "--rm", "-t", "--detach-keys", "é", &busybox, "true"]).run();
    bad.fails_with("detach keys");
    let both = home.mvm(["run", "-d", "-a", "stdout", &busybox, "true"]).run();
    both.fails_with("-a");
    // One stream, and lines end as on a terminal.
    let script = "echo out; echo err >&2; tty; exit 3";
    let output = sh(&home, &["-t", "-e", "TERM=vt52"], &format!("echo $TERM; {script}")).run();
    output.status(3).stdout("vt52\r\nout\r\nerr\r\n/dev/pts/0\r\n").guest_stderr("");
}

/// Without -t the terminal stays as it is and the shell's job control works on
/// mvm as on any command. What a closed window leaves is what was detached.
#[test]
fn a_job_of_a_shell_here() {
    let home = need!(ready());
    let busybox = image("busybox");
    let run = home.mvm(["run", "--rm", "-i", &busybox, "cat"]);
    let detached = home.mvm(["run", "-d", "--name", "stays", &busybox, "sleep", "1000"]);
    let line = |command: &Command| {
        let words = command.get_args().map(|arg| arg.to_string_lossy());
        words
            .fold(command.get_program().to_string_lossy().into_owned(), |all, arg| all + " " + &arg)
    };
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "here> ");
    for (name, value) in run.command().get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env_remove("RUST_LOG");
    let mut terminal = Terminal::start(&shell, 24, 80);
    terminal.shows("here> ");
    terminal.line(&line(&run.command()), "\r\n");
    terminal.is_raw(false);
    terminal.line("first", "first\r\n").shows("first\r\n");
    terminal.types(SUSPEND);
    terminal.shows("Stopped").shows("here> ");
    terminal.line("fg", "cat\r\n").line("second", "second\r\nsecond\r\n").types(END);
    terminal.shows("here> ");
    terminal.line("echo status $?", "status 0\r\n");
    terminal.line(&line(&detached.command()), "\r\n");
    // After the ID.
    terminal.shows("here> ");
    terminal.hang_up();
    assert_eq!(status_of(&home, "stays"), "running");
    home.mvm(["rm", "-f", "stays"]).run().status(0);
    home.is_quiet();
}

/// Through what most people have between them and a remote machine.
#[test]
fn in_tmux() {
    let home = need!(ready());
    if Command::new("tmux").arg("-V").output().is_err() {
        crate::skip!("tmux is not installed");
    }
    let busybox = image("busybox");
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let tmux = |args: &[&str]| {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&socket).args(args).env_remove("TMUX");
        let output = tmux.output().expect("run tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shows = |text: &str| {
        let began = Instant::now();
        loop {
            let screen = tmux(&["capture-pane", "-p", "-e", "-t", "vm"]);
            if screen.contains(text) {
                return;
            }
            assert!(began.elapsed() < slower(Duration::from_secs(60)), "no {text:?} in\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let run = home.mvm(["run", "--rm", "-it", &busybox, "sh"]).command();
    let mut start = Command::new("tmux");
    start.arg("-S").arg(&socket).args(["-f", "/dev/null", "new-session", "-d", "-s", "vm"]);
    start.args(["-x", "90", "-y", "28"]).env_remove("TMUX");
    for (name, value) in run.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        start.arg("-e").arg(format!("{name}={value}"));
    }
    // A shell stays when mvm is gone.
    let mut words: Vec<String> = vec![run.get_program().to_string_lossy().into_owned()];
    words.extend(run.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    start.arg(format!("{}; echo left with $?; stty -a | grep -o ' icanon'; cat", words.join(" ")));
    assert!(start.status().expect("run tmux").success());
    shows(PROMPT.trim_end());
    let keys = |keys: &[&str]| tmux(&[&["send-keys", "-t", "vm"], keys].concat());
    keys(&["stty size; printf '\\033[1;32mgreen\\033[0m\\n'", "Enter"]);
    shows("28 90");
    shows("\x1b[1m\x1b[32mgreen");
    tmux(&["resize-window", "-t", "vm", "-x", "120", "-y", "40"]);
    std::thread::sleep(slower(Duration::from_millis(500)));
    keys(&["clear; stty size", "Enter"]);
    shows("40 120");
    keys(&["sleep 1000", "Enter"]);
    std::thread::sleep(slower(Duration::from_millis(300)));
    keys(&["C-c"]);
    keys(&["exit 4", "Enter"]);
    shows("left with 4");
    shows(" icanon");
    tmux(&["kill-server"]);
    home.is_quiet();
}

/// A bug of ours may not cost anyone a terminal. This test runs itself there.
#[test]
fn a_panic_gives_the_terminal_back() {
    const ROLE: &str = "MVM_TEST_PANICS";
    let name = "terminal::a_panic_gives_the_terminal_back";
    if std::env::var_os(ROLE).is_some() {
        // Forgotten: what is dropped on the way would give it back, too.
        std::mem::forget(mvm::terminal::Raw::set().expect("a terminal"));
        println!("raw");
        let mut key = [0];
        std::io::Read::read_exact(&mut std::io::stdin(), &mut key).expect("a key");
        panic!("on purpose");
    }
    let mut own = Command::new(std::env::current_exe().expect("this program"));
    own.args(["--exact", name, "--nocapture"]).env(ROLE, "1").env("RUST_BACKTRACE", "0");
    let mut terminal = Terminal::start(&own, 24, 80);
    terminal.shows("raw").is_raw(true);
    terminal.types("x");
    terminal.shows("on purpose\r\n").ends_with(101).is_as_before();
}
