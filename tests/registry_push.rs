// SPDX-License-Identifier: Apache-2.0
//! Pushes to a real registry, read back by skopeo.

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
use std::path::Path;
use std::process::Command;

use layout::{Layout, run};
use mvm::image::Digest;
use registry::{Registry, skip};
use relay::{Relay, Rule};
use serde_json::Value;

/// Status, stdout and stderr of `mvm`.
fn mvm(home: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(args)
        .env("MVM_HOME", home)
        .env("DOCKER_CONFIG", home)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Gives what was pulled as `from` the name `to` in the store, as a tag would.
fn rename(home: &Path, from: &str, to: &str) {
    let path = home.join("data/blobs/index.json");
    let text = fs::read_to_string(&path).unwrap();
    let (from_repository, to_repository) =
        (from.rsplit_once(':').unwrap().0, to.rsplit_once(':').unwrap().0);
    let mut index: Value = serde_json::from_str(&text).unwrap();
    let mut entry = index["manifests"][0].clone();
    let named = entry.to_string().replace(from, to).replace(from_repository, to_repository);
    entry = serde_json::from_str(&named).unwrap();
    index["manifests"].as_array_mut().unwrap().push(entry);
    fs::write(&path, index.to_string()).unwrap();
}

/// What skopeo finds under a name: the raw manifest.
fn manifest(name: &str) -> Vec<u8> {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    run(&mut command).stdout
}

/// An image of two layers in a registry, and pulled.
fn pulled(name: &str) -> Option<(Registry, tempfile::TempDir, String)> {
    let (registry, layout) = (Registry::start()?, Layout::new()?);
    let noise = (0..4000_u32).map(|n| Digest::of(&n.to_le_bytes()).hex().to_owned());
    let text: String = noise.collect();
    let name = registry.image(name);
    layout.image("a", &[("/one", "1"), ("/two", &text)]).push("a", &name, &[]);
    let home = tempfile::tempdir().unwrap();
    let (status, _, errors) = mvm(home.path(), &["pull", &name]);
    assert_eq!(status, 0, "{errors}");
    Some((registry, home, name))
}

#[test]
fn another_registry_gets_the_same_image() {
    let Some((_source, home, from)) = pulled("team/a:1") else {
        return skip("push", "docker-registry, umoci or skopeo is not installed");
    };
    let target = Registry::start().unwrap();
    let to = target.image("other/b:2");
    rename(home.path(), &from, &to);
    let (status, out, errors) = mvm(home.path(), &["push", &to]);
    let body = manifest(&from);
    assert_eq!(manifest(&to), body);
    assert_eq!(
        (status, out),
        (0, format!("2: digest: {} size: {}\n", Digest::of(&body), body.len())),
        "{errors}"
    );
    assert!(
        errors
            .starts_with(&format!("The push refers to repository [{}]\n", target.image("other/b")))
    );
    assert_eq!(
        errors.matches(": Pushed\n").count(),
        3,
        "two layers and the configuration: {errors}"
    );

    let (_, _, errors) = mvm(home.path(), &["push", &to]);
    assert_eq!(errors.matches(": Layer already exists\n").count(), 3, "{errors}");
    assert_eq!(mvm(home.path(), &["push", "-q", &to]), (0, format!("{to}\n"), String::new()));
    // All of it can be read.
    let copied = tempfile::tempdir().unwrap();
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q", "--src-tls-verify=false"])
        .arg(format!("docker://{to}"))
        .arg(format!("dir:{}", copied.path().display())));
}

#[test]
fn another_repository_of_the_same_registry_mounts() {
    let Some((registry, home, from)) = pulled("team/a:1") else {
        return skip("push", "docker-registry, umoci or skopeo is not installed");
    };
    let to = registry.image("team/b:1");
    rename(home.path(), &from, &to);
    let (status, _, errors) = mvm(home.path(), &["push", &to]);
    assert_eq!((status, errors.matches(": Mounted from team/a\n").count()), (0, 3), "{errors}");
    assert_eq!(manifest(&to), manifest(&from));
    rename(home.path(), &from, &registry.image("team/c:1"));
    rename(home.path(), &from, &registry.image("team/c:2"));
    let (status, out, errors) = mvm(home.path(), &["push", "-a", &registry.image("team/c")]);
    assert_eq!((status, out.lines().count()), (0, 2), "{out} {errors}");
}

#[test]
fn an_upload_that_is_cut_is_sent_again() {
    let Some((registry, home, from)) = pulled("team/a:1") else {
        return skip("push", "docker-registry, umoci or skopeo is not installed");
    };
    let target = Registry::start().unwrap();
    drop(registry);
    let once = std::sync::atomic::AtomicBool::new(false);
    let relay = Relay::start(&target.host(), move |seen, _| {
        let large = seen.header("content-length").is_some_and(|text| text.len() > 3);
        match seen.method == "PUT" && large && !once.swap(true, std::sync::atomic::Ordering::SeqCst)
        {
            true => Rule::Drop(500),
            false => Rule::Pass,
        }
    });
    let to = relay.image("b:2");
    rename(home.path(), &from, &to);
    let (status, _, errors) = mvm(home.path(), &["push", &to]);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(Digest::of(&manifest(&to)), Digest::of(&manifest(&target.image("b:2"))));
    let puts = relay.seen().iter().filter(|seen| seen.method == "PUT").count();
    assert_eq!(puts, 3 + 1 + 1, "three blobs, one of them twice, and the manifest");
}

#[test]
fn a_push_that_is_refused() {
    let Some((_source, home, from)) = pulled("team/a:1") else {
        return skip("push", "docker-registry, umoci or skopeo is not installed");
    };
    let Some(target) = Registry::start_with_login("me", "secret") else {
        return skip("push", "htpasswd is not installed");
    };
    let to = target.image("b:2");
    rename(home.path(), &from, &to);
    let (status, out, errors) = mvm(home.path(), &["push", "-q", &to]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert_eq!(
        errors,
        format!(
            "error: access to {to} denied by the registry\n\
             hint: check the name; if the repository is private, log in with `mvm login {}`\n",
            target.host()
        )
    );
    let auths =
        serde_json::json!({"auths": {target.host(): {"username": "me", "password": "secret"}}});
    fs::write(home.path().join("config.json"), auths.to_string()).unwrap();
    assert_eq!(mvm(home.path(), &["push", "-q", &to]), (0, format!("{to}\n"), String::new()));

    let (status, _, errors) = mvm(home.path(), &["push", "nothing:here"]);
    assert_eq!(status, 1);
    assert!(errors.contains("no such image: nothing:here"), "{errors}");
    let (_, _, errors) = mvm(home.path(), &["push", "-a", &to]);
    assert!(errors.contains("a tag cannot be used with --all-tags"), "{errors}");
}
