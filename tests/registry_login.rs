// SPDX-License-Identifier: Apache-2.0
//! `mvm login` and `mvm logout` against a real registry, and what keeps secrets.

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

use hostile::{Answer, Server};
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
    let again = "Authenticating with existing credentials...\n";
    says(&mvm(home.path(), &["login", &host], ""), 0, "Login Succeeded\n", again);
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
                std::thread::sleep(std::time::Duration::from_millis(5));
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

#[test]
fn logins_are_shared_with_skopeo() {
    if registry::in_path("skopeo").is_none() {
        return skip("skopeo", "skopeo is not installed");
    }
    let Some(registry) = Registry::start_with_login("me", "se:cret") else {
        return skip("skopeo", "docker-registry or htpasswd is not installed");
    };
    let (home, host) = (tempfile::tempdir().unwrap(), registry.host());
    let file = home.path().join("auth.json");
    let skopeo = |args: &[&str]| {
        let mut command = Command::new("skopeo");
        command.args(args).env("REGISTRY_AUTH_FILE", &file).output().unwrap()
    };
    let login = skopeo(&["login", "--tls-verify=false", "-u", "me", "-p", "se:cret", &host]);
    assert!(login.status.success(), "{login:?}");
    let pulled = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(["pull", &registry.image("none")])
        .env("MVM_HOME", home.path())
        .env("DOCKER_CONFIG", home.path().join("docker"))
        .env("REGISTRY_AUTH_FILE", &file)
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&pulled.stderr).contains("not found in the registry"),
        "{pulled:?}"
    );
    let logout = Command::new(env!("CARGO_BIN_EXE_mvm"))
        .args(["logout", &host])
        .env("MVM_HOME", home.path())
        .env("DOCKER_CONFIG", home.path().join("docker"))
        .env("REGISTRY_AUTH_FILE", &file)
        .output()
        .unwrap();
    let warning =
        format!("warning: {} has a login for {host} too, which mvm uses\n", file.display());
    says(&logout, 0, &format!("Not logged in to {host}\n"), &warning);
    fs::remove_file(&file).unwrap();
    let args = ["login", "-u", "me", "--password-stdin", &host];
    assert!(mvm(home.path(), &args, "se:cret").status.success());
    fs::copy(home.path().join("docker/config.json"), &file).unwrap();
    let who = skopeo(&["login", "--get-login", &host]);
    assert_eq!(String::from_utf8_lossy(&who.stdout), "me\n");
    let out = skopeo(&[
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{}", registry.image("none")),
    ]);
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(errors.contains("404 (Not Found)"), "it was let in: {errors}");
}
