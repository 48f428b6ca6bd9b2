// SPDX-License-Identifier: Apache-2.0
//! Names given and taken away, by each way to name an image.

use super::*;
use crate::image::store::Usage;

fn listed(filled: &Filled) -> Vec<String> {
    let images = filled.store.images().unwrap();
    images
        .iter()
        .map(|image| image.reference.as_ref().map_or("<none>".into(), |r| r.familiar()))
        .collect()
}

fn tag(filled: &Filled, source: &str, target: &str) {
    filled.store.tag(source, &target.parse().unwrap()).unwrap();
}

fn remove(filled: &Filled, word: &str, force: bool) -> Result<Removed> {
    filled.store.remove(word, force, &Usage::default())
}

#[test]
fn a_tag_is_another_name_of_the_same_image() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    tag(&filled, "a", "b:1");
    tag(&filled, &id.hex()[..8], "localhost:5000/c/d");
    assert_eq!(listed(&filled), ["a:latest", "b:1", "localhost:5000/c/d:latest"]);
    assert_eq!(filled.store.resolve("b:1").unwrap().id, id);
    let images = filled.store.images().unwrap();
    assert!(images[0].repo_digest.is_some() && images[1].repo_digest.is_none());
    tag(&filled, "a", "b:1");
    assert_eq!(listed(&filled).len(), 3, "nothing new");
    assert!(matches!(filled.store.tag("none", &"e".parse().unwrap()), Err(Error::NotLocal(..))));
}

#[test]
fn a_tag_taken_over_leaves_the_other_without() {
    let filled = Filled::new();
    let (a, b) = (filled.add("a", &["x"]), filled.add("b", &["y"]));
    tag(&filled, "a", "b");
    assert_eq!(filled.store.resolve("b").unwrap().id, a);
    assert_eq!(listed(&filled), ["a:latest", "<none>", "b:latest"]);
    assert_eq!(filled.store.resolve(b.hex()).unwrap().id, b);
    tag(&filled, b.hex(), "b");
    assert_eq!(listed(&filled), ["a:latest", "b:latest"], "and back: a had no claim on b");
}

#[test]
fn the_last_name_takes_the_image_along() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    tag(&filled, "a", "a:1");
    let removed = remove(&filled, "a:1", false).unwrap();
    assert_eq!((removed.untagged, removed.images), (vec!["a:1".into()], vec![]));
    let digest = filled.store.images().unwrap()[0].manifest_digest.clone();
    let removed = remove(&filled, "a", false).unwrap();
    assert_eq!(removed.untagged, ["a:latest".to_owned(), format!("a@{digest}")]);
    assert_eq!(removed.images, std::slice::from_ref(&id));
    assert!(removed.left.blobs.contains(&id) && removed.left.blobs.contains(&digest));
    assert!(listed(&filled).is_empty());
    assert!(matches!(remove(&filled, "a", false), Err(Error::NotLocal(..))));
}

#[test]
fn an_id_takes_all_names_of_one_repository() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    tag(&filled, "a", "a:1");
    assert_eq!(remove(&filled, id.short(), false).unwrap().images, std::slice::from_ref(&id));
    assert!(listed(&filled).is_empty());
    filled.add("a", &["x"]);
    tag(&filled, "a", "b");
    let error = remove(&filled, id.short(), false).unwrap_err();
    assert!(matches!(error, Error::Referenced { count: 2, .. }), "{error}");
    assert_eq!(listed(&filled).len(), 2);
    assert_eq!(remove(&filled, id.short(), true).unwrap().untagged.len(), 3);
}

#[test]
fn a_digest_names_an_image_with_and_without_its_repository() {
    let filled = Filled::new();
    for word in ["a@DIGEST", "DIGEST"] {
        filled.add("a", &["x"]);
        let digest = filled.store.images().unwrap()[0].manifest_digest.to_string();
        assert!(filled.store.resolve(&word.replace("DIGEST", &digest)).is_ok(), "{word}");
        remove(&filled, &word.replace("DIGEST", &digest), false).unwrap();
        assert!(listed(&filled).is_empty(), "{word}");
    }
}

#[test]
fn what_a_vm_uses_is_removed_by_force_only() {
    let filled = Filled::new();
    let id = filled.add("a", &["x"]);
    let mut usage = Usage::default();
    usage.add("web", &id.to_string(), std::iter::empty());
    let error = filled.store.remove("a", false, &usage).unwrap_err();
    assert!(error.to_string().ends_with("is in use by VM web"), "{error}");
    assert!(error.hint().unwrap().contains("mvm rm web"));
    tag(&filled, "a", "b");
    assert!(filled.store.remove("b", false, &usage).is_ok(), "it keeps another name");
    assert_eq!(filled.store.remove("a", true, &usage).unwrap().images, [id]);
}

#[test]
fn prune_takes_the_nameless_or_all_that_is_unused() {
    let filled = Filled::new();
    let used = filled.add("used", &["x"]);
    filled.add("a", &["y"]);
    filled.add("b", &["z"]);
    tag(&filled, "a", "b");
    let mut usage = Usage::default();
    usage.add("vm", &used.to_string(), std::iter::empty());
    let removed = filled.store.remove_unused(false, &usage, |_| true).unwrap();
    assert_eq!(removed.images.len(), 1);
    assert_eq!(listed(&filled), ["used:latest", "a:latest", "b:latest"]);
    assert!(filled.store.remove_unused(true, &usage, |_| false).unwrap().images.is_empty());
    let removed = filled.store.remove_unused(true, &usage, |_| true).unwrap();
    assert_eq!((removed.images.len(), removed.untagged.len()), (1, 3));
    assert_eq!(listed(&filled), ["used:latest"]);
}
