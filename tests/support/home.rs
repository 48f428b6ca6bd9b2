// SPDX-License-Identifier: Apache-2.0
//! A home of its own for each test, searched for leftovers when it goes.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Account, Mvm, images, slower};

/// How long what was told to end may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// An `MVM_HOME`. When it is dropped, no process may know it and no socket be
/// in it.
pub struct Home {
    directory: TempDir,
    account: Account,
    mounted: bool,
}

/// A process that names the home in its arguments or environment, or works
/// in it.
#[derive(Debug)]
pub struct Process {
    pub pid: i32,
    pub command: String,
}

impl Process {
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Most memory that it ever held.
    pub fn peak_kib(&self) -> u64 {
        self.field("status", "VmHWM:")
    }

    /// To files, sockets and pipes.
    pub fn bytes_written(&self) -> u64 {
        self.field("io", "wchar:")
    }

    fn field(&self, file: &str, name: &str) -> u64 {
        let path = format!("/proc/{}/{file}", self.pid);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let value =
            text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
        value.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid).expect("a pid");
        let _ = kill_process(pid, signal);
    }
}

impl Home {
    /// Empty.
    pub fn new() -> Self {
        // Short: a socket's path has 107 bytes at most.
        let directory = tempfile::Builder::new().prefix("mvm-").tempdir_in("/tmp");
        let directory = directory.expect("a directory in /tmp");
        Self { directory, account: Account::own(), mounted: false }
    }

    /// That of a user who is not root, with busybox pulled already.
    pub fn of_ordinary_user() -> Result<Self, String> {
        let busybox = images()?.image("busybox");
        let mut home = Self::new();
        home.account = Account::ordinary(home.path())?;
        home.mvm(["pull", &busybox]).run().status(0);
        Ok(home)
    }

    /// Has busybox and debian:12 pulled already, from the registry `images()`.
    /// `MVM_TEST_SEED` names a home that has, where pulling is slow.
    pub fn with_images() -> Result<Self, String> {
        static SEED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let seed = SEED.get_or_init(seed).clone()?;
        let home = Self::new();
        // Links, not copies: what is stored is never written to again.
        let done = Command::new("cp")
            .args(["-rl", "--"])
            .arg(seed.join("data"))
            .arg(home.path())
            .status()
            .expect("run cp");
        assert!(done.success(), "cannot copy the seed");
        Ok(home)
    }

    /// On a file system of its own of so many bytes; needs root.
    pub fn on_tmpfs(bytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("needs root to mount a file system".into());
        }
        let mut home = Self::new();
        home.mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]);
        home.mounted = true;
        Ok(home)
    }

    /// Makes the file system of `on_tmpfs` read-only.
    pub fn read_only(&mut self) {
        assert!(self.mounted);
        self.mount(&["-o", "remount,ro"]);
    }

    fn mount(&self, arguments: &[&str]) {
        let done = Command::new("mount").args(arguments).arg(self.path()).status();
        assert!(done.expect("run mount").success(), "cannot mount");
    }

    /// Whose home it is.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A directory of that user, to be shared with a VM.
    pub fn make_volume(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).expect("make a directory");
        self.account.give(&path);
        path
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// `mvm` in this home.
    pub fn mvm<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Mvm<'_> {
        Mvm::new(self).args(args)
    }

    /// Names of the directories of VMs, dead or alive.
    pub fn vms(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path().join("data/vms")) else { return Vec::new() };
        let directories = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        let names = directories.map(|e| e.file_name().to_string_lossy().into_owned());
        // Beside the VMs stands the directory of their names.
        names.filter(|name| name != "names").collect()
    }

    pub fn processes(&self) -> Vec<Process> {
        let own = self.path().as_os_str().as_encoded_bytes();
        let names = |bytes: &[u8]| bytes.windows(own.len()).any(|window| window == own);
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                // A process that is gone has neither; a zombie is gone.
                let command = fs::read(entry.path().join("cmdline")).ok()?;
                let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
                let directory = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
                let command_line = String::from_utf8_lossy(&command).replace('\0', " ");
                (names(&command) || names(&environment) || directory.starts_with(self.path()))
                    .then(|| Process { pid, command: command_line.trim().to_owned() })
            })
            .collect()
    }

    /// The one process whose command line has this in it; waits for it.
    pub fn process(&self, word: &str) -> Process {
        let began = Instant::now();
        loop {
            let mut all = self.processes();
            if let Some(found) = all.iter().position(|p| p.command.contains(word)) {
                return all.swap_remove(found);
            }
            assert!(began.elapsed() < slower(PATIENCE), "no process {word:?} among {all:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until no process knows this home.
    #[track_caller]
    pub fn is_quiet(&self) {
        let left = self.wait_for_quiet();
        assert!(left.is_empty(), "still running: {left:#?}");
    }

    fn wait_for_quiet(&self) -> Vec<Process> {
        let began = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || began.elapsed() > slower(PATIENCE) {
                return left;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn sockets(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.path(), &mut |path, kind| {
            if kind.is_socket() {
                found.push(path.to_owned());
            }
        });
        found
    }

    /// What the VMs of a failed test had to say.
    fn print_logs(&self) {
        walk(&self.path().join("data/vms"), &mut |path, kind| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if kind.is_file() && (name.ends_with(".log") || name.ends_with(".json")) {
                let text = fs::read(path).unwrap_or_default();
                let tail = &text[text.len().saturating_sub(4000)..];
                eprintln!("--- {}\n{}", path.display(), String::from_utf8_lossy(tail));
            }
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if failing {
            self.print_logs();
            self.processes().iter().for_each(Process::kill);
        }
        let left = self.wait_for_quiet();
        left.iter().for_each(Process::kill);
        let sockets = self.sockets();
        if self.mounted {
            // Lazily: whoever was killed just now may still hold it.
            let _ = Command::new("umount").arg("-l").arg(self.path()).status();
        }
        if !failing {
            assert!(left.is_empty(), "left running: {left:#?}");
            assert!(sockets.is_empty(), "left behind: {sockets:#?}");
        }
    }
}

fn seed() -> Result<PathBuf, String> {
    let registry = images()?;
    if let Some(made) = std::env::var_os("MVM_TEST_SEED") {
        return Ok(PathBuf::from(made));
    }
    // Reused by every test of this process, and gone with it.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = target.join(format!("seed-{}", std::process::id()));
    remove_stale_seeds(target);
    for image in ["busybox", "debian:12", "debian:app"] {
        Mvm::in_directory(&home)
            .args(["pull", &registry.image(image)])
            .timeout(Duration::from_secs(300))
            .run()
            .status(0);
    }
    Ok(home)
}

/// Seeds of test processes that are gone.
fn remove_stale_seeds(target: &Path) {
    for entry in fs::read_dir(target).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("seed-")?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path, fs::FileType)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        visit(&entry.path(), kind);
        if kind.is_dir() {
            walk(&entry.path(), visit);
        }
    }
}
