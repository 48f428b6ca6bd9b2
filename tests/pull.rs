// SPDX-License-Identifier: Apache-2.0
//! Pulls from a real registry of images that other tools made.

#[path = "support/layout.rs"]
mod layout;
#[path = "support/empty_registry.rs"]
mod registry;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use layout::{Layout, inspect, run};
use mvm::image::{
    Digest, Error, Image, LayerEvent, Progress, PullOptions, PullPolicy, Reference, Store,
};
use registry::{Registry, skip};

/// The registry and an empty layout, or a reason to skip.
macro_rules! setup {
    ($test:literal) => {{
        let (Some(registry), Some(layout)) = (Registry::start(), Layout::new()) else {
            return skip($test, "docker-registry, umoci or skopeo is not installed");
        };
        (registry, layout)
    }};
}

/// A store of one test, and who watched its last pull.
struct Home {
    directory: tempfile::TempDir,
    store: Store,
}

#[derive(Default)]
struct Watch(Mutex<BTreeMap<String, LayerEvent>>);

impl Progress for Watch {
    fn layer(&self, layer: &Digest, event: LayerEvent) {
        self.0.lock().unwrap().insert(layer.to_string(), event);
    }
}

impl Watch {
    /// How many layers ended as `event`.
    fn count(&self, event: LayerEvent) -> usize {
        self.0.lock().unwrap().values().filter(|seen| **seen == event).count()
    }
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { directory, store }
    }

    fn layout(&self) -> PathBuf {
        self.directory.path().join("blobs")
    }

    fn pull(&self, name: &str) -> Result<Image, Error> {
        self.pull_with(name, |_| {})
    }

    fn pull_with(&self, name: &str, set: impl Fn(&mut PullOptions)) -> Result<Image, Error> {
        let mut options = PullOptions { docker_config: None, ..PullOptions::default() };
        set(&mut options);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.store.pull(&name.parse().unwrap(), &options))
    }

    /// Pulls in any case, and says how many layers came and how many were there.
    fn refresh(&self, name: &str) -> (Image, usize, usize) {
        let watch = Arc::new(Watch::default());
        let image = self
            .pull_with(name, |options| {
                options.policy = PullPolicy::Always;
                options.progress = watch.clone();
            })
            .unwrap();
        (image, watch.count(LayerEvent::Done), watch.count(LayerEvent::Exists))
    }

    /// Every blob is what its name says, and nothing unfinished lies about.
    fn verify(&self) {
        for blob in files(&self.layout().join("blobs/sha256")) {
            let name = blob.file_name().unwrap().to_str().unwrap();
            assert_eq!(Digest::of(&fs::read(&blob).unwrap()).hex(), name);
        }
        for ingest in ["blobs/ingest", "layers/ingest"] {
            let left = files(&self.directory.path().join(ingest));
            assert!(left.iter().all(|file| file.ends_with("gate.lock")), "{left:?}");
        }
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

const TWO: [(&str, &str); 2] = [("/etc/one", "1\n"), ("/etc/two", "2\n")];

#[test]
fn pulls_what_umoci_made() {
    let (registry, layout) = setup!("pulls_what_umoci_made");
    let name = registry.image("team/app:1.0");
    layout.image("app", &TWO).config(
        "app",
        &[
            "--config.entrypoint=/bin/sh",
            "--config.cmd=-c",
            "--config.env=A=1",
            "--config.user=7:8",
            "--config.workingdir=/srv",
            "--config.volume=/data",
            "--config.exposedports=80/tcp",
            "--config.label=a=b",
            "--config.stopsignal=SIGINT",
        ],
    );
    layout.push("app", &name, &[]);

    let home = Home::new();
    let image = home.pull(&name).unwrap();
    assert_eq!(image.reference, Some(name.parse().unwrap()));
    assert_eq!(image.layers.len(), 2);
    for layer in &image.layers {
        assert_eq!(fs::metadata(&layer.path).unwrap().len(), layer.bytes);
    }
    let config = &image.config;
    assert_eq!(config.entrypoint, Some(vec!["/bin/sh".into()]));
    assert_eq!(config.cmd, Some(vec!["-c".into()]));
    assert!(config.env.contains(&"A=1".into()));
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("7:8", "/srv"));
    assert_eq!(
        (config.volumes.as_slice(), config.exposed_ports.as_slice()),
        (&["/data".to_owned()][..], &["80/tcp".to_owned()][..])
    );
    assert_eq!(config.labels["a"], "b");
    assert_eq!(config.stop_signal, "SIGINT");

    let listed = home.store.images().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, listed[0].size), (&image.id, image.size));
    assert!(listed[0].created.is_some());
    home.verify();
}

