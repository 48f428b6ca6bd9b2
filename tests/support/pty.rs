// SPDX-License-Identifier: Apache-2.0
//! A command on a terminal of its own, and the person who types there.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use super::slower;

/// Enough for an emulated boot on two busy CPUs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Dropped, the terminal hangs up, and the command is killed.
pub struct Terminal {
    master: OwnedFd,
    /// Ours too, so that its settings can be seen after the command's end.
    slave: OwnedFd,
    before: Termios,
    child: Child,
    shown: Vec<u8>,
    /// What was looked at.
    seen: usize,
}

impl Terminal {
    /// The terminal controls the command, which has it as stdin, stdout and
    /// stderr.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other side");
        tcsetwinsize(&master, winsize(rows, columns)).expect("set a size");
        let before = tcgetattr(&slave).expect("settings");
        let side = || slave.try_clone().expect("a second handle");
        let mut own = Command::new("setsid");
        own.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        let child = own.stdin(side()).stdout(side()).stderr(side()).spawn().expect("run setsid");
        Self { master, slave, before, child, shown: Vec::new(), seen: 0 }
    }

    pub fn types(&self, keys: impl AsRef<[u8]>) {
        let mut left = keys.as_ref();
        while !left.is_empty() {
            let count = rustix::io::write(&self.master, left).expect("type");
            left = &left[count..];
        }
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, winsize(rows, columns)).expect("set a size");
    }

    /// Waits until this is shown, after what was waited for before.
    #[track_caller]
    pub fn shows(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = text.as_ref();
        let began = Instant::now();
        loop {
            let unseen = &self.shown[self.seen..];
            if let Some(at) = unseen.windows(text.len()).position(|window| window == text) {
                self.seen += at + text.len();
                return self;
            }
            if !self.look(Duration::from_millis(100)) || began.elapsed() > slower(PATIENCE) {
                self.fail(&format!("{:?} is not shown", String::from_utf8_lossy(text)));
            }
        }
    }

    /// Types a line and waits for what it leads to.
    #[track_caller]
    pub fn line(&mut self, line: &str, shows: impl AsRef<[u8]>) -> &mut Self {
        self.types(format!("{line}\r"));
        self.shows(shows)
    }

    /// Waits until typed characters are, or are not, passed as they come.
    #[track_caller]
    pub fn is_raw(&self, raw: bool) {
        self.settles("raw", || self.local_modes().contains(LocalModes::ICANON) != raw);
    }

    /// Waits until the settings are what they were before the command.
    #[track_caller]
    pub fn is_as_before(&self) {
        let shown = |settings: &Termios| format!("{settings:?}");
        self.settles("as before", || {
            shown(&tcgetattr(&self.slave).expect("settings")) == shown(&self.before)
        });
    }

    #[track_caller]
    fn settles(&self, what: &str, done: impl Fn() -> bool) {
        let began = Instant::now();
        while !done() {
            let settings = tcgetattr(&self.slave);
            assert!(began.elapsed() < slower(PATIENCE), "not {what}: {settings:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.slave).expect("settings").local_modes
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal the command");
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the command's end; this is its status.
    #[track_caller]
    pub fn ends_with(&mut self, code: i32) -> &mut Self {
        let status = self.end();
        if status.code() != Some(code) {
            self.fail(&format!("{status}, not {code}"));
        }
        self
    }

    /// Waits for the command's end; this is all that it has shown.
    #[allow(dead_code, reason = "not every test that shares it looks at all")]
    #[track_caller]
    pub fn end_text(&mut self) -> String {
        self.end();
        while self.is_readable(Duration::ZERO) && self.look(Duration::ZERO) {}
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            let status = self.child.try_wait().expect("look at the command");
            self.look(Duration::from_millis(if status.is_some() { 0 } else { 10 }));
            if let Some(status) = status {
                return status;
            }
            if began.elapsed() > slower(PATIENCE) {
                self.fail("it does not end");
            }
        }
    }

    /// Closes the window: who has the terminal gets SIGHUP. Waits for the
    /// command's end.
    pub fn hang_up(mut self) {
        let null = || OwnedFd::from(File::open("/dev/null").expect("open /dev/null"));
        (self.master, self.slave) = (null(), null());
        let began = Instant::now();
        while self.child.try_wait().expect("look at the command").is_none() {
            assert!(began.elapsed() < slower(PATIENCE), "it outlives its terminal");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads what there is. `false`: there is nothing more to come.
    fn look(&mut self, patience: Duration) -> bool {
        if !self.is_readable(patience) {
            return true;
        }
        let mut buffer = [0; 65536];
        match rustix::io::read(&self.master, &mut buffer) {
            Ok(count) => {
                self.shown.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(_) => false,
        }
    }

    fn is_readable(&self, patience: Duration) -> bool {
        let patience = Timespec::try_from(patience).expect("a short time");
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
    }

    #[track_caller]
    fn fail(&mut self, why: &str) -> ! {
        let shown = String::from_utf8_lossy(&self.shown);
        panic!("{why}; seen {} of\n{shown}", self.seen);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
