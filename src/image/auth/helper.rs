// SPDX-License-Identifier: Apache-2.0
//! Credential helpers: `docker-credential-NAME get|store|erase`, with words on
//! stdin and JSON on stdout (docker/docker-credential-helpers).

use std::process::{Output, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Credentials;
use crate::image::error::{Error, Result};

/// It may ask its user for a password, in a window of its own.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of an answer, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;
/// What a helper says of a server that it does not know.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Stored<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// What the helper keeps for a server. A helper that is not installed keeps
/// nothing: most images need no login.
pub async fn get(name: &str, server: &str) -> Result<Option<Credentials>> {
    let program = program(name)?;
    let output = match run(&program, "get", server.as_bytes()).await {
        Err(Trouble::Missing) => {
            tracing::warn!("{program} is not installed; asking {server} without credentials");
            return Ok(None);
        }
        other => other.map_err(|trouble| trouble.error(&program))?,
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return match said.trim() == NOT_FOUND {
            true => Ok(None),
            false => Err(failed(&program, &said)),
        };
    }
    // serde's message could quote the secret.
    let answer: Answer = serde_json::from_str(&said).map_err(|_| Error::Helper {
        program: program.clone(),
        detail: "answered with something that is no credentials".into(),
    })?;
    Ok(Some(Credentials::new(answer.username, answer.secret)).filter(|c| !c.username.is_empty()))
}

/// Has the helper keep credentials.
pub async fn store(name: &str, server: &str, credentials: &Credentials) -> Result<()> {
    let (username, secret) = match &credentials.identity_token {
        Some(token) => (super::TOKEN_USER, token.as_str()),
        None => (credentials.username.as_str(), credentials.password.as_str()),
    };
    let stored = Stored { server_url: server, username, secret };
    let text = serde_json::to_vec(&stored).unwrap_or_default();
    order(name, "store", &text).await
}

/// Has the helper forget a server.
pub async fn erase(name: &str, server: &str) -> Result<()> {
    order(name, "erase", server.as_bytes()).await
}

async fn order(name: &str, action: &str, input: &[u8]) -> Result<()> {
    let program = program(name)?;
    let output = run(&program, action, input).await.map_err(|trouble| trouble.error(&program))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.success() || said.trim() == NOT_FOUND {
        true => Ok(()),
        false => Err(failed(&program, &said)),
    }
}

/// The name of the program, found by `PATH` and never by a path.
fn program(name: &str) -> Result<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let valid = !name.is_empty() && name.len() <= 64 && name.bytes().all(good);
    if !valid || name.starts_with('.') {
        let program = format!("{:?}", super::super::registry::printable(name));
        return Err(Error::Helper { program, detail: "is not a valid name".into() });
    }
    Ok(format!("docker-credential-{name}"))
}

enum Trouble {
    Missing,
    Broken(String),
}

impl Trouble {
    fn error(self, program: &str) -> Error {
        let detail = match self {
            Self::Missing => "is not installed".into(),
            Self::Broken(detail) => detail,
        };
        Error::Helper { program: program.to_owned(), detail }
    }
}

fn failed(program: &str, said: &str) -> Error {
    let said = super::super::registry::printable(said.trim());
    Error::Helper { program: program.to_owned(), detail: format!("failed: {said}") }
}

/// Runs it to its end, or ends it.
async fn run(program: &str, action: &str, input: &[u8]) -> Result<Output, Trouble> {
    let broken = |error: std::io::Error| Trouble::Broken(format!("cannot be run: {error}"));
    let mut child = Command::new(program)
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Trouble::Missing,
            _ => broken(error),
        })?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let talking = async {
        let writing = async {
            if let Some(mut stdin) = stdin {
                // One that does not read it says why by other means.
                let _ = stdin.write_all(input).await;
            }
        };
        let reading = async {
            let mut said = Vec::new();
            match stdout {
                Some(stdout) => stdout.take(MAX_OUTPUT + 1).read_to_end(&mut said).await?,
                None => 0,
            };
            Ok::<_, std::io::Error>(said)
        };
        let ((), said) = futures::join!(writing, reading);
        let said = said?;
        if said.len() as u64 > MAX_OUTPUT {
            return Ok(None);
        }
        Ok::<_, std::io::Error>(Some((child.wait().await?, said)))
    };
    match tokio::time::timeout(PATIENCE, talking).await {
        Ok(Ok(Some((status, stdout)))) => Ok(Output { status, stdout, stderr: Vec::new() }),
        Ok(Ok(None)) => Err(Trouble::Broken("says more than a megabyte".into())),
        Ok(Err(error)) => Err(broken(error)),
        Err(_) => Err(Trouble::Broken(format!("does not answer within {} s", PATIENCE.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_become_programs() {
        assert_eq!(program("osxkeychain").unwrap(), "docker-credential-osxkeychain");
        assert_eq!(program("desktop.exe").unwrap(), "docker-credential-desktop.exe");
        for bad in ["", "../x", "a/b", "a b", "a;b", "a\\b", ".x", "a\n"] {
            assert!(program(bad).is_err(), "{bad:?}");
        }
    }
}
