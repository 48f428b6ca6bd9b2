// SPDX-License-Identifier: Apache-2.0
//! A real registry (`docker-registry`) on a free loopback port, for one test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "skip.rs"]
mod counted;

/// Ends with the value.
#[must_use]
pub struct Registry {
    child: Child,
    port: u16,
    /// Holds configuration and data.
    _home: tempfile::TempDir,
    /// Holds the password file.
    _login: Option<tempfile::TempDir>,
}

impl Registry {
    /// Starts one, open to all; `None` if there is no registry program.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// Starts one that wants `user` and `password` for everything.
    #[allow(dead_code)]
    pub fn start_with_login(user: &str, password: &str) -> Option<Self> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let file = home.path().join("htpasswd");
        let made = Command::new("htpasswd")
            .args(["-Bbc", "-C", "4"])
            .arg(&file)
            .args([user, password])
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
        let auth = format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display());
        let mut registry = Self::start_with(&auth)?;
        registry._login = Some(home);
        Some(registry)
    }

    /// Starts one with more lines of configuration, the first of which go to
    /// `http`.
    pub fn start_with(extra: &str) -> Option<Self> {
        let program = program()?;
        // Between finding a free port and using it another process may take it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).ok()?.port();
            let home = tempfile::tempdir().expect("a temporary directory");
            let config = home.path().join("config.yml");
            let root = home.path().join("data");
            let text = format!(
                "version: 0.1\nlog:\n  accesslog:\n    disabled: true\n  level: error\n\
                 storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
                 http:\n  addr: 127.0.0.1:{port}\n{extra}",
                root.display()
            );
            std::fs::write(&config, text).expect("the registry's configuration");
            let child = Command::new(&program)
                .args(["serve".as_ref(), config.as_os_str()])
                .env("OTEL_TRACES_EXPORTER", "none")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the registry starts");
            let mut registry = Self { child, port, _home: home, _login: None };
            if registry.answers() {
                return Some(registry);
            }
        }
        panic!("the registry does not come up");
    }

    fn answers(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = stream.write_all(b"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n");
                let mut answer = [0; 12];
                if stream.read_exact(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.") {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// `127.0.0.1:PORT/NAME`.
    pub fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// The host and port.
    #[allow(dead_code)]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    match std::env::var_os("MVM_TEST_REGISTRY_BIN").filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => in_path("docker-registry"),
    }
}

/// Looks a program up.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| Path::is_file(file))
}

/// Says that a test cannot run here, where the test script counts it.
pub fn skip(_test: &str, reason: &str) {
    counted::skip_because(reason);
}
