// SPDX-License-Identifier: Apache-2.0
//! Pulls from a registry that lies. Each lie gets one clear error, and leaves
//! nothing of it in the store.

#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::time::{Duration, Instant};

use hostile::{Answer, FakeImage, MANIFEST, Server, gzip, tar};
use mvm::image::{Digest, Error, Image, PullOptions, Store};
use serde_json::json;

/// An ordinary image of one layer.
fn image() -> FakeImage {
    FakeImage::new(&[tar("etc/name", b"value\n")])
}

/// Pulls into a new store. A failed pull must leave no image and no part of one
/// unfinished.
fn pull_with(
    server: &Server,
    name: &str,
    set: impl FnOnce(&mut PullOptions),
) -> Result<Image, Error> {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let mut options = PullOptions { docker_config: None, ..PullOptions::default() };
    options.retries.base = Duration::from_millis(1);
    set(&mut options);
    let reference = format!("{}/{name}", server.host()).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pulled = runtime.block_on(store.pull(&reference, &options));
    let cut = matches!(&pulled, Err(Error::Truncated { .. } | Error::Interrupted));
    if pulled.is_err() {
        assert!(store.images().unwrap().is_empty());
        for ingest in ["blobs/ingest", "layers/ingest"] {
            let left: Vec<_> = fs::read_dir(home.path().join(ingest))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name != "gate.lock")
                // What was cut off is gone on with; what is wrong is not kept.
                .filter(|name| !(cut && name.to_string_lossy().ends_with(".partial")))
                .collect();
            assert!(left.is_empty(), "{ingest}: {left:?}");
        }
        for blob in fs::read_dir(home.path().join("blobs/blobs/sha256")).unwrap() {
            let blob = blob.unwrap().path();
            let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(Digest::of(&fs::read(&blob).unwrap()).hex(), name);
        }
    }
    pulled
}

fn pull(server: &Server) -> Result<Image, Error> {
    pull_with(server, "a", |_| {})
}

fn refused(image: FakeImage) -> Error {
    pull(&image.serve()).unwrap_err()
}

#[test]
fn the_fake_is_right_when_nothing_is_bent() {
    let pulled = pull(&image().serve()).unwrap();
    assert_eq!(pulled.layers.len(), 1);
    assert_eq!(pulled.config.cmd, Some(vec!["/bin/true".into()]));
}

#[test]
fn loopback_has_several_names() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("SKIP loopback_has_several_names: there is no IPv6 here");
        return;
    };
    let fake = image();
    let server = Server::on(listener, move |request| fake.answer(request));
    assert!(server.host().starts_with("[::1]:"));
    assert_eq!(pull(&server).unwrap().layers.len(), 1);
}

#[test]
fn a_layer_with_other_bytes() {
    let mut image = image();
    let blob = image.layer_answer(0).body_mut();
    *blob.last_mut().unwrap() ^= 1;
    let error = refused(image);
    assert!(matches!(error, Error::WrongDigest { .. }), "{error:?}");
    assert!(error.to_string().starts_with("layer"), "{error}");
}

