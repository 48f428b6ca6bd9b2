// SPDX-License-Identifier: Apache-2.0
//! Images of directories and archives that other tools made, and archives of
//! ours that other tools read.

#[allow(dead_code)]
#[path = "support/archive.rs"]
mod archive;
#[allow(dead_code)]
#[path = "support/layout.rs"]
mod layout;
#[allow(dead_code)]
#[path = "support/plain.rs"]
mod plain;
#[allow(dead_code)]
#[path = "support/empty_registry.rs"]
mod registry;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use archive::{Files, layer};
use layout::{Layout, inspect, run};
use plain::{Home, files};
use registry::{in_path, skip};

/// An empty layout, or a reason to skip.
macro_rules! setup {
    ($test:literal) => {
        match Layout::new() {
            Some(layout) => layout,
            None => return skip($test, "umoci or skopeo is not installed"),
        }
    };
}

const TWO: [(&str, &str); 2] = [("/etc/one", "1\n"), ("/etc/two", "2\n")];

fn skopeo(from: &str, to: &str) {
    run(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", from, to]));
}

fn oci(path: &Path, tag: &str) -> String {
    format!("oci:{}:{tag}", path.display())
}

/// The ID that skopeo sees: the digest of the configuration.
fn id(layout: &Layout, tag: &str) -> String {
    let source = oci(&layout.path(), tag);
    let raw = run(Command::new("skopeo").args(["inspect", "--raw", &source])).stdout;
    let manifest: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_layout_of_umoci() {
    let layout = setup!("a_layout_of_umoci");
    layout.image("app", &TWO).image("other", &TWO[..1]);
    let home = Home::new();
    let source = oci(&layout.path(), "app");
    let id = id(&layout, "app");
    let first = home.mvm(["pull", &source]);
    assert_eq!(first.stderr.matches("Pull complete").count(), 2, "{}", first.stderr);
    assert_eq!(first.ok(), format!("{id}\n"), "a bare tag is no name");
    assert_eq!(home.images(), [format!("<none>:<none> {id}")]);
    let again = home.mvm(["pull", &source]);
    assert_eq!(again.stderr.matches("Already exists").count(), 2, "{}", again.stderr);
    assert_eq!(home.images().len(), 1);
    home.verify();

    let whole = format!("oci:{}", layout.path().display());
    let several = home.mvm(["pull", &whole]).refused("has 2 images");
    assert!(several.stderr.contains("it has app, other"), "{}", several.stderr);
    home.mvm(["pull", &format!("{whole}:nope")]).refused("has no image nope");
    assert_eq!(home.mvm(["pull", "-q", &format!("{whole}:@0")]).ok(), format!("{id}\n"));
}

#[test]
fn a_platform_of_several() {
    let layout = setup!("a_platform_of_several");
    let amd64 = ["--architecture=amd64"];
    layout.image("one", &TWO).config("one", &amd64);
    layout.image("two", &TWO[..1]).config("two", &["--architecture=s390x"]);
    layout.index("both", &[("one", "amd64"), ("two", "s390x")]);
    let (one, two) = (id(&layout, "one"), id(&layout, "two"));
    let source = oci(&layout.path(), "both");
    let home = Home::new();
    let pull = |platform: &str| home.mvm(["pull", "-q", "--platform", platform, &source]);
    assert_eq!(pull("linux/amd64").ok(), format!("{one}\n"));
    assert_eq!(pull("s390x").ok(), format!("{two}\n"));
    let none = pull("riscv64").refused("has no linux/riscv64 variant");
    assert!(none.stderr.contains("it is there for linux/amd64, linux/s390x"), "{}", none.stderr);
    // By the environment, which the flag outranks.
    let mut command = home.command(["pull", "-q", &source]);
    let by_docker = command.env("DOCKER_DEFAULT_PLATFORM", "linux/s390x").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&by_docker.stdout), format!("{two}\n"));
    let by_mvm = command.env("MVM_DEFAULT_PLATFORM", "linux/amd64").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&by_mvm.stdout), format!("{one}\n"));

    // One that is for another machine only is loaded, and not pulled.
    let file = layout.scratch("foreign.tar");
    skopeo(&oci(&layout.path(), "two"), &format!("oci-archive:{}:foreign:1", file.display()));
    let archive = format!("oci-archive:{}", file.display());
    home.mvm(["pull", &archive]).refused("it is there for linux/s390x");
    let loaded = home.mvm(["load", "-q", "-i", file.to_str().unwrap()]).ok();
    assert_eq!(loaded, "Loaded image: foreign:1\n");
    home.verify();
}

