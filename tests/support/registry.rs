// SPDX-License-Identifier: Apache-2.0
//! A real docker-registry on a port of its own.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use super::{Fixtures, slower};

/// Killed on drop, and by the kernel if this process dies first.
pub struct Registry {
    child: Child,
    address: String,
    _directory: TempDir,
}

impl Registry {
    /// Serves `storage`, which it never changes.
    pub fn serve(storage: &Path) -> Self {
        Self::start(storage, 0, None)
    }

    /// Asks for a name and a password that nobody has.
    pub fn with_login(storage: &Path) -> Self {
        // bcrypt of a random password that was not kept.
        let entry = "nobody:$2y$05$3aG5xXx8uLQIv7dQe.jN9OQgVYyN8FhQ0oSJ8S9o2cJvB2S1Jb5pK\n";
        Self::start(storage, 0, Some(entry))
    }

    fn start(storage: &Path, port: u16, htpasswd: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = json!({
            "version": "0.1",
            "log": {"accesslog": {"disabled": true}},
            "storage": {
                "filesystem": {"rootdirectory": storage},
                "maintenance": {"readonly": {"enabled": true}, "uploadpurging": {"enabled": false}},
            },
            "http": {"addr": format!("127.0.0.1:{port}")},
        });
        if let Some(entries) = htpasswd {
            let path = directory.path().join("htpasswd");
            fs::write(&path, entries).expect("write htpasswd");
            config["auth"] = json!({"htpasswd": {"realm": "mvm", "path": path}});
        }
        let (config_path, log_path) =
            (directory.path().join("config.yml"), directory.path().join("log"));
        // JSON is YAML.
        fs::write(&config_path, config.to_string()).expect("write the configuration");
        let log = fs::File::create(&log_path).expect("create the log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&config_path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("start docker-registry");
        let mut registry = Self { child, address: String::new(), _directory: directory };
        let began = Instant::now();
        while registry.address.is_empty() {
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            let ended = registry.child.try_wait().expect("look at docker-registry");
            assert!(ended.is_none(), "docker-registry ended: {ended:?}\n{log}");
            assert!(
                began.elapsed() < slower(Duration::from_secs(30)),
                "docker-registry is silent:\n{log}"
            );
            if let Some((_, rest)) = log.split_once("listening on 127.0.0.1:") {
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if rest.len() > port.len() {
                    registry.address = format!("localhost:{port}");
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        registry
    }

    /// `NAME` as a reference to this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The registry of the test images, one for all tests of this process; on the
/// port `MVM_TEST_REGISTRY_PORT`, if that is set.
pub fn images() -> Result<&'static Registry, String> {
    static SHARED: OnceLock<Result<Registry, String>> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            let fixtures = Fixtures::find()?;
            let port = std::env::var("MVM_TEST_REGISTRY_PORT")
                .map_or(0, |text| text.parse().expect("MVM_TEST_REGISTRY_PORT is a port"));
            // The parent-death signal follows the thread that started the
            // child: a test's own thread ends too early.
            let (send, receive) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let _ = send.send(Registry::start(&fixtures.storage(), port, None));
                loop {
                    std::thread::park();
                }
            });
            receive.recv().map_err(|_| "docker-registry did not start".to_owned())
        })
        .as_ref()
        .map_err(Clone::clone)
}