#[test]
fn a_layer_that_is_another_valid_layer() {
    let mut image = image();
    let other = gzip(&tar("etc/evil", b"value\n"));
    *image.layer_answer(0) = Answer::new(200, other).claim(None);
    let error = refused(image);
    assert!(
        matches!(
            error,
            Error::WrongDigest { .. } | Error::WrongSize { .. } | Error::Truncated { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn a_layer_cut_off() {
    for claim in [true, false] {
        let mut image = image();
        let answer = image.layer_answer(0);
        let whole = answer.body_mut().len();
        answer.body_mut().truncate(whole / 2);
        *answer = answer.clone().claim(claim.then_some(whole as u64));
        let error = refused(image);
        let Error::Truncated { expected, got, .. } = error else { panic!("{error:?}") };
        assert_eq!((expected, got), (whole as u64, whole as u64 / 2));
    }
}

#[test]
fn a_length_that_is_not_the_descriptors() {
    let mut image = image();
    let answer = image.layer_answer(0);
    *answer = answer.clone().claim(Some(1 << 40));
    let error = refused(image);
    assert!(matches!(error, Error::WrongSize { .. }), "{error:?}");
    assert!(error.to_string().contains("1099511627776"), "{error}");
}

#[test]
fn bodies_without_end() {
    let mut layer = image();
    *layer.layer_answer(0) = layer.layer_answer(0).clone().endless();
    assert!(matches!(refused(layer), Error::WrongSize { .. }));

    let mut manifest = image();
    *manifest.manifest_answer() = manifest.manifest_answer().clone().endless();
    assert!(matches!(refused(manifest), Error::TooLarge { limit: 4_194_304, .. }));

    let mut failure = image();
    *failure.manifest_answer() = Answer::new(500, "{").endless();
    assert!(matches!(refused(failure), Error::Protocol { .. }));
}

#[test]
fn a_manifest_that_claims_a_gigabyte() {
    let mut image = image();
    let answer = image.manifest_answer();
    *answer = answer.clone().claim(Some(1 << 30));
    assert!(matches!(refused(image), Error::TooLarge { .. }));
}

#[test]
fn a_configuration_that_claims_a_hundred_megabytes() {
    let mut image = image();
    image.manifest["config"]["size"] = json!(100 << 20);
    let body = serde_json::to_vec(&image.manifest).unwrap();
    *image.manifest_answer() = Answer::new(200, body);
    assert!(matches!(refused(image), Error::TooLarge { limit: 8_388_608, .. }));
}

#[test]
fn a_manifest_that_is_not_the_one_asked_for() {
    let image = image();
    let asked = Digest::of(b"something else");
    let mut bent = image.clone();
    bent.files.insert(format!("/manifests/{asked}"), image.clone().manifest_answer().clone());
    let error = pull_with(&bent.serve(), &format!("a@{asked}"), |_| {}).unwrap_err();
    let Error::WrongDigest { expected, .. } = error else { panic!("{error:?}") };
    assert_eq!(expected, asked.to_string());

    let mut bent = image;
    let answer = bent.manifest_answer();
    *answer = answer.clone().header("Docker-Content-Digest", asked.to_string());
    assert!(matches!(refused(bent), Error::WrongDigest { .. }));
}

#[test]
fn a_diff_id_of_another_tar() {
    let mut image = image();
    image.config["rootfs"]["diff_ids"][0] = json!(Digest::of(b"another"));
    let error = refused(image.finish());
    assert!(matches!(error, Error::WrongDiffId { .. }), "{error:?}");
}

#[test]
fn layers_and_diff_ids_that_do_not_match_in_number() {
    let mut image = image();
    image.config["rootfs"]["diff_ids"] = json!([]);
    let error = refused(image.finish());
    assert!(
        error.to_string().contains("lists 0 diff IDs, but the manifest has 1 layers"),
        "{error}"
    );
}

#[test]
fn more_layers_than_docker_allows() {
    let mut image = image();
    let layer = image.manifest["layers"][0].clone();
    image.manifest["layers"] = json!(vec![layer; 10_000]);
    let error = refused(image.finish());
    assert!(error.to_string().contains("has 10000 layers; the most is 127"), "{error}");
}

#[test]
fn a_layer_that_is_no_tar() {
    let error = refused(FakeImage::new(&[b"#!/bin/sh\necho not a tar\n".repeat(100)]));
    assert!(matches!(error, Error::Layer { .. }), "{error:?}");
}

#[test]
fn a_tar_that_climbs_out() {
    for name in ["../../etc/passwd", "a/../../b"] {
        let error = refused(FakeImage::new(&[tar(name, b"root::0:0::/:/bin/sh\n")]));
        assert!(matches!(error, Error::Layer { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_gzip_stream_with_an_error_inside() {
    let mut image = FakeImage::new(&[tar("a", &[7; 100_000])]);
    let old = image.layers[0].clone();
    let mut blob = image.layer_answer(0).body_mut().clone();
    let middle = blob.len() / 2;
    blob[middle..middle + 8].fill(0xff);
    let digest = Digest::of(&blob);
    image.manifest["layers"][0]["digest"] = json!(digest);
    image.files.remove(&format!("/blobs/{old}"));
    image.files.insert(format!("/blobs/{digest}"), Answer::new(200, blob));
    let error = refused(image.finish());
    assert!(matches!(error, Error::Decompress { .. } | Error::WrongDiffId { .. }), "{error:?}");
}

#[test]
fn several_gzip_members_are_one_layer() {
    let whole = tar("a", &[7; 10_000]);
    let mut image = FakeImage::new(std::slice::from_ref(&whole));
    let blob = [gzip(&whole[..5000]), gzip(&whole[5000..])].concat();
    let digest = Digest::of(&blob);
    image.manifest["layers"][0]["digest"] = json!(digest);
    image.manifest["layers"][0]["size"] = json!(blob.len());
    image.files.insert(format!("/blobs/{digest}"), Answer::new(200, blob));
    assert!(pull(&image.finish().serve()).is_ok());
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let server = FakeImage::new(&[tar("zeros", &vec![0; 8 << 20])]).serve();
    let error = pull_with(&server, "a", |o| o.limits.layer_bytes = 1 << 20).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 1_048_576, .. }), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("max-layer-gib")), "{error:?}");
}

#[test]
fn redirects_in_circles() {
    let mut manifest = image();
    *manifest.manifest_answer() = Answer::new(302, "").header("Location", "/v2/a/manifests/latest");
    let error = refused(manifest);
    assert!(error.to_string().ends_with("redirects in circles"), "{error}");

    let mut layer = image();
    let path = format!("/v2/a/blobs/{}", layer.layers[0]);
    *layer.layer_answer(0) = Answer::new(307, "").header("Location", path);
    let error = refused(layer);
    assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let mut image = image();
    let blob = image.layer_answer(0).clone();
    let elsewhere = Server::start(move |_| blob.clone());
    let location = format!("http://{}/blob", elsewhere.host());
    *image.layer_answer(0) = Answer::new(307, "").header("Location", location);
    let server = Server::start(move |request| match request.authorization {
        Some(_) => image.answer(request),
        None => Answer::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    let auth = json!({"auths": {server.host(): {"auth": "bWU6c2VjcmV0"}}});
    fs::write(&file, auth.to_string()).unwrap();
    pull_with(&server, "a", |options| options.docker_config = Some(file)).unwrap();
    let seen = elsewhere.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.authorization.is_none()));
    assert!(server.seen().iter().any(|request| request.authorization.is_some()));
}

#[test]
fn tokens_are_fetched_and_bad_ones_refused() {
    for (token, good) in [
        (r#"{"token":"good"}"#, true),
        (r#"{"token":"bad\nX-Evil: 1"}"#, false),
        ("no json", false),
    ] {
        let issuer = Server::start(move |_| Answer::new(200, token));
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", issuer.host());
        let image = image();
        let server = Server::start(move |request| match request.authorization.as_deref() {
            Some("Bearer good") => image.answer(request),
            _ => Answer::new(401, "{}").header("WWW-Authenticate", realm.clone()),
        });
        match pull(&server) {
            Ok(_) => assert!(good, "{token}"),
            Err(error) => assert!(!good && matches!(error, Error::Protocol { .. }), "{error:?}"),
        }
        assert!(issuer.seen()[0].path.contains("scope=repository%3Aa%3Apull"));
    }
}

#[test]
fn silence_ends_in_time() {
    let server = Server::start(|request| {
        if request.path.contains("manifests") {
            std::thread::sleep(Duration::from_secs(3));
        }
        Answer::new(200, "{}")
    });
    let start = Instant::now();
    let idle = Duration::from_millis(300);
    let error = pull_with(&server, "a", |options| options.timeouts.idle = idle).unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn https_is_not_spoken_by_this_port() {
    // Not a loopback name, so HTTPS is spoken, to a server that cannot.
    let server = image().serve();
    let port = server.host().rsplit(':').next().unwrap().to_owned();
    let name = format!("localhost.localdomain:{port}/a");
    if std::net::ToSocketAddrs::to_socket_addrs(&name.trim_end_matches("/a")).is_err() {
        eprintln!("SKIP https_is_not_spoken_by_this_port: localhost.localdomain does not resolve");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let options = PullOptions { docker_config: None, ..PullOptions::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(store.pull(&name.parse().unwrap(), &options)).unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[test]
fn what_the_registry_says_of_itself() {
    for (status, expected) in [
        (429, "refuses more requests for now"),
        (503, "answered 503 Service Unavailable: over capacity"),
        (403, "denied by the registry"),
        (404, "not found in the registry"),
        (204, "answered 204 No Content"),
    ] {
        let mut image = image();
        let text = r#"{"errors":[{"code":"UNAVAILABLE","message":"over\u001b[31m capacity"}]}"#
            .replace(r"\u001b[31m", "");
        *image.manifest_answer() = Answer::new(status, if status == 204 { "" } else { &text })
            .header("Retry-After", "300");
        let error = refused(image);
        assert!(error.to_string().contains(expected), "{error}");
        if status == 429 {
            assert_eq!(
                error.hint().unwrap(),
                "try again in 5m: the registry asks for that (Retry-After)"
            );
        }
    }
}

#[test]
fn documents_that_are_no_image() {
    for (body, kind, expected) in [
        (json!({"schemaVersion": 1, "fsLayers": []}), MANIFEST, "schema 1"),
        (json!({"schemaVersion": 2}), MANIFEST, "neither an image manifest nor an index"),
        (json!({"schemaVersion": 2}), "text/html", "media type \"text/html\""),
        (json!([]), MANIFEST, "is not valid"),
    ] {
        let mut image = image();
        *image.manifest_answer() = Answer::new(200, body.to_string()).header("Content-Type", kind);
        let error = refused(image);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let mut chart = image();
    chart.manifest["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    assert!(refused(chart.finish()).to_string().contains("foreign layer"));
}

#[test]
fn an_opaque_root_hides_what_lies_below() {
    let layers = [tar("below", b"1"), tar(".wh..wh..opq", b""), tar("above", b"2")];
    let pulled = pull(&FakeImage::new(&layers).serve()).unwrap();
    let expected: Vec<Digest> = layers[1..].iter().map(|tar| Digest::of(tar)).collect();
    let mounted: Vec<Digest> = pulled.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    assert_eq!(mounted, expected);
}
