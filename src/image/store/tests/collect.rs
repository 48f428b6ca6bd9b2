// SPDX-License-Identifier: Apache-2.0
//! What the collector takes, what it must not, and who keeps it off.

use super::*;
use crate::image::store::{Scope, Usage};

fn collect(filled: &Filled, scope: Scope, usage: &Usage) -> Result<Freed> {
    let store = filled.store.exclusive().unwrap().expect("nobody uses the store");
    let plan = filled.store.plan(&store, &scope, usage)?;
    filled.store.sweep(store, plan)
}

fn all(filled: &Filled) -> Freed {
    collect(filled, Scope::All, &Usage::default()).unwrap()
}

fn id_of(layer: &str) -> Digest {
    Digest::of(layer.as_bytes())
}

#[test]
fn an_image_leaves_what_no_other_needs() {
    let filled = Filled::new();
    filled.add("a", &["shared", "only a"]);
    filled.add("b", &["shared", "only b"]);
    assert_eq!(all(&filled), Freed::default(), "all is needed");
    let removed = filled.store.remove("a", false, &Usage::default()).unwrap();
    let freed = collect(&filled, Scope::Only(removed.left), &Usage::default()).unwrap();
    assert_eq!(freed.layers, [id_of("only a")]);
    assert_eq!(freed.blobs.len(), 2, "manifest and configuration");
    assert!(freed.bytes > 0);
    assert!(!filled.store.facts_path(&id_of("only a")).exists());
    assert!(filled.store.resolve("b").is_ok());
    assert_eq!(all(&filled), Freed::default());
}

#[test]
fn what_failed_pulls_left_waits_for_a_prune() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    // A layer and a blob that no image names, and parts of blobs.
    let orphan = filled.store.layer_ingest().create().unwrap();
    filled.store.put_layer(&id_of("orphan"), orphan, &layer::Summary::default()).unwrap();
    filled.store.put_blob(&id_of("blob"), b"blob").unwrap();
    let ingest = filled.home.path().join("blobs/ingest");
    for name in ["0123.part".to_owned(), format!("sha256-{}", id.hex()), "notes.txt".into()] {
        fs::write(ingest.join(name), b"1234").unwrap();
    }
    let living = filled.store.blob_ingest().create().unwrap();
    let removed = filled.store.remove("a", false, &Usage::default()).unwrap();
    let freed = collect(&filled, Scope::Only(removed.left), &Usage::default()).unwrap();
    assert_eq!(freed.layers, [id_of("x")]);
    let freed = all(&filled);
    assert_eq!((freed.layers, freed.blobs), (vec![id_of("orphan")], vec![id_of("blob")]));
    assert!(freed.bytes >= 12);
    let left: HashSet<_> = fs::read_dir(&ingest).unwrap().map(|e| e.unwrap().path()).collect();
    let kept = [ingest.join("gate.lock"), ingest.join("notes.txt"), living.path().to_owned()];
    assert_eq!(left, HashSet::from(kept));
}

#[test]
fn what_a_vm_has_open_stays() {
    let filled = Filled::new();
    let id = filled.add("a", &["x", "y"]);
    let mut usage = Usage::default();
    let path = filled.store.layer_path(&id_of("x"));
    usage.add("vm", &id.to_string(), [path.as_path()].into_iter());
    let removed = filled.store.remove("a", true, &usage).unwrap();
    let freed = collect(&filled, Scope::Only(removed.left), &usage).unwrap();
    assert_eq!(freed.layers, [id_of("y")]);
    assert!(path.exists());
    assert_eq!(all(&filled).layers, [id_of("x")], "without the VM it goes");
}

