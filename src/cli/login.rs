// SPDX-License-Identifier: Apache-2.0
//! `mvm login`

use std::io::{IsTerminal, Read};

use clap::Args;

use crate::config::Config;
use crate::error::{Failure, Result};
use crate::image::{self, Credentials, Kept};
use crate::state::Dirs;
use crate::terminal::Settings;

/// A password that is longer is a mistake, such as the wrong file.
const MAX_PASSWORD: u64 = 64 << 10;

/// Log in to a registry
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Host of the registry, with its port [default: docker.io]
    server: Option<String>,
    /// User name
    #[arg(short, long)]
    username: Option<String>,
    /// Read the password from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Docker's flag, refused: other users see command lines
    #[arg(short, long, hide = true, value_name = "PASSWORD")]
    password: Option<String>,
}

pub async fn run(dirs: &Dirs, args: LoginArgs) -> Result<u8> {
    if args.password.is_some() {
        return Err(Failure::new("a password on the command line can be seen by others")
            .hint("mvm login -u USER --password-stdin < FILE, or without it to be asked"));
    }
    if args.password_stdin && args.username.is_none() {
        return Err(Failure::new("--password-stdin needs --username"));
    }
    let registry = server(args.server.as_deref())?;
    let options = Config::of(dirs)?.pull_options();
    let file = options.docker_config.clone().ok_or_else(no_home)?;
    // As Docker: whom it knows already it does not ask again.
    if args.username.is_none()
        && let Some(known) = image::stored_login(&file, &registry).await?
        && image::verify_login(&registry, known, &options).await.is_ok()
    {
        eprintln!("Authenticating with existing credentials...");
        super::print("Login Succeeded\n")?;
        return Ok(0);
    }
    let credentials = match (args.username, args.password_stdin) {
        (Some(username), true) => Credentials::new(username, password_from_stdin()?),
        (username, _) => ask(&registry, username).await?,
    };
    if credentials.username.is_empty() {
        return Err(Failure::new("the user name is empty"));
    }
    if credentials.password.is_empty() && credentials.identity_token.is_none() {
        return Err(Failure::new("the password is empty"));
    }
    image::verify_login(&registry, credentials.clone(), &options).await?;
    if let Kept::File(path) = image::save_credentials(&file, &registry, &credentials).await? {
        eprintln!(
            "warning: the password is kept as it is in {}\n\
             hint: a credential helper keeps it better (credsStore in that file)",
            path.display()
        );
    }
    super::print("Login Succeeded\n")?;
    Ok(0)
}

/// The registry that a user means by SERVER; none is Docker Hub.
pub fn server(given: Option<&str>) -> Result<String> {
    let Some(given) = given.filter(|server| !server.is_empty()) else {
        return Ok(image::DEFAULT_REGISTRY.into());
    };
    let wrong = || {
        Failure::new(format!("invalid registry {given:?}"))
            .hint("a registry is a host name or an address, such as localhost:5000")
    };
    let host = given.strip_prefix("https://").or(given.strip_prefix("http://")).unwrap_or(given);
    let host = match host.split_once('/') {
        None => host,
        Some((host, "" | "v1/" | "v1" | "v2/" | "v2")) => host,
        Some(_) => return Err(wrong()),
    };
    if matches!(host, "docker.io" | "registry-1.docker.io" | "registry.hub.docker.com") {
        return Ok(image::DEFAULT_REGISTRY.into());
    }
    // A name without dot or port is a host here, as nothing else can be meant.
    let reference = match host.contains(['.', ':']) {
        true => format!("{host}/x"),
        false => format!("{host}:1/x"),
    };
    let reference: image::Reference = reference.parse().map_err(|_| wrong())?;
    let name = reference.registry();
    Ok(if host.contains(['.', ':']) { name.into() } else { host.into() })
}

/// For when there is nowhere to keep credentials.
pub fn no_home() -> Failure {
    Failure::new("no home directory is known").hint("set HOME, or DOCKER_CONFIG to a directory")
}

fn password_from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_PASSWORD + 1).read_to_string(&mut text);
    read.map_err(|e| Failure::cannot("read the password from stdin", e))?;
    if text.len() as u64 > MAX_PASSWORD {
        return Err(Failure::new("what stdin has is too long for a password"));
    }
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(password.strip_suffix('\r').unwrap_or(password).to_owned())
}

/// Asks a person. Nothing is seen of the password.
async fn ask(registry: &str, username: Option<String>) -> Result<Credentials> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("cannot ask for a password: stdin is not a terminal")
            .hint("use --username and --password-stdin"));
    }
    let registry = registry.to_owned();
    // While the password is typed, the terminal shows nothing.
    let before = Settings::get();
    let asking = tokio::task::spawn_blocking(move || {
        let terminal = console::Term::stderr();
        let failed = |e| Failure::cannot("read from the terminal", e);
        let username = match username {
            Some(username) => username,
            None => {
                terminal.write_str(&format!("Username for {registry}: ")).map_err(failed)?;
                terminal.read_line().map_err(failed)?.trim().to_owned()
            }
        };
        terminal.write_str("Password: ").map_err(failed)?;
        Ok(Credentials::new(username, terminal.read_secure_line().map_err(failed)?))
    });
    tokio::select! {
        answered = asking => answered.map_err(|e| Failure::cannot("read from the terminal", e))?,
        _ = tokio::signal::ctrl_c() => {
            if let Ok(before) = before {
                before.restore();
            }
            eprintln!();
            Err(Failure::new("interrupted"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for (given, expected) in [
            (None, "docker.io"),
            (Some(""), "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("registry-1.docker.io"), "docker.io"),
            (Some("localhost:5000"), "localhost:5000"),
            (Some("registry"), "registry"),
            (Some("https://r.example.com/v2/"), "r.example.com"),
            (Some("[::1]:5000"), "[::1]:5000"),
        ] {
            assert_eq!(server(given).unwrap(), expected, "{given:?}");
        }
        for bad in ["a b", "r.example.com/team", "x:y", "-", "me@r.example.com", "r:0", "\n"] {
            assert!(server(Some(bad)).is_err(), "{bad:?}");
        }
    }
}
