// SPDX-License-Identifier: Apache-2.0
//! Pulls that are killed, given up, or out of disk. The store verifies after
//! each, and the next pull completes.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hostile::{FakeImage, Server, tar};
use mvm::image::{Digest, Error, Image, PullOptions, Store};

/// Tells the child of a crash test where to pull to, and what.
const CHILD_HOME: &str = "MVM_TEST_CHILD_HOME";
const CHILD_IMAGE: &str = "MVM_TEST_CHILD_IMAGE";

fn pull(home: &Path, name: &str) -> Result<Image, Error> {
    let store = Store::open(home)?;
    let options = PullOptions { docker_config: None, ..PullOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.pull(&name.parse()?, &options))
}

/// Bytes that do not compress, different for each `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}

fn files(directory: PathBuf) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Whatever has its final name is whole, and what the index names is there.
fn verify(home: &Path) {
    for blob in files(home.join("blobs/blobs/sha256")) {
        let name = blob.file_name().unwrap().to_str().unwrap();
        assert_eq!(Digest::of(&fs::read(&blob).unwrap()).hex(), name);
    }
    let store = Store::open(home).unwrap();
    for image in store.images().unwrap() {
        store.resolve(&image.reference.unwrap().to_string()).unwrap();
    }
}

fn unfinished(home: &Path) -> Vec<PathBuf> {
    let mut left = files(home.join("blobs/ingest"));
    left.extend(files(home.join("layers/ingest")));
    left.retain(|path| path.extension().is_some_and(|extension| extension == "part"));
    left
}

/// Nothing by itself: the test below starts this program again to run only it.
#[test]
fn child_that_pulls() {
    let (Some(home), Ok(name)) = (std::env::var_os(CHILD_HOME), std::env::var(CHILD_IMAGE)) else {
        return;
    };
    pull(Path::new(&home), &name).unwrap();
}

