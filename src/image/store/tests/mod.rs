// SPDX-License-Identifier: Apache-2.0
//! A store filled by hand: what it finds, and what it says of damage.

mod collect;
mod names;

use std::collections::HashSet;

use super::*;
use crate::image::error::Error;
use crate::image::reference::Reference;

struct Filled {
    home: tempfile::TempDir,
    store: Store,
}

impl Filled {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        store.prepare().unwrap();
        Self { home, store }
    }

    /// Adds an image of these layers, whose disk images are their names.
    fn add(&self, name: &str, layers: &[&str]) -> Digest {
        let diff_ids: Vec<Digest> = layers.iter().map(|text| Digest::of(text.as_bytes())).collect();
        for (text, diff_id) in layers.iter().zip(&diff_ids) {
            let image = self.store.layer_ingest().create().unwrap();
            image.file().write_all(text.as_bytes()).unwrap();
            self.store.put_layer(diff_id, image, &layer::Summary::default()).unwrap();
        }
        let config = config(name, &diff_ids);
        let id = Digest::of(&config);
        let blob = |digest: &Digest, size: usize, kind: &str| {
            serde_json::json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": digest, "size": size
            })
        };
        let layers: Vec<_> = diff_ids.iter().map(|id| blob(id, 1, "layer.v1.tar")).collect();
        let manifest = serde_json::to_vec(&serde_json::json!({
            "schemaVersion": 2,
            "config": blob(&id, config.len(), "config.v1+json"), "layers": layers
        }))
        .unwrap();
        let digest = Digest::of(&manifest);
        self.store.put_blob(&id, &config).unwrap();
        self.store.put_blob(&digest, &manifest).unwrap();
        let reference: Reference = name.parse().unwrap();
        self.store
            .commit(&Record {
                media_type: "application/vnd.oci.image.manifest.v1+json",
                digest: &digest,
                size: manifest.len() as u64,
                platform: &"linux/amd64".parse().unwrap(),
                repo_digest: Some(reference.digest().unwrap_or(&digest)),
                reference: Some(&reference),
                id: &id,
                image_bytes: 5,
                hidden_layers: 0,
                created: Some(name),
            })
            .unwrap();
        id
    }
}

fn config(name: &str, diff_ids: &[Digest]) -> Vec<u8> {
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64", "created": name,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}
    });
    serde_json::to_vec(&config).unwrap()
}

#[test]
fn finds_by_name_and_by_id() {
    let filled = Filled::new();
    let id = filled.add("alpine", &["one", "two"]);
    for name in ["alpine", "docker.io/library/alpine:latest", &id.to_string(), &id.hex()[..3]] {
        let image = filled.store.resolve(name).unwrap();
        assert_eq!(image.id, id, "{name}");
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.size, 6);
    }
    for name in ["alpine:3", "debian", &id.hex()[..2], "sha256:000", "0000"] {
        let error = filled.store.resolve(name).unwrap_err();
        assert!(matches!(error, Error::NotLocal(..)), "{name}: {error}");
    }
    assert!(matches!(filled.store.resolve("No Name"), Err(Error::Reference(_))));
}

#[test]
fn an_id_prefix_must_fit_one_image_only() {
    let filled = Filled::new();
    let mut seen = std::collections::HashMap::new();
    let (first, second, prefix) = (0..)
        .find_map(|n| {
            let name = format!("i{n}");
            let prefix = Digest::of(&config(&name, &[])).hex()[..3].to_owned();
            let other = seen.insert(prefix.clone(), name.clone())?;
            Some((other, name, prefix))
        })
        .unwrap();
    filled.add(&first, &[]);
    assert!(filled.store.resolve(&prefix).is_ok());
    filled.add(&second, &[]);
    let prefix = prefix.as_str();
    let error = filled.store.resolve(prefix).unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error}");
}

