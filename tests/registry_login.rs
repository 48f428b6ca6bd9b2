// SPDX-License-Identifier: Apache-2.0
//! Logins: the commands against a real registry, and tokens of a small server.

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "support/empty_registry.rs"]
mod registry;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hostile::{Answer, FakeImage, Server, tar};
use mvm::image::{Error, Image, PullOptions, Store};
use registry::{Registry, skip};
use serde_json::{Value, json};

/// `mvm` in a home of its own, with `stdin`, and helpers first in its path.
fn mvm(home: &Path, args: &[&str], stdin: &str) -> Output {
    let path = std::env::var("PATH").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(args)
        .env("MVM_HOME", home)
        .env("DOCKER_CONFIG", home.join("docker"))
        .env("PATH", format!("{}:{path}", home.display()))
        .env_remove("REGISTRY_AUTH_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn says(output: &Output, status: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(status), stdout.to_owned(), stderr.to_owned())
    );
}

fn config(home: &Path) -> Value {
    config_in(&home.join("docker"))
}

fn config_in(directory: &Path) -> Value {
    serde_json::from_slice(&fs::read(directory.join("config.json")).unwrap()).unwrap()
}

#[test]
fn login_verifies_and_keeps_and_logout_forgets() {
    let Some(registry) = Registry::start_with_login("me", "se:cret") else {
        return skip("login", "docker-registry or htpasswd is not installed");
    };
    let (home, host) = (tempfile::tempdir().unwrap(), registry.host());
    let login = |password: &str| {
        mvm(home.path(), &["login", "-u", "me", "--password-stdin", &host], password)
    };
    says(
        &login("wrong\n"),
        1,
        "",
        &format!(
            "error: registry {host} refuses the login: authentication required\n\
             hint: check the user name and the password or token\n"
        ),
    );
    assert!(!home.path().join("docker").exists(), "nothing is kept of a login that failed");
    let file = home.path().join("docker/config.json");
    says(
        &login("se:cret\r\n"),
        0,
        "Login Succeeded\n",
        &format!(
            "warning: the password is kept as it is in {}\n\
             hint: a credential helper keeps it better (credsStore in that file)\n",
            file.display()
        ),
    );
    assert_eq!(config(home.path()), json!({"auths": {&host: {"auth": "bWU6c2U6Y3JldA=="}}}));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = mvm(home.path(), &["pull", &registry.image("none")], "");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("not found in the registry"));
    let removed = format!("Removed the login credentials for {host}\n");
    says(&mvm(home.path(), &["logout", &host], ""), 0, &removed, "");
    assert_eq!(config(home.path()), json!({"auths": {}}));
    says(&mvm(home.path(), &["logout", &host], ""), 0, &format!("Not logged in to {host}\n"), "");
    let denied = mvm(home.path(), &["pull", &registry.image("none")], "");
    let denied = String::from_utf8_lossy(&denied.stderr).into_owned();
    assert!(
        denied.contains("access to ") && denied.contains(&format!("`mvm login {host}`")),
        "{denied}"
    );
}

#[test]
fn passwords_on_the_command_line_are_refused() {
    let home = tempfile::tempdir().unwrap();
    says(
        &mvm(home.path(), &["login", "-u", "me", "-p", "hunter2", "127.0.0.1:1"], ""),
        1,
        "",
        "error: a password on the command line can be seen by others\n\
         hint: mvm login -u USER --password-stdin < FILE, or without it to be asked\n",
    );
    says(
        &mvm(home.path(), &["login", "127.0.0.1:1"], ""),
        1,
        "",
        "error: cannot ask for a password: stdin is not a terminal\n\
         hint: use --username and --password-stdin\n",
    );
    says(
        &mvm(home.path(), &["login", "--password-stdin", "127.0.0.1:1"], "x"),
        1,
        "",
        "error: --password-stdin needs --username\n",
    );
}

/// A helper that keeps what it is told in files beside it.
const HELPER: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
case $1 in
  store) cat >kept ;;
  get) read -r server; echo "$server" >>asked
       if [ -f kept ]; then cat kept; else echo "credentials not found in native keychain"; exit 1; fi ;;
  erase) rm -f kept ;;
esac
"#;

fn install(home: &Path, name: &str, text: &str) {
    let path = home.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(home.join("docker")).unwrap();
}

