// SPDX-License-Identifier: Apache-2.0
//! The release archive, unpacked where a user might, with nothing else of
//! mvm's on the machine.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{boots, images, is_libkrun, kernel};
use crate::{need, skip};

/// Packages the mvm of these tests: what is packaged is not the question.
fn package(kernel: &Path, output: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package");
    let made = Command::new(script)
        .args(["--binary", env!("CARGO_BIN_EXE_mvm")])
        .arg("--kernel")
        .arg(kernel)
        .arg("--output")
        .arg(output)
        .output()
        .expect("run scripts/package");
    let words = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "scripts/package: {}\n{words}", made.status);
    PathBuf::from(String::from_utf8_lossy(&made.stdout).lines().last().expect("a path"))
}

/// An unpacked release and an empty home.
struct Installed {
    directory: TempDir,
    prefix: PathBuf,
}

impl Installed {
    fn unpack(archive: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("mvm ").tempdir_in("/tmp").unwrap();
        fs::create_dir(directory.path().join("home")).unwrap();
        let prefix = directory.path().join("opt mvm");
        fs::create_dir(&prefix).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(archive).arg("-C").arg(&prefix).arg("--strip-components=1");
        assert!(tar.status().expect("run tar").success());
        Self { directory, prefix }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.prefix.join(name)
    }

    fn mvm(&self, program: &Path, args: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command
            .args(["180"])
            .arg(program)
            .args(args)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.directory.path().join("home"));
        if let Some(backend) = std::env::var_os("MVM_BACKEND") {
            command.env("MVM_BACKEND", backend);
        }
        command.output().expect("run the packaged mvm")
    }
}

#[test]
fn the_archive_runs_where_it_is_unpacked() {
    let kernel = need!(kernel());
    if !kernel.with_file_name("build.json").exists() {
        skip!("needs a kernel of kernel/build, not {}", kernel.display());
    }
    let images = need!(images());
    let output = tempfile::tempdir().unwrap();
    let archive = package(kernel, output.path());
    let first = fs::read(&archive).unwrap();
    assert_eq!(package(kernel, output.path()), archive);
    assert!(fs::read(&archive).unwrap() == first, "two runs made two archives");

    let installed = Installed::unpack(&archive);
    let sums = Command::new("sha256sum")
        .args(["-c", "--quiet", "lib/mvm/SHA256SUMS"])
        .current_dir(&installed.prefix)
        .output()
        .expect("run sha256sum");
    assert!(sums.status.success(), "{sums:?}");

    // By a link, as from ~/bin.
    let link = installed.directory.path().join("mvm");
    symlink(installed.path("bin/mvm"), &link).unwrap();
    let doctor = installed.mvm(&link, &["doctor", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap_or_default();
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{doctor:?}"));
    let found = findings.iter().find(|finding| finding["name"] == "kernel").expect("a kernel");
    let bundled = installed.path("lib/mvm/vmlinux");
    assert_eq!(found["detail"], format!("{} (bundled)", bundled.display()), "{doctor:?}");

    let busybox = images.image("busybox");
    let run = ["run", "--rm", &busybox, "echo", "out of the box"];
    let done = installed.mvm(&link, &run);
    boots(if is_libkrun() { "libkrun" } else { "qemu" });
    assert_eq!(String::from_utf8_lossy(&done.stdout), "out of the box\n", "{done:?}");
    assert_eq!(done.status.code(), Some(0), "{done:?}");

    // It is known by now, and still noticed when it changes.
    let mut spoilt = fs::read(&bundled).unwrap();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    fs::write(&bundled, spoilt).unwrap();
    let refused = installed.mvm(&link, &run);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(125), "{words}");
    assert!(words.contains("is not what came with mvm: its SHA-256 is"), "{words}");
    assert!(words.contains("hint: unpack the release again"), "{words}");
}
