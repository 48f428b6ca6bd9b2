// SPDX-License-Identifier: Apache-2.0
//! Answers that are none, or not yet: redirects, floods of headers, web pages,
//! and requests to wait.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/layout.rs"]
mod layout;
#[path = "support/pulling.rs"]
mod pulling;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/empty_registry.rs"]
mod registry;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/relay.rs"]
mod relay;

use hostile::{Answer, FakeImage, Server, tar};
use pulling::{home, pull, pulls};
use registry::{Registry, skip};
use relay::{Relay, Rule};

#[test]
fn redirects_have_limits() {
    for (location, expected) in [
        ("ftp://127.0.0.1/x", "redirects to something that is no URL"),
        ("http://", "redirects to something that is no URL"),
        ("/v2/a/manifests/latest", "redirects in circles"),
    ] {
        let answer = format!("307 X\nLocation: {location}");
        let relay = Relay::start("127.0.0.1:1", move |_, _| Rule::SayThis(answer.clone()));
        let (_, errors) = pull(home("").path(), &relay.image("a"), &[]);
        assert_eq!(errors, format!("error: registry {} {expected}\n", relay.host()));
        let asked = relay.seen().len();
        assert!(asked <= 11, "{asked} requests");
    }
}

#[test]
fn headers_without_end_are_refused() {
    let bomb: String = (0..20_000).map(|n| format!("\nX-{n}: {}", "y".repeat(50))).collect();
    let relay = Relay::start("127.0.0.1:1", move |_, _| Rule::SayThis(format!("200 OK{bomb}")));
    let (_, errors) = pull(home("").path(), &relay.image("a"), &[]);
    let expected =
        format!("error: registry {} answered with something that is no HTTP: ", relay.host());
    assert!(errors.starts_with(&expected), "{errors}");
    assert_eq!(relay.seen().len(), 1);
}

#[test]
fn a_registry_that_asks_to_wait() {
    let server = FakeImage::new(&[tar("a", b"x")]).serve();
    let relay = Relay::start(&server.host(), |_, before| match before {
        0 => Rule::Say("429 Too Many Requests\nRetry-After: 1"),
        _ => Rule::Pass,
    });
    let began = std::time::Instant::now();
    pulls(home("").path(), &relay.image("a"), &[]);
    assert!(began.elapsed().as_secs() >= 1);

    let relay =
        Relay::start(&server.host(), |_, _| Rule::Say("429 Too Many Requests\nRetry-After: 7200"));
    assert_eq!(
        pull(home("").path(), &relay.image("a"), &[]),
        (
            1,
            format!(
                "error: registry {} refuses more requests for now\n\
                 hint: try again in 2h: the registry asks for that (Retry-After)\n",
                relay.host()
            )
        )
    );
    assert_eq!(relay.seen().len(), 1);
}

#[test]
fn an_image_that_did_not_move_costs_one_request() {
    let (Some(registry), Some(layout)) = (Registry::start(), layout::Layout::new()) else {
        return skip("head", "docker-registry, skopeo or umoci is not installed");
    };
    layout.image("a", &[("/etc/name", "value\n")]).push("a", &registry.image("a"), &[]);
    let relay = Relay::start(&registry.host(), |_, _| Rule::Pass);
    let home = home("");
    pulls(home.path(), &relay.image("a"), &[]);
    let before = relay.seen().len();
    pulls(home.path(), &relay.image("a"), &[]);
    let seen = relay.seen();
    assert_eq!(seen.len(), before + 1);
    assert_eq!(seen.last().unwrap().method, "HEAD");
}

#[test]
fn a_login_page_is_no_registry() {
    let page = "<!DOCTYPE html><html><body>Welcome to the hotel</body></html>";
    let server = Server::start(move |_| {
        Answer::new(200, page).header("Content-Type", "text/html; charset=utf-8")
    });
    assert_eq!(
        pull(home("").path(), &format!("{}/a", server.host()), &[]),
        (
            1,
            format!(
                "error: registry {} answered with a web page\n\
                 hint: this is no registry, or a proxy or the login of a network answers in its place\n",
                server.host()
            )
        )
    );
}

#[test]
fn encodings_that_nobody_asked_for() {
    let mut image = FakeImage::new(&[tar("a", b"x")]);
    // What some object stores say of a layer that is compressed anyway: the
    // bytes are right.
    *image.layer_answer(0) = image.layer_answer(0).clone().header("Content-Encoding", "gzip");
    let server = image.clone().serve();
    pulls(home("").path(), &format!("{}/a", server.host()), &[]);
    *image.manifest_answer() = image.manifest_answer().clone().header("Content-Encoding", "gzip");
    let server = image.serve();
    let expected = format!(
        "error: registry {} answered with the encoding gzip, which was not asked for\n",
        server.host()
    );
    assert_eq!(pull(home("").path(), &format!("{}/a", server.host()), &[]), (1, expected));
}
