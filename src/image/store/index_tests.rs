// SPDX-License-Identifier: Apache-2.0
//! What happens to names and entries as images come and tags move.

use super::*;

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

fn record(index: &mut Index, name: &str, manifest: &str) -> bool {
    let reference: Reference = name.parse().unwrap();
    let digest = digest(manifest);
    index.record(&Record {
        media_type: crate::image::manifest::media::OCI_IMAGE_MEDIA_TYPE,
        digest: &digest,
        size: 1,
        platform: &Platform::host(),
        repo_digest: Some(reference.digest().unwrap_or(&digest)),
        reference: Some(&reference),
        id: &Digest::of(format!("config of {manifest}").as_bytes()),
        image_bytes: 4096,
        hidden_layers: 0,
        created: Some("2024-01-02T03:04:05Z"),
    })
}

/// An image of a file that gives it no name.
fn record_unnamed(index: &mut Index, manifest: &str) -> bool {
    let digest = digest(manifest);
    index.record(&Record {
        media_type: crate::image::manifest::media::OCI_IMAGE_MEDIA_TYPE,
        digest: &digest,
        size: 1,
        platform: &Platform::host(),
        repo_digest: None,
        reference: None,
        id: &Digest::of(format!("config of {manifest}").as_bytes()),
        image_bytes: 4096,
        hidden_layers: 0,
        created: Some("2024-01-02T03:04:05Z"),
    })
}

fn names(index: &Index) -> Vec<(String, Digest)> {
    let name = |entry: &Entry| entry.reference().map_or("<none>".into(), |r| r.familiar());
    index.manifests.iter().map(|entry| (name(entry), entry.digest.clone())).collect()
}

#[test]
fn a_moved_tag_leaves_the_old_image_dangling() {
    let mut index = Index::empty();
    assert!(record(&mut index, "alpine", "one"));
    assert!(!record(&mut index, "alpine", "one"), "nothing new");
    assert!(record(&mut index, "alpine", "two"));
    assert_eq!(
        names(&index),
        [("<none>".into(), digest("one")), ("alpine:latest".into(), digest("two"))]
    );
    assert_eq!(index.manifests[0].repository(), Some("docker.io/library/alpine"));
    let pinned: Reference = format!("alpine@{}", digest("one")).parse().unwrap();
    assert!(index.manifests[0].answers_to(&pinned), "it is still there by its digest");

    assert!(record(&mut index, "alpine", "one"), "and back again");
    assert_eq!(
        names(&index),
        [("alpine:latest".into(), digest("one")), ("<none>".into(), digest("two"))]
    );
}

#[test]
fn two_tags_of_one_image_are_two_entries() {
    let mut index = Index::empty();
    record(&mut index, "alpine:3", "one");
    record(&mut index, "alpine:3.20", "one");
    assert_eq!(index.manifests.len(), 2);
    record(&mut index, "alpine:3", "two");
    assert_eq!(
        names(&index),
        [("alpine:3.20".into(), digest("one")), ("alpine:3".into(), digest("two"))],
        "the old image still has a tag, so nothing dangles"
    );
}

#[test]
fn a_digest_reference_has_no_tag() {
    let mut index = Index::empty();
    let pinned = format!("alpine@{}", digest("one"));
    record(&mut index, &pinned, "one");
    assert_eq!(names(&index), [("<none>".into(), digest("one"))]);
    assert!(index.manifests[0].answers_to(&pinned.parse().unwrap()));
    assert!(!index.manifests[0].answers_to(&"alpine".parse().unwrap()));
    let elsewhere: Reference = format!("other/alpine@{}", digest("one")).parse().unwrap();
    assert!(!index.manifests[0].answers_to(&elsewhere));
    record(&mut index, "alpine", "one");
    assert_eq!(names(&index), [("alpine:latest".into(), digest("one"))], "the tag comes to it");
    record(&mut index, &pinned, "one");
    assert_eq!(names(&index), [("alpine:latest".into(), digest("one"))], "and stays");
}

