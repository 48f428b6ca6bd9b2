// SPDX-License-Identifier: Apache-2.0
//! `mvm logout`

use clap::Args;

use super::login;
use crate::error::Result;
use crate::image;
use crate::state::Dirs;

/// Log out from a registry
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Host of the registry, with its port [default: docker.io]
    server: Option<String>,
}

pub async fn run(_dirs: &Dirs, args: LogoutArgs) -> Result<u8> {
    let registry = login::server(args.server.as_deref())?;
    let file = image::docker_config_file().ok_or_else(login::no_home)?;
    if image::erase_credentials(&file, &registry).await? {
        super::print(&format!("Removed the login credentials for {registry}\n"))?;
    } else {
        super::print(&format!("Not logged in to {registry}\n"))?;
    }
    if let Some(path) = image::login_known_in(&file, &registry).await? {
        let path = path.display();
        eprintln!("warning: {path} has a login for {registry} too, which mvm uses");
    }
    Ok(0)
}
