// SPDX-License-Identifier: Apache-2.0
//! `--platform`, and the variables that stand for it.

use std::env;

use crate::error::{Failure, Result};
use crate::image::Platform;

/// In the order of their rank, behind the flag.
const VARIABLES: [&str; 2] = ["MVM_DEFAULT_PLATFORM", "DOCKER_DEFAULT_PLATFORM"];

/// The platform of the flag only: for commands that Docker's variable does not
/// reach.
pub fn of_flag(flag: Option<&str>) -> Result<Option<Platform>> {
    flag.map(|text| parse(text, "--platform")).transpose()
}

/// The platform of the flag, else that of the environment.
pub fn wanted(flag: Option<&str>) -> Result<Option<Platform>> {
    if let Some(platform) = of_flag(flag)? {
        return Ok(Some(platform));
    }
    for name in VARIABLES {
        if let Some(text) = env::var_os(name).filter(|text| !text.is_empty()) {
            return parse(&text.to_string_lossy(), name).map(Some);
        }
    }
    Ok(None)
}

fn parse(text: &str, origin: &str) -> Result<Platform> {
    text.parse().map_err(|e| {
        Failure::new(format!("{e}")).hint(format!("{origin} takes linux/amd64 or linux/arm64"))
    })
}
