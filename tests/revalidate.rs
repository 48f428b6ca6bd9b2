// SPDX-License-Identifier: Apache-2.0
//! What a pull of an image that is there asks the registry for. A server of our
//! own counts; what it serves is an ordinary image.

#[allow(dead_code)]
#[path = "support/hostile.rs"]
mod hostile;

use hostile::{Answer, FakeImage, MANIFEST, tar};
use mvm::image::{Digest, Platform, PullOptions, PullPolicy, Store};
use serde_json::json;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is asked for: first, then as the policies have it.
fn questions(tells_digest: bool) -> [Vec<String>; 4] {
    let mut image = FakeImage::new(&[tar("etc/name", b"value\n")]);
    let manifest = image.manifest_answer().body_mut().clone();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{
        "mediaType": MANIFEST, "digest": Digest::of(&manifest), "size": manifest.len(),
        "platform": Platform::host(),
    }]});
    let body = serde_json::to_vec(&index).unwrap();
    let digest = Digest::of(&body).to_string();
    let mut answer = Answer::new(200, body).header("Content-Type", INDEX);
    if tells_digest {
        answer = answer.header("Docker-Content-Digest", digest);
    }
    *image.manifest_answer() = answer;
    let server = image.serve();
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let reference = format!("{}/a", server.host()).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pull = |policy| {
        let before = server.seen().len();
        let options = PullOptions { docker_config: None, policy, ..PullOptions::default() };
        runtime.block_on(store.pull(&reference, &options)).unwrap();
        let paths: Vec<String> = server.seen()[before..].iter().map(|r| r.path.clone()).collect();
        paths.into_iter().filter(|path| path != "/v2/").collect::<Vec<_>>()
    };
    [PullPolicy::Missing, PullPolicy::Missing, PullPolicy::Never, PullPolicy::Always].map(pull)
}

#[test]
fn a_tag_that_did_not_move_costs_one_question() {
    let [first, missing, never, always] = questions(true);
    assert_eq!(first.len(), 4, "index, manifest, configuration, layer: {first:?}");
    assert_eq!((missing.len(), never.len()), (0, 0));
    assert_eq!(always, ["/v2/a/manifests/latest"]);
}

/// Its manifest is in the store already.
#[test]
fn a_registry_that_tells_no_digest_is_asked_for_the_index_only() {
    let [.., always] = questions(false);
    assert_eq!(always, ["/v2/a/manifests/latest"; 2], "by HEAD and by GET");
}