/// This program, to do only that.
fn child(home: &Path, name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_that_pulls"])
        .env(CHILD_HOME, home)
        .env(CHILD_IMAGE, name)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[test]
fn two_processes_pull_one_image_at_once() {
    let layers = [tar("a", &noise(1, 2 << 20)), tar("b", &noise(2, 2 << 20))];
    let server = FakeImage::new(&layers).serve();
    let name = format!("{}/a", server.host());
    let home = tempfile::tempdir().unwrap();
    let children = [(); 3].map(|()| child(home.path(), &name).spawn().unwrap());
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    verify(home.path());
    assert_eq!(unfinished(home.path()), Vec::<PathBuf>::new());
    assert_eq!(Store::open(home.path()).unwrap().images().unwrap().len(), 1);
}

#[test]
fn a_proxy_is_not_asked_about_this_machine() {
    let server = FakeImage::new(&[tar("a", b"x")]).serve();
    let home = tempfile::tempdir().unwrap();
    let mut child = child(home.path(), &format!("{}/a", server.host()));
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        child.env(variable, "http://127.0.0.1:1");
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    assert!(child.status().unwrap().success());
}

#[test]
fn a_killed_pull_leaves_a_store_that_verifies() {
    let layers: Vec<Vec<u8>> =
        (0..4).map(|n| tar(&format!("file{n}"), &noise(n, 3 << 20))).collect();
    let server = FakeImage::new(&layers).serve();
    let name = format!("{}/a", server.host());
    let home = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let mut child = child(home.path(), &name).spawn().unwrap();
        // From before the first request to near the end, on machines fast and slow.
        std::thread::sleep(Duration::from_millis(5 + round * round * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        verify(home.path());
    }
    let image = pull(home.path(), &name).unwrap();
    assert_eq!(image.layers.len(), layers.len());
    verify(home.path());
    // This pull may have found all there already, and then had nothing to do.
    Store::open(home.path()).unwrap();
    let other = FakeImage::new(&[tar("other", b"x")]).serve();
    pull(home.path(), &format!("{}/a", other.host())).unwrap();
    assert_eq!(unfinished(home.path()), Vec::<PathBuf>::new(), "the dead were cleared away");
}

#[test]
fn a_pull_given_up_leaves_nothing_unfinished() {
    let mut image = FakeImage::new(&[tar("a", &noise(1, 1 << 20))]);
    let whole = image.layer_answer(0).clone();
    let slow = image.layers[0].to_string();
    let server = Server::start(move |request| {
        if request.path.ends_with(&slow) {
            std::thread::sleep(Duration::from_millis(500));
            return whole.clone();
        }
        image.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let options = PullOptions { docker_config: None, ..PullOptions::default() };
    let reference = format!("{}/a", server.host()).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let waited = runtime.block_on(async {
        tokio::time::timeout(Duration::from_millis(250), store.pull(&reference, &options)).await
    });
    assert!(waited.is_err(), "the pull was to be interrupted");
    // The runtime's end waits for its threads.
    drop(runtime);
    assert_eq!(unfinished(home.path()), Vec::<PathBuf>::new());
    assert!(store.images().unwrap().is_empty());
}

#[test]
fn nothing_is_collected_while_a_pull_goes_on() {
    let mut image = FakeImage::new(&[tar("a", &noise(1, 1 << 20)), tar("b", b"quick")]);
    let whole = image.layer_answer(0).clone();
    let slow = image.layers[0].to_string();
    let (asked, is_asked) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let goes_on = std::sync::Mutex::new(goes_on);
    let server = Server::start(move |request| {
        if request.path.ends_with(&slow) {
            asked.send(()).unwrap();
            goes_on.lock().unwrap().recv().unwrap();
            return whole.clone();
        }
        image.answer(request)
    });
    // The store is not there before: this is the first pull of all.
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let name = format!("{}/a", server.host());
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| pull(&data, &name).map(|image| image.layers.len()));
        is_asked.recv().unwrap();
        let store = Store::open(&data).unwrap();
        assert!(store.exclusive().unwrap().is_none(), "a collector would have the store");
        go_on.send(()).unwrap();
        assert_eq!(pulling.join().unwrap().unwrap(), 2);
        assert!(store.exclusive().unwrap().is_some(), "it is given back");
    });
    verify(&data);
}

/// A small file system of its own, if this user may mount one.
#[cfg(target_os = "linux")]
struct Mounted(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl Mounted {
    fn new(test: &str, options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = |options: &str| {
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(directory.path())
                .stderr(Stdio::null())
                .status()
        };
        if mount(options).is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "SKIP {test}: this user may not mount a tmpfs");
        None
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(self.0.path())
            .status();
        assert!(status.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_left_as_it_was() {
    let Some(disk) = Mounted::new("a_full_disk_is_named_and_left_as_it_was", "size=1500k") else {
        return;
    };
    let home = disk.0.path().join("data");
    let server = FakeImage::new(&[tar("a", b"small"), tar("b", &noise(1, 2 << 20))]).serve();
    let name = format!("{}/a", server.host());
    let error = pull(&home, &name).unwrap_err();
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("is full: free some space"), "{error:?} {hint}");
    assert_eq!(unfinished(&home), Vec::<PathBuf>::new());
    verify(&home);
    disk.remount("size=20m");
    assert_eq!(pull(&home, &name).unwrap().layers.len(), 2);
    verify(&home);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_store_can_be_read() {
    let Some(disk) = Mounted::new("a_read_only_store_can_be_read", "size=20m") else { return };
    let home = disk.0.path().join("data");
    let server = FakeImage::new(&[tar("a", b"small")]).serve();
    let name = format!("{}/a", server.host());
    pull(&home, &name).unwrap();
    disk.remount("ro");
    assert!(pull(&home, &name).is_ok(), "what is there needs no writing");
    let error = pull(&home, &format!("{}/b", server.host())).unwrap_err();
    assert!(error.hint().unwrap_or_default().contains("read-only file system"), "{error:?}");
}