#[test]
fn a_lease_keeps_the_collector_off() {
    let filled = Filled::new();
    filled.add("a", &["x"]);
    let image = filled.store.resolve("a").unwrap();
    assert!(filled.store.exclusive().unwrap().is_none(), "an image is about to be run");
    let another = image.clone();
    drop(image);
    assert!(filled.store.exclusive().unwrap().is_none(), "a copy counts");
    drop(another);
    let alone = filled.store.exclusive().unwrap().unwrap();
    assert!(filled.store.exclusive().unwrap().is_none(), "one collector at a time");
    // Who lists does not wait for it.
    assert_eq!(filled.store.images().unwrap().len(), 1);
    drop(alone);
    let nothing = Store::open(&filled.home.path().join("none")).unwrap();
    let alone = nothing.exclusive().unwrap().unwrap();
    assert!(!filled.home.path().join("none").exists(), "looking makes nothing");
    // Somebody makes it meanwhile.
    nothing.prepare().unwrap();
    nothing.put_blob(&id_of("blob"), b"blob").unwrap();
    let plan = nothing.plan(&alone, &Scope::All, &Usage::default()).unwrap();
    assert_eq!(nothing.sweep(alone, plan).unwrap(), Freed::default());
    assert!(nothing.blob_path(&id_of("blob")).exists());
}

#[test]
fn a_reader_waits_for_the_collector() {
    let filled = Filled::new();
    filled.add("a", &["x"]);
    let alone = filled.store.exclusive().unwrap().unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| filled.store.resolve("a").map(|image| image.layers.len()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!reader.is_finished());
        drop(alone);
        assert_eq!(reader.join().unwrap().unwrap(), 1);
    });
}

#[test]
fn nothing_goes_while_a_document_is_damaged() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    filled.store.put_blob(&id_of("orphan"), b"orphan").unwrap();
    let manifest = filled.store.images().unwrap()[0].manifest_digest.clone();
    for digest in [&id, &manifest] {
        let path = filled.store.blob_path(digest);
        let good = fs::read(&path).unwrap();
        for bad in [None, Some(&b"{}"[..])] {
            match bad {
                Some(bad) => fs::write(&path, bad).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = collect(&filled, Scope::All, &Usage::default()).unwrap_err();
            assert!(matches!(error, Error::Incomplete { .. }), "{error}");
        }
        fs::write(&path, good).unwrap();
    }
    assert_eq!(all(&filled).blobs, [id_of("orphan")]);
}

#[test]
fn images_of_other_tools_are_followed() {
    let filled = Filled::new();
    filled.add("a", &["x"]);
    let put = |body: &str| {
        filled.store.put_blob(&Digest::of(body.as_bytes()), body.as_bytes()).unwrap();
        Digest::of(body.as_bytes())
    };
    let (config, layer) = (put("no JSON"), put("a layer"));
    let manifest = put(&format!(
        r#"{{"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}},{{}},7]}}"#
    ));
    // An index offers what was never copied, too.
    let index = put(&format!(
        r#"{{"manifests":[{{"digest":"{manifest}"}},{{"digest":"{}"}}]}}"#,
        id_of("elsewhere")
    ));
    let path = filled.store.index_path();
    let mut text: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let entry = serde_json::json!({"mediaType": "m", "digest": index, "size": 1});
    text["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(&path, serde_json::to_vec(&text).unwrap()).unwrap();
    assert_eq!(all(&filled), Freed::default());
    assert_eq!(filled.store.images().unwrap().len(), 1, "but they are none to run");
}

#[test]
fn formats_of_other_versions_go_unless_in_use() {
    let filled = Filled::new();
    filled.add("a", &["x", "y"]);
    let old = filled.home.path().join("layers/erofs-0");
    fs::create_dir(&old).unwrap();
    for layer in ["x", "y"] {
        fs::write(old.join(format!("{}.img", id_of(layer).hex())), layer).unwrap();
    }
    let mut usage = Usage::default();
    let path = old.join(format!("{}.img", id_of("y").hex()));
    usage.add("vm", "", [path.as_path()].into_iter());
    assert_eq!(collect(&filled, Scope::All, &usage).unwrap().layers, [id_of("x")]);
    assert!(path.exists() && filled.store.resolve("a").is_ok());
}