#[test]
fn a_helper_keeps_the_secret() {
    let Some(registry) = Registry::start_with_login("me", "secret") else {
        return skip("helper", "docker-registry or htpasswd is not installed");
    };
    let (home, host) = (tempfile::tempdir().unwrap(), registry.host());
    install(home.path(), "docker-credential-test", HELPER);
    let before = json!({"credsStore": "none", "credHelpers": {&host: "test"}, "proxies": {}});
    fs::write(home.path().join("docker/config.json"), before.to_string()).unwrap();
    let args = ["login", "-u", "me", "--password-stdin", &host];
    says(&mvm(home.path(), &args, "secret"), 0, "Login Succeeded\n", "");
    let kept: Value = serde_json::from_slice(&fs::read(home.path().join("kept")).unwrap()).unwrap();
    assert_eq!(kept, json!({"ServerURL": &host, "Username": "me", "Secret": "secret"}));
    let mut after = before;
    after["auths"] = json!({&host: {}});
    assert_eq!(config(home.path()), after);
    let pulled = mvm(home.path(), &["pull", &registry.image("none")], "");
    assert!(String::from_utf8_lossy(&pulled.stderr).contains("not found in the registry"));
    assert_eq!(fs::read_to_string(home.path().join("asked")).unwrap(), format!("{host}\n"));
    let removed = format!("Removed the login credentials for {host}\n");
    says(&mvm(home.path(), &["logout", &host], ""), 0, &removed, "");
    assert!(!home.path().join("kept").exists());
}

#[test]
fn helpers_that_misbehave() {
    let server = Server::start(|_| Answer::new(401, "{}").header("WWW-Authenticate", "Basic"));
    for (helper, expected) in [
        ("#!/bin/sh\necho locked; exit 1\n", "docker-credential-test failed: locked\n"),
        (
            "#!/bin/sh\necho hunter2\n",
            "docker-credential-test answered with something that is no credentials\n",
        ),
        (
            "#!/bin/sh\nhead -c 2000000 /dev/zero\n",
            "docker-credential-test says more than a megabyte\n",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        install(home.path(), "docker-credential-test", helper);
        fs::write(home.path().join("docker/config.json"), r#"{"credsStore":"test"}"#).unwrap();
        let output = mvm(home.path(), &["pull", &format!("{}/a", server.host())], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with(&format!("error: the credential helper {expected}")), "{said}");
        assert!(!said.contains("hunter2"));
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("docker")).unwrap();
    for (name, expected) in
        [("missing", "is not installed; asking"), ("../../bin/sh", "is not a valid name")]
    {
        let text = json!({"credsStore": name}).to_string();
        fs::write(home.path().join("docker/config.json"), text).unwrap();
        let output = mvm(home.path(), &["pull", &format!("{}/a", server.host())], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(expected), "{said}");
    }
}

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

#[cfg(target_os = "linux")]
#[test]
fn a_password_that_is_typed_is_not_shown() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read;
    let Some(registry) = Registry::start_with_login("me", "secret") else {
        return skip("terminal", "docker-registry or htpasswd is not installed");
    };
    let home = tempfile::tempdir().unwrap();
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs =
        fs::OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let stdio = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(["login", &registry.host()])
        .env("MVM_HOME", home.path())
        .env("DOCKER_CONFIG", home.path())
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn()
        .unwrap();
    let mut terminal = fs::File::from(ours);
    let mut shown = String::new();
    let mut wait_for = |words: &str, typed: &str| {
        let mut buffer = [0; 256];
        while !shown.contains(words) {
            let read = terminal.read(&mut buffer).unwrap();
            shown.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        if words == "Password: " {
            let hidden = || {
                let modes = rustix::termios::tcgetattr(&theirs).unwrap().local_modes;
                !modes.contains(rustix::termios::LocalModes::ECHO)
            };
            while !hidden() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        terminal.write_all(typed.as_bytes()).unwrap();
        shown.clone()
    };
    wait_for(&format!("Username for {}: ", registry.host()), "me\n");
    wait_for("Password: ", "secret\n");
    let shown = wait_for("Login Succeeded", "");
    assert!(child.wait().unwrap().success());
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!(config_in(home.path())["auths"][registry.host()]["auth"], "bWU6c2VjcmV0");
}
