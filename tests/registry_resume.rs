// SPDX-License-Identifier: Apache-2.0
//! Blobs that are cut off go on where they stopped: in the same pull, in the
//! next one, and in another process. The bytes are counted.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/layout.rs"]
mod layout;
#[path = "support/empty_registry.rs"]
mod registry;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/relay.rs"]
mod relay;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use layout::Layout;
use mvm::image::{Digest, Error, Image, PullOptions, Store};
use registry::{Registry, skip};
use relay::{Relay, Rule, Seen};

/// A registry with the image `a` of one layer, and that layer.
struct Served {
    registry: Registry,
    layer: Digest,
    size: u64,
}

impl Served {
    fn new() -> Option<Self> {
        let (registry, layout) = (Registry::start()?, Layout::new()?);
        // Hexadecimal digits of noise: they compress to half.
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            format!("{:016x}", state ^ (state >> 31))
        });
        let text: String = noise.take(1 << 18).collect();
        layout.image("a", &[("/noise", &text)]).push("a", &registry.image("a"), &[]);
        let inspected = layout::inspect(&layout.path(), "a");
        let layer: Digest = inspected["Layers"][0].as_str()?.parse().ok()?;
        let blob = layout.path().join("blobs/sha256").join(layer.hex());
        Some(Self { registry, layer, size: fs::metadata(blob).ok()?.len() })
    }

    /// With `rule` for the layer; the number is that of the attempt.
    fn behind(&self, rule: impl Fn(&Seen, usize) -> Rule + Send + Sync + 'static) -> Relay {
        let layer = self.layer.to_string();
        Relay::start(&self.registry.host(), move |seen, before| match seen.is_get(&layer) {
            true => rule(seen, before),
            false => Rule::Pass,
        })
    }
}

macro_rules! served {
    ($test:literal) => {
        match Served::new() {
            Some(served) => served,
            None => return skip($test, "docker-registry, umoci or skopeo is not installed"),
        }
    };
}

fn pull(home: &Path, name: &str, set: impl FnOnce(&mut PullOptions)) -> Result<Image, Error> {
    let mut options = PullOptions { docker_config: None, ..PullOptions::default() };
    options.retries.base = Duration::from_millis(1);
    set(&mut options);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Store::open(home)?.pull(&name.parse()?, &options))
}

fn once(options: &mut PullOptions) {
    options.retries.attempts = 1;
}

fn partial(home: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(home.join("blobs/ingest")).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.extension().is_some_and(|e| e == "partial"))
}

fn ranges(seen: &[Seen]) -> Vec<Option<&str>> {
    seen.iter().map(|seen| seen.header("range")).collect()
}

fn sent(seen: &[Seen]) -> u64 {
    seen.iter().map(|seen| seen.sent).sum()
}

#[test]
fn a_cut_blob_goes_on_in_the_same_pull() {
    let served = served!("a_cut_blob_goes_on_in_the_same_pull");
    let relay = served.behind(|_, before| match before {
        0 => Rule::Cut(100_000),
        1 => Rule::Say("503 Service Unavailable"),
        2 => Rule::Cut(200_000),
        _ => Rule::Pass,
    });
    let home = tempfile::tempdir().unwrap();
    pull(home.path(), &relay.image("a"), |_| {}).unwrap();
    let gets = relay.gets(&served.layer.to_string());
    let from = [None, Some("bytes=100000-"), Some("bytes=100000-"), Some("bytes=300000-")];
    assert_eq!(ranges(&gets), from);
    assert_eq!(sent(&gets), served.size, "no byte came twice");
    assert_eq!(partial(home.path()), None);
}

#[test]
fn a_failed_pull_is_gone_on_with_by_the_next() {
    let served = served!("a_failed_pull_is_gone_on_with_by_the_next");
    let relay = served.behind(|_, before| match before {
        0 => Rule::Cut(500_000),
        _ => Rule::Pass,
    });
    let (home, name) = (tempfile::tempdir().unwrap(), relay.image("a"));
    let error = pull(home.path(), &name, once).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "layer {} from registry {} is cut off: 500000 of {} bytes",
            served.layer.short(),
            relay.host(),
            served.size
        )
    );
    assert_eq!(error.hint().unwrap(), "try again; what is complete is kept");
    assert_eq!(fs::metadata(partial(home.path()).unwrap()).unwrap().len(), 500_000);
    pull(home.path(), &name, once).unwrap();
    let gets = relay.gets(&served.layer.to_string());
    assert_eq!(ranges(&gets), [None, Some("bytes=500000-")]);
    assert_eq!(sent(&gets), served.size);
    assert_eq!(partial(home.path()), None);
}

#[test]
fn a_whole_partial_needs_no_registry_for_its_bytes() {
    let served = served!("a_whole_partial_needs_no_registry_for_its_bytes");
    let relay = served.behind(|_, _| Rule::Pass);
    let (home, name) = (tempfile::tempdir().unwrap(), relay.image("a"));
    pull(home.path(), &name, once).unwrap();
    let blob = home.path().join("blobs/blobs/sha256").join(served.layer.hex());
    let other = tempfile::tempdir().unwrap();
    fs::create_dir_all(other.path().join("blobs/ingest")).unwrap();
    let name_of_partial = format!("blobs/ingest/sha256-{}.partial", served.layer.hex());
    fs::copy(&blob, other.path().join(name_of_partial)).unwrap();
    pull(other.path(), &name, once).unwrap();
    assert_eq!(relay.gets(&served.layer.to_string()).len(), 1, "only the first pull asked");
}