#[test]
fn fields_of_others_survive() {
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {{"mediaType":"m","digest":"{}","size":3,"artifactType":"x","annotations":{{"a":"b"}}}}],
        "annotations":{{"c":"d"}},"later":[1]}}"#,
        digest("other")
    );
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.json");
    fs::write(&path, text).unwrap();
    let mut index = Index::read(&path).unwrap();
    record(&mut index, "alpine", "one");
    let written: Value = serde_json::from_slice(&index.to_bytes()).unwrap();
    assert_eq!(written["later"][0], 1);
    assert_eq!(written["annotations"]["c"], "d");
    assert_eq!(written["manifests"][0]["artifactType"], "x");
    assert_eq!(written["manifests"][0]["annotations"]["a"], "b");
    assert_eq!(written["schemaVersion"], 2);
}

#[test]
fn a_newer_or_broken_index_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("index.json");
    for text in ["", "{", "[]", r#"{"schemaVersion":3,"manifests":[]}"#] {
        fs::write(&path, text).unwrap();
        assert!(matches!(Index::read(&path), Err(Error::Store { .. })), "{text}");
    }
    assert_eq!(Index::read(&home.path().join("none.json")).unwrap().manifests.len(), 0);
}

#[test]
fn an_image_without_a_name_is_listed_once() {
    let mut index = Index::empty();
    assert!(record_unnamed(&mut index, "one"));
    assert!(!record_unnamed(&mut index, "one"));
    assert_eq!(names(&index), [("<none>".into(), digest("one"))]);
    assert_eq!(index.manifests[0].repository(), None);
    assert!(record(&mut index, "alpine", "one"), "the name comes to it");
    assert_eq!(names(&index), [("alpine:latest".into(), digest("one"))]);
    assert!(!record_unnamed(&mut index, "one"), "and stays");
    assert_eq!(names(&index), [("alpine:latest".into(), digest("one"))]);
    assert_eq!(index.manifests[0].repo_digest(), Some(digest("one")));
}

#[test]
fn a_tag_takes_the_place_of_no_name() {
    let mut index = Index::empty();
    record_unnamed(&mut index, "one");
    record_unnamed(&mut index, "two");
    let entry = index.manifests[0].clone();
    index.tag(&entry, &"mine:1".parse().unwrap());
    let mut names = names(&index);
    names.sort();
    assert_eq!(names, [("<none>".into(), digest("two")), ("mine:1".into(), digest("one"))]);
}

/// Whatever is done in whatever order: a name stands for one image, nothing is
/// listed twice, and only a removal makes an image vanish.
#[test]
fn any_order_of_changes_keeps_the_rules() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % limit
    };
    let images = ["one", "two", "three", "four"];
    let repositories = ["alpine", "debian", "localhost:5000/x"];
    let mut index = Index::empty();
    for step in 0..5000 {
        let before: HashSet<Digest> = index.manifests.iter().map(|e| e.digest.clone()).collect();
        let (image, repository) = (images[below(4)], repositories[below(3)]);
        let mut removed = None;
        match below(10) {
            0..=3 => drop(record(&mut index, &format!("{repository}:{}", below(3)), image)),
            4 => drop(record(&mut index, &format!("{repository}@{}", digest(image)), image)),
            5 => drop(record_unnamed(&mut index, image)),
            6 | 7 if !index.manifests.is_empty() => {
                let entry = index.manifests[below(index.manifests.len())].clone();
                let name = format!("{repository}:{}", below(3));
                index.tag(&entry, &name.parse().unwrap());
            }
            _ if !index.manifests.is_empty() => {
                let at = below(index.manifests.len());
                removed = Some(index.manifests[at].digest.clone());
                index.drop_at(&[at]);
            }
            _ => {}
        }
        for (at, entry) in index.manifests.iter().enumerate() {
            for other in &index.manifests[at + 1..] {
                let name = entry.annotation(REF_NAME);
                assert!(name.is_none() || name != other.annotation(REF_NAME), "{step}: {index:?}");
                let same = entry.digest == other.digest && entry.repository() == other.repository();
                let both = name.is_some() && other.annotation(REF_NAME).is_some();
                assert!(!same || both, "{step}: listed twice: {index:?}");
                let nowhere = entry.repository().is_none() || other.repository().is_none();
                assert!(!nowhere || entry.digest != other.digest, "{step}: {index:?}");
            }
        }
        let after: HashSet<Digest> = index.manifests.iter().map(|e| e.digest.clone()).collect();
        for digest in before.difference(&after) {
            assert_eq!(Some(digest), removed.as_ref(), "{step}: an image vanished");
        }
    }
}