#[test]
fn archives_of_skopeo() {
    let layout = setup!("archives_of_skopeo");
    layout.image("app", &TWO);
    let id = id(&layout, "app");
    for (transport, flags) in [
        ("oci-archive", &[][..]),
        ("docker-archive", &[]),
        ("oci-archive", &["--dest-compress-format=zstd"]),
    ] {
        let from = layout.recompressed("app", flags);
        let file = layout.scratch("app.tar");
        let _ = fs::remove_file(&file);
        skopeo(&oci(&from.path(), "app"), &format!("{transport}:{}:team/app:1.0", file.display()));
        let bytes = fs::read(&file).unwrap();
        let home = Home::new();
        for bytes in [bytes.clone(), zstd::encode_all(&bytes[..], 1).unwrap()] {
            assert_eq!(home.feed(["load"], &bytes).ok(), "Loaded image: team/app:1.0\n");
        }
        assert_eq!(home.images(), [format!("team/app:1.0 {id}")]);
        let pulled = home.feed(["pull", "-q", "-"], &bytes).ok();
        assert_eq!(pulled, "docker.io/team/app:1.0\n");
        for name in ["team/app:1.0", "docker.io/team/app:1.0", "@0"] {
            home.mvm(["pull", "-q", &format!("{transport}:{}:{name}", file.display())]).ok();
        }
        home.mvm(["pull", &format!("{transport}:{}:app:2", file.display())]).refused("app:1.0");
        home.verify();
        assert_eq!(inspect(&home.layout(), "docker.io/team/app:1.0")["Os"], "linux");
    }
}

#[test]
fn archives_of_buildah() {
    if in_path("buildah").is_none() {
        return skip("archives_of_buildah", "buildah is not installed");
    }
    let work = tempfile::tempdir().unwrap();
    let buildah = |args: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver=vfs", "--root"]).arg(work.path().join("root"));
        command.arg("--runroot").arg(work.path().join("run")).args(args);
        String::from_utf8(run(&mut command).stdout).unwrap().trim().to_owned()
    };
    fs::write(work.path().join("file"), "from buildah\n").unwrap();
    let file = work.path().join("file").display().to_string();
    let container = buildah(&["from", "scratch"]);
    buildah(&["add", "-q", &container, &file, "/file"]);
    buildah(&["config", "--cmd", "/file", &container]);
    let id = buildah(&["commit", "-q", &container, "made:1"]);
    let home = Home::new();
    for transport in ["docker-archive", "oci-archive"] {
        let archive = work.path().join(transport).display().to_string();
        buildah(&["push", "-q", "made:1", &format!("{transport}:{archive}:made:1")]);
        // Its own name for the image comes with the one that was asked for.
        let loaded = home.mvm(["load", "-qi", &archive]).ok();
        assert!(loaded.starts_with("Loaded image: made:1\n"), "{loaded}");
    }
    assert!(home.images().contains(&format!("made:1 sha256:{id}")), "{:?}", home.images());
    home.verify();
    // And back.
    for format in [&[][..], &["--format=oci-archive"], &["--format=docker-archive"]] {
        let archive = work.path().join("saved").display().to_string();
        home.mvm([&["save", "-o", &archive, "made:1"], format].concat()).ok();
        let kind = if format == ["--format=oci-archive"] { "oci" } else { "docker" };
        buildah(&["rmi", "-fa"]);
        assert_eq!(buildah(&["pull", "-q", &format!("{kind}-archive:{archive}")]), id);
    }
}

#[test]
fn what_docker_has_written() {
    let layers = [layer("one", b"1"), layer("two", &[7; 600 << 10])];
    // Before 1.10 and after: a layer that is there is a link to it.
    let mut linked = Files::docker("a:1", &[layers[1].clone(), layers[1].clone()]);
    linked.0.remove("layer1/layer.tar");
    let mut tar = linked.tar();
    tar.entry("layer1/layer.tar", tar::EntryType::Symlink, "../layer0/layer.tar", b"");
    let home = Home::new();
    assert_eq!(home.feed(["load"], &tar.finish()).ok(), "Loaded image: a:1\n");
    // Since 25: both documents, the tag of the index without its repository.
    let mut both = Files::oci("1", &layers);
    both.edit("index.json", |index| {
        index["manifests"][0]["annotations"]["io.containerd.image.name"] =
            "docker.io/library/b:1".into();
    });
    let config = archive::blob_name(&archive::config(&layers));
    let names = layers.iter().map(|layer| archive::blob_name(layer)).collect::<Vec<_>>();
    let manifest = serde_json::json!([{"Config": config, "RepoTags": ["b:1"], "Layers": names}]);
    both.put("manifest.json", manifest.to_string().as_bytes());
    let bytes = both.tar().finish();
    assert_eq!(home.feed(["load"], &bytes).ok(), "Loaded image: b:1\n");
    fs::write(home.path().join("both"), bytes).unwrap();
    let file = home.path().join("both").display().to_string();
    for source in [format!("docker-archive:{file}:b:1"), format!("oci-archive:{file}:1")] {
        assert_eq!(home.mvm(["pull", "-q", &source]).ok(), "docker.io/library/b:1\n");
    }
    home.verify();
}

