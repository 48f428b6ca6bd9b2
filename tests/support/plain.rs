// SPDX-License-Identifier: Apache-2.0
//! Commands that boot nothing, in a home of their own.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mvm::image::Digest;

/// An `MVM_HOME`.
pub struct Home(tempfile::TempDir);

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mvm"));
        command.args(args).env("MVM_HOME", self.path()).env("NO_COLOR", "1");
        for name in ["MVM_DEFAULT_PLATFORM", "DOCKER_DEFAULT_PLATFORM"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn mvm<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        ended(self.command(args).spawn().expect("start mvm"))
    }

    /// With these bytes on its stdin.
    pub fn feed<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, bytes: &[u8]) -> Ended {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("start mvm");
        let mut stdin = child.stdin.take().expect("a pipe");
        let bytes = bytes.to_vec();
        // A command may end without having read all of it.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let ended = ended(child);
        feeder.join().expect("the feeder");
        ended
    }

    /// The rows of `mvm images`, as `REPOSITORY:TAG ID`.
    pub fn images(&self) -> Vec<String> {
        let table = self.mvm(["images", "--no-trunc"]).ok();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            format!("{}:{} {}", cells[0], cells[1], cells[2])
        };
        table.lines().skip(1).map(row).collect()
    }

    /// The image layout of the store.
    pub fn layout(&self) -> PathBuf {
        self.path().join("data/blobs")
    }

    /// Every blob is what its name says, and nothing unfinished lies about.
    pub fn verify(&self) {
        for blob in files(&self.layout().join("blobs/sha256")) {
            let name = blob.file_name().and_then(OsStr::to_str).expect("a name").to_owned();
            assert_eq!(Digest::of(&fs::read(&blob).expect("a blob")).hex(), name);
        }
        assert_eq!(self.unfinished(), 0);
    }

    pub fn unfinished(&self) -> usize {
        let of = |name| files(&self.path().join("data").join(name));
        let all = of("blobs/ingest").into_iter().chain(of("layers/ingest"));
        all.filter(|file| !file.ends_with("gate.lock")).count()
    }
}

impl Ended {
    /// Succeeded; gives its stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}", self.stderr);
        String::from_utf8(self.stdout).expect("text")
    }

    /// Failed with an error that says this, and with no panic.
    #[track_caller]
    pub fn refused(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "{words:?} is not in:\n{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        assert!(matches!(self.status, 1 | 125), "{}: {}", self.status, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().expect("wait for mvm");
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).collect()
}
