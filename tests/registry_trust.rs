// SPDX-License-Identifier: Apache-2.0
//! TLS, mirrors, proxies and redirects: whom mvm believes, and who sees what.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/layout.rs"]
mod layout;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/empty_registry.rs"]
mod registry;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/relay.rs"]
mod relay;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hostile::{Answer, FakeImage, Server, tar};
use layout::run;
use registry::{Registry, in_path, skip};
use relay::{Relay, Rule};

/// A home whose `config.toml` says `text`.
fn home(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("config")).unwrap();
    fs::write(home.path().join("config/config.toml"), text).unwrap();
    home
}

/// `mvm pull`, with variables set; its status and stderr.
fn pull(home: &Path, name: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(["pull", "-q", name])
        .env("MVM_HOME", home)
        .env("DOCKER_CONFIG", home)
        .env("XDG_CONFIG_HOME", home.join("xdg"))
        .env_remove("CONTAINERS_REGISTRIES_CONF")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn pulls(home: &Path, name: &str, variables: &[(&str, &str)]) {
    assert_eq!(pull(home, name, variables), (0, String::new()));
}

/// An authority and a certificate of it for 127.0.0.1, in PEM files.
struct Authority {
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let authority = Self { directory: tempfile::tempdir().unwrap() };
        let path = |name: &str| authority.path(name).display().to_string();
        let key = |subject: &str, name: &str| {
            let mut command = Command::new("openssl");
            command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
            command.args(["-nodes", "-days", "2", "-subj", &format!("/CN={subject}")]);
            command.args([
                "-keyout",
                &path(&format!("{name}.key")),
                "-out",
                &path(&format!("{name}.pem")),
            ]);
            command
        };
        run(&mut key("mvm test authority", "ca"));
        run(key("127.0.0.1", "server")
            .args(["-CA", &path("ca.pem"), "-CAkey", &path("ca.key")])
            .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"]));
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// An empty registry with that certificate.
    fn registry(&self, more: &str) -> Option<Registry> {
        Registry::start_with(&format!(
            "  tls:\n    certificate: {}\n    key: {}\n{more}",
            self.path("server.pem").display(),
            self.path("server.key").display()
        ))
    }
}

fn push(registry: &Registry, name: &str) -> String {
    let layout = layout::Layout::new().unwrap();
    let name = registry.image(name);
    layout.image("a", &[("/etc/name", "value\n")]).push("a", &name, &[]);
    name
}

fn tools() -> bool {
    ["docker-registry", "openssl", "skopeo", "umoci"].iter().all(|name| in_path(name).is_some())
}

#[test]
fn an_authority_of_its_own() {
    if !tools() {
        return skip("tls", "docker-registry, openssl, skopeo or umoci is not installed");
    }
    let authority = Authority::new();
    let registry = authority.registry("").unwrap();
    let (name, host) = (push(&registry, "a"), registry.host());
    let table = |text: &str| format!("[registries.\"{host}\"]\n{text}\n");

    let strict = home(&table("insecure = false"));
    let (status, errors) = pull(strict.path(), &name, &[]);
    assert_eq!(status, 1);
    assert!(
        errors.starts_with(&format!("error: no secure connection to registry {host}: ")),
        "{errors}"
    );
    assert!(errors.contains("hint: check the certificate; an authority of its own"), "{errors}");

    let ca = format!("ca = {:?}", authority.path("ca.pem").display().to_string());
    pulls(home(&table(&ca)).path(), &name, &[]);

    let certs_d = home("");
    let directory = certs_d.path().join("xdg/containers/certs.d").join(&host);
    fs::create_dir_all(&directory).unwrap();
    fs::copy(authority.path("ca.pem"), directory.join("ca.crt")).unwrap();
    pulls(certs_d.path(), &name, &[]);

    let everywhere = authority.path("ca.pem").display().to_string();
    pulls(strict.path(), &name, &[("SSL_CERT_FILE", &everywhere)]);

    let other = home(&table("ca = \"/nonexistent.pem\""));
    let (_, errors) = pull(other.path(), &name, &[]);
    assert!(errors.starts_with("error: cannot read /nonexistent.pem: "), "{errors}");
    // Not verified at all, and with TLS.
    pulls(home(&table("insecure = true")).path(), &name, &[]);
}

#[test]
fn insecure_is_https_first_and_then_http() {
    let server = FakeImage::new(&[tar("a", b"x")]).serve();
    let text = format!("[registries.\"{}\"]\ninsecure = true\n", server.host());
    pulls(home(&text).path(), &format!("{}/a", server.host()), &[]);
}

#[test]
fn secrets_do_not_leave_tls() {
    if !tools() {
        return skip("tls", "docker-registry, openssl, skopeo or umoci is not installed");
    }
    let authority = Authority::new();
    let issuer = Server::start(|_| Answer::new(200, r#"{"token":"x"}"#));
    let registry = authority.registry(&format!(
        "auth:\n  token:\n    realm: http://{}/token\n    service: s\n    issuer: i\n    \
         rootcertbundle: {}\n",
        issuer.host(),
        authority.path("ca.pem").display()
    ));
    let (registry, home) = (registry.unwrap(), home(""));
    let ca = authority.path("ca.pem").display().to_string();
    let text = format!("[registries.\"{}\"]\nca = {ca:?}\n", registry.host());
    fs::write(home.path().join("config/config.toml"), text).unwrap();
    let auth = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, registry.host());
    fs::write(home.path().join("config.json"), auth).unwrap();
    let (_, errors) = pull(home.path(), &registry.image("a"), &[]);
    let expected = format!(
        "error: registry {} asks for a login at http://{}/token, in the clear\n",
        registry.host(),
        issuer.host()
    );
    assert_eq!(errors, expected);
    assert!(issuer.seen().is_empty());
}

#[test]
fn mirrors_are_asked_in_order_and_the_registry_last() {
    let registry = FakeImage::new(&[tar("a", b"x")]).serve();
    let full = FakeImage::new(&[tar("a", b"x")]).serve();
    let empty = Server::start(|_| Answer::new(404, "{}"));
    let name = format!("{}/a", registry.host());
    let mirrored = |mirrors: &[&str]| {
        home(&format!("[registries.\"{}\"]\nmirrors = {mirrors:?}\n", registry.host()))
    };
    // Nobody listens on port 1.
    let first = mirrored(&["127.0.0.1:1", &empty.host(), &full.host()]);
    pulls(first.path(), &name, &[]);
    assert!(!empty.seen().is_empty() && !full.seen().is_empty());
    assert!(registry.seen().is_empty(), "a mirror had it all");
    pulls(mirrored(&["127.0.0.1:1", &empty.host()]).path(), &name, &[]);
    assert!(!registry.seen().is_empty());
}

#[test]
fn a_mirror_with_wrong_bytes_costs_one_more_request() {
    let image = FakeImage::new(&[tar("a", b"right")]);
    let mut bent = image.clone();
    *bent.layer_answer(0).body_mut().last_mut().unwrap() ^= 1;
    let (registry, mirror) = (image.serve(), bent.serve());
    let text = format!("[registries.\"{}\"]\nmirrors = [\"{}\"]\n", registry.host(), mirror.host());
    let home = home(&text);
    let (status, errors) = pull(home.path(), &format!("{}/a", registry.host()), &[]);
    assert_eq!(status, 0, "{errors}");
    assert!(errors.contains("has the wrong digest") && errors.contains("fetching it once more"));
    assert_eq!(registry.seen().len(), 1, "the layer alone: {:?}", registry.seen());
}

#[test]
fn registries_conf_of_other_tools() {
    let (registry, mirror) =
        (FakeImage::new(&[tar("a", b"x")]).serve(), FakeImage::new(&[tar("a", b"x")]).serve());
    let home = home("");
    let file = home.path().join("registries.conf");
    let variables = [("CONTAINERS_REGISTRIES_CONF", file.to_str().unwrap())];
    let write = |text: String| fs::write(&file, text).unwrap();
    // The name is nobody's; the place is here.
    write(format!(
        "unqualified-search-registries = [\"quay.io\"]\n[[registry]]\nprefix = \"nobody.invalid/team\"\n\
         location = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\npull-from-mirror = \"digest-only\"\n",
        registry.host(),
        mirror.host()
    ));
    pulls(home.path(), "nobody.invalid/team/a", &variables);
    let tags =
        |server: &Server| server.seen().iter().filter(|r| r.path.ends_with("/latest")).count();
    assert_eq!((tags(&registry), tags(&mirror)), (1, 0), "tags are not the mirror's");
    assert!(mirror.seen().iter().any(|request| request.path.contains("/blobs/")));

    write("[[registry]]\nlocation = \"nobody.invalid\"\nblocked = true\n".into());
    assert_eq!(
        pull(home.path(), "nobody.invalid/x", &variables),
        (
            1,
            "error: nobody.invalid/x is blocked by the settings of its registry\n\
             hint: config.toml or registries.conf says `blocked`\n"
                .into()
        )
    );
    write("[[registry]\n".into());
    let (_, errors) = pull(home.path(), "nobody.invalid/x", &variables);
    assert!(errors.starts_with(&format!("error: cannot use {}: ", file.display())), "{errors}");
}

#[test]
fn a_proxy_is_used_but_not_for_this_machine() {
    let image = FakeImage::new(&[tar("a", b"x")]);
    let here = image.clone().serve();
    let proxy = Server::start(move |request| {
        let path =
            request.path.strip_prefix("http://nobody.invalid").unwrap_or("/refused").to_owned();
        image.answer(&hostile::Request { path, ..request.clone() })
    });
    let home = home("[registries.\"nobody.invalid\"]\ninsecure = true\n");
    let url = format!("http://me:hunter2@{}", proxy.host());
    let variables = [("http_proxy", url.as_str()), ("HTTPS_PROXY", url.as_str())];
    pulls(home.path(), "nobody.invalid/a", &variables);
    let seen = proxy.seen().len();
    assert!(seen >= 3, "the probe for HTTPS, the manifest, and blobs");
    pulls(home.path(), &format!("{}/a", here.host()), &variables);
    assert_eq!(proxy.seen().len(), seen);
    let none = [variables[0], variables[1], ("NO_PROXY", ".invalid")];
    let (status, errors) = pull(home.path(), "nobody.invalid/b", &none);
    assert!(
        status == 1 && errors.contains("cannot connect to registry nobody.invalid"),
        "{errors}"
    );
    assert_eq!(proxy.seen().len(), seen);
    let (_, errors) =
        pull(home.path(), "nobody.invalid/b", &[("http_proxy", "http://me:hunter2@[")]);
    assert!(errors.starts_with("error: the proxy in HTTP_PROXY is not a valid URL\n"), "{errors}");
}

#[test]
fn redirects_have_limits() {
    let image = FakeImage::new(&[tar("a", b"x")]);
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
    drop(image);
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
    if !tools() {
        return skip("head", "docker-registry, skopeo or umoci is not installed");
    }
    let registry = Registry::start().unwrap();
    push(&registry, "a");
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