#[test]
fn others_can_read_the_store() {
    let (registry, layout) = setup!("others_can_read_the_store");
    let name = registry.image("app:1");
    layout.image("app", &TWO).push("app", &name, &[]);
    let home = Home::new();
    let image = home.pull(&name).unwrap();

    let seen = inspect(&home.layout(), &name);
    assert_eq!(seen["Digest"], image.manifest_digest.to_string());
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
    let copy = layout.scratch("copy");
    run(std::process::Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q"])
        .arg(format!("oci:{}:{name}", home.layout().display()))
        .arg(format!("oci:{}:again", copy.display())));
    assert_eq!(inspect(&copy, "again")["Digest"], image.manifest_digest.to_string());
}

#[test]
fn every_compression_and_schema_2_give_one_image() {
    let (registry, layout) = setup!("every_compression_and_schema_2_give_one_image");
    layout.image("app", &TWO);
    let plain =
        layout.recompressed("app", &["--dest-oci-accept-uncompressed-layers", "--dest-decompress"]);
    let zstd = plain.recompressed("app", &["--dest-compress", "--dest-compress-format=zstd"]);
    let names = ["gzip", "zstd", "plain", "v2s2"].map(|name| registry.image(&format!("{name}:1")));
    layout.push("app", &names[0], &["--format=oci"]);
    zstd.push("app", &names[1], &["--format=oci"]);
    plain.push("app", &names[2], &["--format=oci"]);
    layout.push("app", &names[3], &["--format=v2s2"]);

    let home = Home::new();
    let images = names.each_ref().map(|name| home.pull(name).unwrap());
    for image in &images {
        assert_eq!(image.layers, images[0].layers, "the same disk images, by diff ID");
    }
    let kinds = images.each_ref().map(|image| {
        let path = home.layout().join("blobs/sha256").join(image.manifest_digest.hex());
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let kind = manifest["layers"][0]["mediaType"].as_str().unwrap();
        kind.rsplit(['.', '+']).next().unwrap().to_owned()
    });
    assert_eq!((kinds[0].as_str(), kinds[1].as_str(), kinds[3].as_str()), ("gzip", "zstd", "gzip"));
    // skopeo lists no schema 2 manifest of a layout, so the last is left out.
    for (name, image) in names[..3].iter().zip(&images) {
        assert_eq!(inspect(&home.layout(), name)["Digest"], image.manifest_digest.to_string());
    }
    home.verify();
}

#[test]
fn chooses_the_platform() {
    let (registry, layout) = setup!("chooses_the_platform");
    let name = registry.image("app:multi");
    layout.image("amd", &[("/arch", "amd64")]).config("amd", &["--architecture=amd64"]);
    layout.image("arm", &[("/arch", "arm64")]).config("arm", &["--architecture=arm64"]);
    layout.index("multi", &[("amd", "amd64"), ("arm", "arm64")]);
    layout.push("multi", &name, &["--all"]);

    let home = Home::new();
    let pull = |platform: &str| {
        home.pull_with(&name, |options| options.platform = Some(platform.parse().unwrap()))
    };
    let (arm, amd) = (pull("linux/arm64").unwrap(), pull("linux/amd64").unwrap());
    assert_eq!(arm.platform.to_string(), "linux/arm64");
    assert_eq!(amd.platform.to_string(), "linux/amd64");
    assert_ne!(arm.layers, amd.layers);
    assert_eq!(arm.repo_digest, amd.repo_digest, "the index is what the name stands for");

    let error = pull("linux/s390x").unwrap_err();
    assert_eq!(error.to_string(), format!("image {name} has no linux/s390x variant"));
    assert!(error.hint().unwrap().contains("linux/amd64, linux/arm64"), "{:?}", error.hint());

    let pinned: Reference =
        format!("{}@{}", registry.image("app"), amd.repo_digest.unwrap()).parse().unwrap();
    assert_eq!(
        home.store.find(&pinned).unwrap().manifest_digest,
        arm.manifest_digest,
        "the first of what the index led to"
    );
    let never = home.pull_with(&name, |options| {
        options.policy = PullPolicy::Never;
        options.platform = Some("linux/arm64".parse().unwrap());
    });
    assert!(matches!(never, Err(Error::NoPlatform { .. })), "the tag is amd64's now");
}