#[test]
fn a_name_outranks_an_id() {
    let filled = Filled::new();
    let by_id = filled.add("first", &[]);
    let by_name = filled.add(&by_id.hex()[..12], &[]);
    assert_eq!(filled.store.resolve(&by_id.hex()[..12]).unwrap().id, by_name);
    assert_eq!(filled.store.resolve(&by_id.hex()[..13]).unwrap().id, by_id);
}

#[test]
fn a_layer_that_occurs_twice_is_mounted_once() {
    let filled = Filled::new();
    filled.add("a", &["x", "y", "x", "z", "y"]);
    let layers = filled.store.resolve("a").unwrap().layers;
    let names: Vec<_> =
        layers.iter().map(|layer| fs::read_to_string(&layer.path).unwrap()).collect();
    assert_eq!(names, ["x", "z", "y"]);
}

#[test]
fn damage_is_named() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    let damaged = |path: &Path, what: &str| {
        let good = fs::read(path).unwrap();
        for bad in [None, Some(Vec::new()), Some(vec![b'x'; good.len()])] {
            match &bad {
                Some(bad) => fs::write(path, bad).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
            match filled.store.resolve("a") {
                Err(error @ Error::Incomplete { .. }) => {
                    assert!(error.to_string().contains(what), "{error}");
                }
                // The content of a disk image is not read again.
                other => assert!(what.starts_with("layer") && bad.is_some(), "{other:?}"),
            }
        }
        fs::write(path, good).unwrap();
    };
    let manifest = filled.store.images().unwrap()[0].manifest_digest.clone();
    damaged(&filled.store.blob_path(&manifest), "manifest sha256:");
    damaged(&filled.store.blob_path(&id), "configuration sha256:");
    damaged(&filled.store.layer_path(&Digest::of(b"x")), "layer sha256:");
    damaged(&filled.store.facts_path(&Digest::of(b"x")), "facts of layer sha256:");
    assert!(filled.store.resolve("a").is_ok());
}

#[test]
fn an_empty_directory_is_an_empty_store() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("not/there")).unwrap();
    assert!(store.images().unwrap().is_empty());
    assert!(matches!(store.resolve("alpine"), Err(Error::NotLocal(..))));
    assert!(!home.path().join("not").exists(), "looking makes nothing");
}

#[test]
fn what_a_crash_leaves_disturbs_nobody() {
    let filled = Filled::new();
    filled.add("a", &["x"]);
    let ingest = filled.home.path().join("blobs/ingest");
    // A writer that died half-way through the index, and one through a layer.
    fs::write(ingest.join("00000000000000000000000000000001.part"), b"{\"schemaVersion\":2,\"man")
        .unwrap();
    fs::write(filled.home.path().join("layers/ingest/00.part"), b"\0\0\0").unwrap();
    assert!(filled.store.resolve("a").is_ok());
    filled.store.prepare().unwrap();
    assert_eq!(fs::read_dir(&ingest).unwrap().count(), 1, "only the gate");
    assert!(filled.store.resolve("a").is_ok());
}

#[test]
fn many_can_commit_at_once() {
    let filled = Filled::new();
    std::thread::scope(|scope| {
        for n in 0..16 {
            let filled = &filled;
            scope.spawn(move || filled.add(&format!("i{n}"), &["shared"]));
        }
    });
    assert_eq!(filled.store.images().unwrap().len(), 16);
}

#[cfg(unix)]
#[test]
fn errors_name_the_path_and_the_fix() {
    let filled = Filled::new();
    let file = filled.home.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&file).unwrap().prepare().unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot create {}", file.display())), "{error}");
    for (kind, words) in [
        (io::ErrorKind::StorageFull, "free some space"),
        (io::ErrorKind::ReadOnlyFilesystem, "MVM_HOME"),
        (io::ErrorKind::PermissionDenied, "permissions"),
    ] {
        let error = Err::<(), _>(io::Error::from(kind)).at("write", &file).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains(words) && hint.contains(file.to_str().unwrap()), "{hint}");
    }
}