#[test]
fn several_images_of_an_archive() {
    let (one, two) = (layer("one", b"1"), layer("two", b"2"));
    let mut all = Files::docker("a:1", std::slice::from_ref(&one));
    let more = Files::docker("b:1", &[one, two]);
    let entry = serde_json::from_slice::<serde_json::Value>(&more.0["manifest.json"]).unwrap();
    let manifest = all.0["manifest.json"].clone();
    all.0.extend(more.0);
    all.put("manifest.json", &manifest);
    all.edit("manifest.json", |images| {
        images[0]["RepoTags"] = serde_json::json!(["a:1", "a:latest"]);
        images.as_array_mut().unwrap().push(entry[0].clone());
        let mut unnamed = entry[0].clone();
        unnamed["RepoTags"] = serde_json::Value::Null;
        images.as_array_mut().unwrap().push(unnamed);
    });
    let bytes = all.tar().finish();
    let home = Home::new();
    let loaded = home.feed(["load"], &bytes).ok();
    let (names, unnamed) = loaded.split_once("Loaded image ID: sha256:").unwrap();
    assert_eq!(names, "Loaded image: a:1\nLoaded image: a:latest\nLoaded image: b:1\n");
    assert_eq!(unnamed.len(), 65);
    assert_eq!(home.images().len(), 3, "what has a name is not listed without it too");
    let said = home.feed(["pull", "-"], &bytes).refused("has 3 images");
    assert!(said.stderr.contains("mvm load"), "{}", said.stderr);
    home.verify();
}

/// A blob of the store is damaged and its disk image gone: from a directory it
/// is copied again; an archive has passed it over, and is to be read again.
#[test]
fn damage_in_the_store_is_mended() {
    let large = layer("large", &[5; 600 << 10]);
    let image = Files::oci("a:1", std::slice::from_ref(&large));
    let home = Home::new();
    let directory = home.path().join("layout");
    image.write(&directory);
    let archive = image.tar().finish();
    assert_eq!(home.feed(["load"], &archive).ok(), "Loaded image: a:1\n");
    let damage = || {
        let blob = home.layout().join(archive::blob_name(&large));
        let mut bytes = fs::read(&blob).unwrap();
        bytes[1000] ^= 1;
        fs::write(&blob, bytes).unwrap();
        fs::remove_dir_all(home.path().join("data/layers")).unwrap();
    };
    damage();
    home.mvm(["pull", &format!("oci:{}", directory.display())]).ok();
    home.verify();
    damage();
    let said = home.feed(["load"], &archive).refused("was damaged in the store");
    assert!(said.stderr.contains("hint: load the image again"), "{}", said.stderr);
    assert_eq!(home.feed(["load", "-i", "-"], &archive).ok(), "Loaded image: a:1\n");
    home.verify();
}

/// Killed in the middle of a blob, the store has nothing of it, and the next
/// command clears up.
#[test]
fn a_load_is_killed() {
    use std::io::Write;
    let image = Files::oci("a:1", &[layer("large", &vec![5; 3 << 20])]).tar().finish();
    let home = Home::new();
    let mut child = home.command(["load"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&image[..image.len() / 2]).unwrap();
    let began = std::time::Instant::now();
    while home.unfinished() == 0 {
        assert!(began.elapsed().as_secs() < 60, "nothing is written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(home.unfinished(), 1);
    assert!(home.images().is_empty());
    assert_eq!(home.feed(["load"], &image).ok(), "Loaded image: a:1\n");
    home.verify();
}

#[test]
fn flags_that_do_not_go_with_it() {
    let home = Home::new();
    home.mvm(["run", "--pull", "never", "oci:x"]).refused("--pull never");
    home.mvm(["run", "-i", "-", "sh"]).refused("stdin cannot be the image");
    home.mvm(["pull", "-a", "alpine"]).refused("all tags");
    home.mvm(["pull", "--disable-content-trust=false", "alpine"]).refused("content trust");
    home.mvm(["pull", "--platform", "a/b/c/d", "oci:x"]).refused("invalid platform");
    let foreign = home.mvm(["pull", "docker-daemon:alpine:3"]).refused("docker-daemon:");
    assert!(foreign.stderr.contains("oci-archive:FILE"), "{}", foreign.stderr);
    for missing in ["oci:nowhere:1", "oci-archive:nowhere", "docker-archive:nowhere:a:1", "dir:no"]
    {
        home.mvm(["pull", missing]).refused("does not exist");
    }
    let directory = home.path().display().to_string();
    home.mvm(["pull", &format!("oci:{directory}")]).refused("is no image layout");
    home.mvm(["pull", &format!("oci-archive:{directory}")]).refused("is a directory");
    home.mvm(["load", "-i", &directory]).refused("is a directory");
    home.mvm(["load"]).refused("it is empty");
    assert!(home.images().is_empty());
    assert!(files(&home.layout().join("blobs/sha256")).is_empty());
}