#[test]
fn a_single_image_for_another_machine_is_refused() {
    let (registry, layout) = setup!("a_single_image_for_another_machine_is_refused");
    let name = registry.image("app:s390x");
    layout.image("app", &TWO).config("app", &["--architecture=s390x"]).push("app", &name, &[]);
    let home = Home::new();
    assert!(matches!(home.pull(&name), Err(Error::NoPlatform { .. })));
    let asked = |options: &mut PullOptions| options.platform = Some("linux/s390x".parse().unwrap());
    assert!(home.pull_with(&name, asked).is_ok());
}

#[test]
fn layers_are_shared_and_not_fetched_twice() {
    let (registry, layout) = setup!("layers_are_shared_and_not_fetched_twice");
    let (first, second) = (registry.image("app:1"), registry.image("app:2"));
    layout.image("one", &TWO).push("one", &first, &[]);
    run(std::process::Command::new("umoci")
        .args(["tag", "--image"])
        .arg(format!("{}:one", layout.path().display()))
        .arg("two"));
    fs::write(layout.scratch("more"), "3\n").unwrap();
    run(std::process::Command::new("umoci")
        .args(["insert", "--image"])
        .arg(format!("{}:two", layout.path().display()))
        .arg(layout.scratch("more"))
        .arg("/etc/three"));
    layout.push("two", &second, &[]);

    let home = Home::new();
    let (one, done, exists) = home.refresh(&first);
    assert_eq!((done, exists), (2, 0));
    let (two, done, exists) = home.refresh(&second);
    assert_eq!((done, exists), (1, 2));
    assert_eq!(two.layers[..2], one.layers[..]);
    let (_, done, exists) = home.refresh(&second);
    assert_eq!((done, exists), (0, 3));

    // A lost blob comes again, a lost disk image is made again without the network.
    let blobs = files(&home.layout().join("blobs/sha256"));
    fs::remove_file(&two.layers[0].path).unwrap();
    assert!(matches!(home.store.resolve(&second), Err(Error::Incomplete { .. })));
    assert_eq!(home.pull(&second).unwrap().layers, two.layers);
    for blob in &blobs {
        fs::remove_file(blob).unwrap();
    }
    assert_eq!(home.pull(&second).unwrap().layers, two.layers);
    assert_eq!(home.pull(&first).unwrap().layers, one.layers);
    home.verify();
}

