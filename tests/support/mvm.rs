// SPDX-License-Identifier: Apache-2.0
//! One `mvm` command: how it is started, and what is expected of it.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::backend::backend_of;
use super::home::Process;
use super::{Account, Home, Terminal, boots, slower};

/// Enough for an emulated boot on two busy CPUs.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A command to be run in a home.
#[must_use]
pub struct Mvm<'home> {
    directory: PathBuf,
    account: Account,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
    unread: bool,
    home: PhantomData<&'home Home>,
}

impl<'home> Mvm<'home> {
    pub fn new(home: &'home Home) -> Self {
        Self { account: home.account().clone(), ..Self::in_directory(home.path()) }
    }

    pub(super) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            account: Account::own(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            timeout: TIMEOUT,
            unread: false,
            home: PhantomData,
        }
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Without this, stdin is /dev/null.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Nobody reads its stdout before `Running::read_stdout`.
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// Runs it to its end. Too slow is a failed test.
    #[track_caller]
    pub fn run(mut self) -> Output {
        let stdin = self.stdin.take();
        let mut running = self.start(stdin.is_some());
        if let (Some(bytes), Some(mut pipe)) = (stdin, running.stdin.take()) {
            // A command may end without having read all of it.
            running.feeder = Some(std::thread::spawn(move || drop(pipe.write_all(&bytes))));
        }
        running.finish()
    }

    /// Starts it with a pipe for its stdin.
    pub fn spawn(self) -> Running {
        self.start(true)
    }

    /// Starts it on a terminal of its own.
    pub fn on_terminal(self, rows: u16, columns: u16) -> Terminal {
        if let Some(backend) = self.boots() {
            boots(&backend);
        }
        Terminal::start(&self.command(), rows, columns)
    }