#[test]
fn a_corrupt_partial_is_dropped_and_the_blob_fetched_whole_once() {
    let served = served!("a_corrupt_partial_is_dropped_and_the_blob_fetched_whole_once");
    let relay = served.behind(|_, before| match before {
        0 => Rule::Cut(500_000),
        _ => Rule::Pass,
    });
    let (home, name) = (tempfile::tempdir().unwrap(), relay.image("a"));
    pull(home.path(), &name, once).unwrap_err();
    let path = partial(home.path()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[250_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    pull(home.path(), &name, once).unwrap();
    let gets = relay.gets(&served.layer.to_string());
    assert_eq!(ranges(&gets), [None, Some("bytes=500000-"), None]);
}

#[test]
fn wrong_bytes_are_not_kept_and_not_asked_for_again() {
    let served = served!("wrong_bytes_are_not_kept_and_not_asked_for_again");
    let relay = served.behind(|_, _| Rule::Flip(300_000));
    let home = tempfile::tempdir().unwrap();
    let error = pull(home.path(), &relay.image("a"), |_| {}).unwrap_err();
    assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
    assert_eq!(partial(home.path()), None);
    assert_eq!(relay.gets(&served.layer.to_string()).len(), 1);
}

#[test]
fn a_registry_that_lies_about_the_range_is_refused() {
    let served = served!("a_registry_that_lies_about_the_range_is_refused");
    let relay = served.behind(|_, before| match before {
        0 => Rule::Cut(100_000),
        _ => Rule::Say("206 Partial Content\nContent-Range: bytes 0-9/10"),
    });
    let home = tempfile::tempdir().unwrap();
    let error = pull(home.path(), &relay.image("a"), |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "registry {} answered with another part of the layer than asked for: \
             \"bytes 0-9/10\", not bytes 100000-{}",
            relay.host(),
            served.size - 1
        )
    );
}

#[test]
fn a_registry_without_ranges_is_read_from_the_start() {
    let served = served!("a_registry_without_ranges_is_read_from_the_start");
    let relay = served.behind(|seen, before| match (before, seen.header("range")) {
        (0, _) => Rule::Cut(100_000),
        (_, Some(_)) => Rule::Say("416 Requested Range Not Satisfiable"),
        (_, None) => Rule::Pass,
    });
    let home = tempfile::tempdir().unwrap();
    pull(home.path(), &relay.image("a"), |_| {}).unwrap();
    assert_eq!(sent(&relay.gets(&served.layer.to_string())), served.size + 100_000);
}

fn mvm(home: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mvm"));
    command.args(["pull", name]).env("MVM_HOME", home).env("DOCKER_CONFIG", home);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn two_processes_share_the_work() {
    let served = served!("two_processes_share_the_work");
    let relay = served.behind(|_, _| Rule::Slow(Duration::from_millis(5)));
    let home = tempfile::tempdir().unwrap();
    let name = relay.image("a");
    let both = [(); 2].map(|()| mvm(home.path(), &name).spawn().unwrap());
    for mut child in both {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(sent(&relay.gets(&served.layer.to_string())), served.size);
}

#[test]
fn when_the_first_dies_the_second_goes_on() {
    let served = served!("when_the_first_dies_the_second_goes_on");
    let relay = served.behind(|_, _| Rule::Slow(Duration::from_millis(20)));
    let home = tempfile::tempdir().unwrap();
    let name = relay.image("a");
    let data = home.path().join("data");
    let mut first = mvm(home.path(), &name).spawn().unwrap();
    let began = Instant::now();
    let length = || partial(&data).map_or(0, |path| fs::metadata(path).map_or(0, |m| m.len()));
    while length() < 300_000 {
        assert!(began.elapsed() < Duration::from_secs(60), "the first does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut second = mvm(home.path(), &name).spawn().unwrap();
    // Time to ask for the manifest and to wait for the first.
    std::thread::sleep(Duration::from_millis(100));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.wait().unwrap().success());
    let gets = relay.gets(&served.layer.to_string());
    assert_eq!(gets.len(), 2, "{gets:#?}");
    let from: u64 =
        gets[1].header("range").unwrap()["bytes=".len()..].trim_end_matches('-').parse().unwrap();
    assert!(from >= 300_000);
    assert_eq!(gets[1].sent, served.size - from);
}

#[test]
fn a_mirror_that_dies_in_mid_blob_is_taken_over_from() {
    let served = served!("a_mirror_that_dies_in_mid_blob_is_taken_over_from");
    for wrong in [false, true] {
        let mirror = served.behind(move |_, before| match (before, wrong) {
            (0, false) => Rule::Cut(100_000),
            (0, true) => Rule::CutAndFlip(100_000),
            _ => Rule::Say("500 Internal Server Error"),
        });
        let own = served.behind(|_, _| Rule::Pass);
        let home = tempfile::tempdir().unwrap();
        let text = format!("[registries.\"{}\"]\nmirrors = [\"{}\"]\n", own.host(), mirror.host());
        fs::create_dir(home.path().join("config")).unwrap();
        fs::write(home.path().join("config/config.toml"), text).unwrap();
        assert!(mvm(home.path(), &own.image("a")).status().unwrap().success());
        let gets = own.gets(&served.layer.to_string());
        // Bytes of two places that do not fit are fetched whole from the last.
        let expected = [Some("bytes=100000-"), None];
        assert_eq!(ranges(&gets), expected[..if wrong { 2 } else { 1 }]);
    }
}