#[test]
fn a_damaged_blob_is_pulled_again() {
    let (registry, layout) = setup!("a_damaged_blob_is_pulled_again");
    let name = registry.image("app:1");
    layout.image("app", &TWO[..1]).push("app", &name, &[]);
    let home = Home::new();
    let image = home.pull(&name).unwrap();
    for blob in files(&home.layout().join("blobs/sha256")) {
        let mut bytes = fs::read(&blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        fs::write(&blob, bytes).unwrap();
    }
    fs::remove_file(&image.layers[0].path).unwrap();
    assert!(matches!(home.store.resolve(&name), Err(Error::Incomplete { .. })));
    assert_eq!(home.pull(&name).unwrap().layers, image.layers);
    home.verify();
}

#[test]
fn a_moved_tag_is_seen_by_always_only() {
    let (registry, layout) = setup!("a_moved_tag_is_seen_by_always_only");
    let name = registry.image("app:latest");
    layout.image("old", &TWO[..1]).push("old", &name, &[]);
    let home = Home::new();
    let old = home.pull(&name).unwrap();
    layout.image("new", &TWO[1..]).push("new", &name, &[]);
    assert_eq!(home.pull(&name).unwrap().id, old.id, "missing means missing");
    let (new, ..) = home.refresh(&name);
    assert_ne!(new.id, old.id);
    let listed = home.store.images().unwrap();
    let names: Vec<_> = listed.iter().map(|image| image.reference.is_some()).collect();
    assert_eq!(names, [false, true], "the old one has no tag now");
    assert_eq!(home.store.resolve(&old.id.to_string()).unwrap().id, old.id);
    assert_eq!(home.store.resolve(&old.id.hex()[..8]).unwrap().id, old.id);
    let pinned = format!("{}@{}", registry.image("app"), old.manifest_digest);
    assert_eq!(home.store.resolve(&pinned).unwrap().id, old.id);
}

#[test]
fn a_digest_pins() {
    let (registry, layout) = setup!("a_digest_pins");
    let name = registry.image("app:1");
    layout.image("app", &TWO).push("app", &name, &[]);
    let digest = Home::new().pull(&name).unwrap().manifest_digest;
    let home = Home::new();
    let pinned = format!("{}@{digest}", registry.image("app"));
    let image = home.pull(&pinned).unwrap();
    assert_eq!((image.reference, &image.manifest_digest), (None, &digest));
    let never = |options: &mut PullOptions| options.policy = PullPolicy::Never;
    assert!(home.pull_with(&pinned, never).is_ok());
    let missing = format!("{}@{}", registry.image("app"), Digest::of(b"other"));
    assert!(matches!(home.pull(&missing), Err(Error::NotFound(_))));
}

#[test]
fn what_is_not_there_is_said_plainly() {
    let Some(registry) = Registry::start() else {
        return skip("what_is_not_there_is_said_plainly", "docker-registry is not installed");
    };
    let home = Home::new();
    let name = registry.image("no/such:tag");
    let error = home.pull(&name).unwrap_err();
    assert_eq!(error.to_string(), format!("image {name} not found in the registry"));
    let never = home.pull_with(&name, |options| options.policy = PullPolicy::Never).unwrap_err();
    assert_eq!(never.to_string(), format!("no such image: {name}"));
    assert_eq!(never.hint().unwrap(), format!("get it with `mvm pull {name}`"));
    assert!(home.store.images().unwrap().is_empty());
    home.verify();
}

#[test]
fn no_registry_is_said_plainly() {
    // Port 1 of this machine: nothing listens there.
    let error = Home::new().pull("127.0.0.1:1/a").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1: Connection refused"), "{error}");
}

#[test]
fn credentials_of_docker_login_are_used() {
    let (Some(registry), Some(layout)) =
        (Registry::start_with_login("me", "se:cret"), Layout::new())
    else {
        return skip(
            "credentials_of_docker_login_are_used",
            "docker-registry, htpasswd, umoci or skopeo is not installed",
        );
    };
    let name = registry.image("private:1");
    layout.image("app", &TWO).push("app", &name, &["--dest-creds=me:se:cret"]);

    let home = Home::new();
    let anonymous = home.pull(&name).unwrap_err();
    assert!(matches!(anonymous, Error::Unauthorized { authenticated: false, .. }), "{anonymous:?}");
    assert!(anonymous.hint().unwrap().contains("mvm login"));
    let file = home.directory.path().join("config.json");
    let with = |auth: &str| {
        let json = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host());
        fs::write(&file, json).unwrap();
        home.pull_with(&name, |options| options.docker_config = Some(file.clone()))
    };
    let wrong = with("bWU6d3Jvbmc=").unwrap_err();
    assert!(matches!(wrong, Error::Unauthorized { authenticated: true, .. }), "{wrong:?}");
    let right = with("bWU6c2U6Y3JldA==").unwrap();
    assert_eq!(right.layers.len(), 2);
}