    /// What is run, with its environment.
    pub fn command(&self) -> Command {
        let mut command = self.account.command();
        command
            .args(&self.args)
            .env("MVM_HOME", &self.directory)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE");
        if let Some(kernel) = self.account.kernel() {
            command.env("MVM_KERNEL", kernel);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The backend that is to boot a VM.
    fn boots(&self) -> Option<String> {
        let starts = |arg: &OsString| ["run", "start", "restart"].iter().any(|word| arg == word);
        let runs = self.args.first().is_some_and(starts);
        runs.then(|| backend_of(&self.args, &self.env))
    }

    fn start(self, pipe: bool) -> Running {
        let mut command = self.command();
        command
            .stdin(if pipe { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let words: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        let began = Instant::now();
        let mut child = command.spawn().expect("start mvm");
        Running {
            line: format!("mvm {}", words.join(" ")),
            boots: self.boots(),
            began,
            timeout: slower(self.timeout),
            stdin: child.stdin.take(),
            feeder: None,
            stdout: Collector::start(child.stdout.take().expect("a pipe"), self.unread),
            stderr: Collector::start(child.stderr.take().expect("a pipe"), false),
            child,
        }
    }
}

/// A command that runs. Dropped before its end, it is killed.
pub struct Running {
    line: String,
    /// The backend that is to boot a VM.
    boots: Option<String>,
    began: Instant,
    timeout: Duration,
    child: Child,
    pub stdin: Option<ChildStdin>,
    feeder: Option<JoinHandle<()>>,
    stdout: Collector,
    stderr: Collector,
}

impl Running {
    /// Waits until the workload has printed this.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, text: &str) {
        while !contains(&self.stdout.so_far(), text.as_bytes()) {
            let ended = self.child.try_wait().expect("look at mvm");
            if ended.is_some() || self.began.elapsed() > self.timeout {
                self.give_up(&format!("{text:?} was not printed ({ended:?})"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal mvm");
    }

    /// `kill -9`, if it has not ended by itself. Whether it had not.
    pub fn kill(&mut self) -> bool {
        let runs = self.child.try_wait().expect("look at mvm").is_none();
        let _ = self.child.kill();
        runs
    }

    /// The `mvm` that was started.
    pub fn process(&self) -> Process {
        Process { pid: self.pid().as_raw_pid(), command: self.line.clone() }
    }

    pub fn read_stdout(&self) {
        self.stdout.held.store(false, Ordering::Relaxed);
    }

    /// As when `head` has seen enough.
    pub fn close_stdout(&self) {
        self.stdout.closed.store(true, Ordering::Relaxed);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        drop(self.stdin.take());
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("look at mvm") {
                break status;
            }
            if self.began.elapsed() > self.timeout {
                self.give_up(&format!("no end within {:?}", self.timeout));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let elapsed = self.began.elapsed();
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
        let output = Output {
            line: std::mem::take(&mut self.line),
            status,
            elapsed,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
        };
        // mvm's own failure may be one of a VM that has run.
        let has_run = output.status.code() != Some(125) || !output.stdout.is_empty();
        if let Some(backend) = self.boots.as_ref().filter(|_| has_run) {
            boots(backend);
        }
        output
    }

    #[track_caller]
    fn give_up(&mut self, why: &str) -> ! {
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        panic!(
            "{}: {why}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            String::from_utf8_lossy(&stdout[..stdout.len().min(4000)]),
            String::from_utf8_lossy(&stderr[..stderr.len().min(4000)]),
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a pipe to its end so that its writer never waits.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    closed: Arc<AtomicBool>,
    /// Nothing is read yet.
    held: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(mut pipe: impl Read + Send + 'static, unread: bool) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let held = Arc::new(AtomicBool::new(unread));
        let (sink, stop, wait) = (Arc::clone(&bytes), Arc::clone(&closed), Arc::clone(&held));
        let reader = std::thread::spawn(move || {
            while wait.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..count]);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        Self { bytes, closed, held, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    fn finish(&mut self) -> Vec<u8> {
        // Whoever inherited the pipe and lives on holds it open: that would be
        // a leak, and must not hang the test.
        let deadline = Instant::now() + slower(Duration::from_secs(20));
        self.held.store(false, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            while !reader.is_finished() {
                assert!(Instant::now() < deadline, "mvm ended and its output stays open");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

/// What a command left, and what a test expects of it. Every expectation
/// panics with the whole of it.
pub struct Output {
    line: String,
    status: ExitStatus,
    pub elapsed: Duration,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    #[track_caller]
    pub fn status(&self, expected: i32) -> &Self {
        self.check(self.status.code() == Some(expected), &format!("exit status {expected}"));
        self
    }

    /// Its exit status; -1 for a death by signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// mvm itself died of this signal.
    #[track_caller]
    pub fn killed_by(&self, signal: Signal) -> &Self {
        let expected = signal.as_raw();
        self.check(self.status.signal() == Some(expected), &format!("death by signal {expected}"));
        self
    }

    /// Exactly this.
    #[track_caller]
    pub fn stdout(&self, expected: impl AsRef<[u8]>) -> &Self {
        self.equal("stdout", &self.stdout, expected.as_ref());
        self
    }

    /// Exactly this, after mvm's own lines are taken away.
    #[track_caller]
    pub fn guest_stderr(&self, expected: impl AsRef<[u8]>) -> &Self {
        let guest: Vec<u8> = self
            .stderr
            .split_inclusive(|&byte| byte == b'\n')
            .filter(|line| !OWN_LINES.iter().any(|prefix| line.starts_with(prefix.as_bytes())))
            .flatten()
            .copied()
            .collect();
        self.equal("stderr of the guest", &guest, expected.as_ref());
        self
    }

    #[track_caller]
    pub fn stdout_has(&self, text: &str) -> &Self {
        self.check(contains(&self.stdout, text.as_bytes()), &format!("{text:?} on stdout"));
        self
    }

    #[track_caller]
    pub fn stdout_lacks(&self, text: &str) -> &Self {
        self.check(!contains(&self.stdout, text.as_bytes()), &format!("no {text:?} on stdout"));
        self
    }

    #[track_caller]
    pub fn stderr_has(&self, text: &str) -> &Self {
        self.check(contains(&self.stderr, text.as_bytes()), &format!("{text:?} on stderr"));
        self
    }

    #[track_caller]
    pub fn stderr_lacks(&self, text: &str) -> &Self {
        self.check(!contains(&self.stderr, text.as_bytes()), &format!("no {text:?} on stderr"));
        self
    }

    /// Exactly this.
    #[track_caller]
    pub fn stderr(&self, expected: impl AsRef<[u8]>) -> &Self {
        self.equal("stderr", &self.stderr, expected.as_ref());
        self
    }

    /// mvm failed by itself and said so once: 125, one `error:` with this in
    /// it, nothing on stdout, no panic.
    #[track_caller]
    pub fn fails_with(&self, text: &str) -> &Self {
        self.status(125).one_error(text)
    }

    /// One `error:` with this in it, and nothing on stdout.
    #[track_caller]
    pub fn one_error(&self, text: &str) -> &Self {
        self.stdout("");
        self.stderr_lacks("panicked at");
        let words = self.stderr_text();
        let errors: Vec<&str> = words.lines().filter(|l| l.starts_with("error:")).collect();
        let matches =
            errors.first().is_some_and(|e| e.to_lowercase().contains(&text.to_lowercase()));
        self.check(errors.len() == 1 && matches, &format!("one error with {text:?} in it"));
        self
    }

    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    pub fn stderr_bytes(&self) -> &[u8] {
        &self.stderr
    }

    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let parsed = serde_json::from_slice(&self.stdout);
        self.check(parsed.is_ok(), "JSON on stdout");
        parsed.unwrap_or_default()
    }

    #[track_caller]
    fn equal(&self, what: &str, actual: &[u8], expected: &[u8]) {
        if actual == expected {
            return;
        }
        let at = actual.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let show = |bytes: &[u8]| {
            let from = at.saturating_sub(200);
            let to = bytes.len().min(at + 800);
            String::from_utf8_lossy(&bytes[from.min(to)..to]).into_owned()
        };
        self.check(
            false,
            &format!(
                "{what} of {} bytes, not {}; they part at byte {at}\n--- expected\n{}\n--- actual\n{}",
                expected.len(),
                actual.len(),
                show(expected),
                show(actual)
            ),
        );
    }

    #[track_caller]
    fn check(&self, holds: bool, expected: &str) {
        let clip =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]).into_owned();
        assert!(
            holds,
            "{}\nexpected {expected}\n{} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.status,
            self.elapsed,
            clip(&self.stdout),
            clip(&self.stderr)
        );
    }
}

/// How mvm's own lines on stderr begin.
const OWN_LINES: [&str; 3] = ["note: ", "warning: ", "hint: "];

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}
