// SPDX-License-Identifier: Apache-2.0
//! Challenges and tokens: a small registry, and a small server that issues
//! tokens of which a test knows how long they live.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hostile::{Answer, FakeImage, Server, tar};
use mvm::image::{Error, Image, PullOptions, Store};
use serde_json::json;

fn pull(server: &Server, set: impl FnOnce(&mut PullOptions)) -> Result<Image, Error> {
    let home = tempfile::tempdir().unwrap();
    let mut options = PullOptions { docker_config: None, ..PullOptions::default() };
    options.retries.base = Duration::from_millis(1);
    set(&mut options);
    let reference = format!("{}/a", server.host()).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Store::open(home.path()).unwrap().pull(&reference, &options))
}

/// Tokens that are good for `uses` requests, numbered from 1.
fn expiring(uses: usize, image: FakeImage) -> (Server, Server) {
    let issued = Arc::new(AtomicUsize::new(0));
    let number = issued.clone();
    let issuer = Server::start(move |_| {
        let token = number.fetch_add(1, Ordering::SeqCst) + 1;
        Answer::new(200, json!({"access_token": format!("t{token}"), "expires_in": 1}).to_string())
    });
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", issuer.host());
    let used = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let good = format!("Bearer t{}", issued.load(Ordering::SeqCst));
        if request.authorization.as_deref() == Some(&good)
            && used.fetch_add(1, Ordering::SeqCst) % (uses + 1) < uses
        {
            return image.answer(request);
        }
        Answer::new(401, "{}").header("WWW-Authenticate", realm.clone())
    });
    (server, issuer)
}

#[test]
fn a_token_that_expires_in_mid_pull_is_renewed() {
    let layers: Vec<Vec<u8>> = (0..6).map(|n| tar(&format!("f{n}"), &[n; 3000])).collect();
    let (server, issuer) = expiring(4, FakeImage::new(&layers));
    assert_eq!(pull(&server, |_| {}).unwrap().layers.len(), 6);
    let tokens = issuer.seen().len();
    assert!((2..=8).contains(&tokens), "{tokens} tokens for 8 documents");
}

#[test]
fn a_token_that_is_never_taken_ends_the_pull() {
    let (server, issuer) = expiring(0, FakeImage::new(&[tar("a", b"x")]));
    let error = pull(&server, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { authenticated: false, .. }), "{error:?}");
    assert_eq!(issuer.seen().len(), 2, "asking again cannot help");
}

#[test]
fn an_identity_token_is_exchanged() {
    let image = FakeImage::new(&[tar("a", b"x")]);
    let issuer = Server::start(|_| Answer::new(200, r#"{"access_token":"good"}"#));
    let realm = format!("Bearer realm=\"http://{}/oauth\",service=\"s\"", issuer.host());
    let server = Server::start(move |request| match request.authorization.as_deref() {
        Some("Bearer good") => image.answer(request),
        _ => Answer::new(401, "{}").header("WWW-Authenticate", realm.clone()),
    });
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    let auths = json!({"auths": {server.host(): {"auth": "MDo=", "identitytoken": "refresh me"}}});
    fs::write(&file, auths.to_string()).unwrap();
    pull(&server, |options| options.docker_config = Some(file)).unwrap();
    let seen = &issuer.seen()[0];
    assert_eq!((seen.path.as_str(), &seen.authorization), ("/oauth", &None));
    assert_eq!(
        seen.body,
        "grant_type=refresh_token&service=s&client_id=mvm&scope=repository%3Aa%3Apull&refresh_token=refresh+me"
    );
}

#[test]
fn realms_that_secrets_do_not_go_to() {
    for (challenge, expected) in [
        ("Bearer realm=\"ftp://x/y\"", "asks for a login at \"ftp://x/y\", which is no HTTP URL"),
        ("Bearer realm=\"http://me:pw@127.0.0.1:1/\"", "which is no HTTP URL"),
        ("Negotiate", "asks for a login of a kind that mvm does not know: negotiate"),
    ] {
        let server =
            Server::start(move |_| Answer::new(401, "{}").header("WWW-Authenticate", challenge));
        let error = pull(&server, |_| {}).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn token_answers_have_limits() {
    for (body, expected) in [
        (Answer::new(200, "{").endless(), "with a token of more than a megabyte"),
        (Answer::new(200, "{}"), "answered the login without a token"),
        (Answer::new(200, "<html>"), "answered the login with something that is no token"),
    ] {
        let issuer = Server::start(move |_| body.clone());
        let realm = format!("Bearer realm=\"http://{}/\"", issuer.host());
        let server = Server::start(move |_| {
            Answer::new(401, "{}").header("WWW-Authenticate", realm.clone())
        });
        let error = pull(&server, |_| {}).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn token_servers_that_refuse() {
    for (status, expected) in [
        (401, "access to HOST/a:latest denied by the registry: no such account"),
        (403, "access to HOST/a:latest denied by the registry: no such account"),
        (404, "registry HOST answered the login with 404 Not Found: no such account"),
        (503, "registry HOST answered the login with 503 Service Unavailable: no such account"),
        (429, "registry HOST refuses more requests for now"),
    ] {
        let body = r#"{"errors":[{"code":"X","message":"no such account"}]}"#;
        let issuer = Server::start(move |_| Answer::new(status, body));
        let realm = format!("Bearer realm=\"http://{}/\"", issuer.host());
        let server = Server::start(move |_| {
            Answer::new(401, "{}").header("WWW-Authenticate", realm.clone())
        });
        let error = pull(&server, |_| {}).unwrap_err();
        assert_eq!(error.to_string(), expected.replace("HOST", &server.host()));
        let attempts = if matches!(status, 429 | 503) { 5 } else { 1 };
        assert_eq!(issuer.seen().len(), attempts, "{status}");
    }
}
