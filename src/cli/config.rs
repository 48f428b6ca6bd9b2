// SPDX-License-Identifier: Apache-2.0
//! `mvm config`: every setting, its value and who said so, and ways to change
//! them. Flags win over all of these.

mod edit;
mod keys;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::complete::Candidate;
use super::format::{self, Format};
use crate::config::{self, Config};
use crate::error::{Failure, Result};
use crate::similar;
use crate::state::Dirs;
use keys::{KEYS, Key};
pub use keys::{apply, defaults};

/// Show or change the defaults of flags
///
/// Without a command: every key, its value, and where that came from.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    /// How to print the keys
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the value of a key
    Get(KeyArgs),
    /// Write a value to config.toml
    Set(SetArgs),
    /// Take a value out of config.toml
    Unset(KeyArgs),
    /// Print the path of config.toml, which need not be there
    Path,
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// A key that `mvm config` lists
    #[arg(value_name = "KEY")]
    key: String,
}

#[derive(Debug, Args)]
struct SetArgs {
    /// A key that `mvm config` lists
    #[arg(value_name = "KEY")]
    key: String,
    /// As the flag of that name takes it; several for a list
    #[arg(required = true, allow_hyphen_values = true, value_name = "VALUE")]
    values: Vec<String>,
}

/// A setting as it holds.
#[derive(Debug, Serialize)]
struct Setting {
    key: &'static str,
    /// Nothing: mvm finds out by itself.
    value: Option<String>,
    /// `default`, the name of a variable, or the path of config.toml.
    origin: String,
}

pub fn run(dirs: &Dirs, args: &ConfigArgs) -> Result<u8> {
    let path = Config::path(&dirs.config);
    match &args.command {
        None => list(dirs, args.format)?,
        Some(ConfigCommand::Get(get)) => {
            let setting = setting(dirs, find(&get.key)?)?;
            super::print(&(setting.value.unwrap_or_default() + "\n"))?;
        }
        Some(ConfigCommand::Set(set)) => edit::set(dirs, find(&set.key)?, &set.values)?,
        Some(ConfigCommand::Unset(unset)) => edit::unset(dirs, find(&unset.key)?)?,
        Some(ConfigCommand::Path) => super::print(&format!("{}\n", path.display()))?,
    }
    Ok(0)
}

fn find(name: &str) -> Result<&'static Key> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| {
        let near = similar::did_you_mean(name, KEYS.iter().map(|key| key.name));
        let hint = match name.starts_with("registries") {
            true => "tables of registries are written by hand: docs/REGISTRIES.md".into(),
            false => near.unwrap_or_else(|| "mvm config lists the keys".into()),
        };
        Failure::new(format!("there is no key {name:?}")).hint(hint)
    })
}

fn list(dirs: &Dirs, format: Format) -> Result<()> {
    let settings = KEYS.iter().map(|key| setting(dirs, key)).collect::<Result<Vec<_>>>()?;
    if format == Format::Json {
        return super::print(&format::json_lines(&settings)?);
    }
    let cells = |setting: &Setting| {
        let value = setting.value.as_deref().unwrap_or("-");
        vec![setting.key.to_owned(), format::printable(value), setting.origin.clone()]
    };
    let rows: Vec<Vec<String>> = settings.iter().map(cells).collect();
    super::print(&format::table_for_people(&["KEY", "VALUE", "FROM"], &rows))
}

/// What holds for a key: the word of a variable, of the file, or of nobody.
fn setting(dirs: &Dirs, key: &Key) -> Result<Setting> {
    let made = |value: Option<String>, origin: &str| Setting {
        key: key.name,
        value,
        origin: origin.to_owned(),
    };
    for name in key.variables {
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            return Ok(made(Some(value.to_string_lossy().into_owned()), name));
        }
    }
    let path = Config::path(&dirs.config);
    // What it means is the business of the whole file.
    Config::load(&path)?;
    let text = config::read(&path)?.unwrap_or_default();
    match edit::value(&text, key)? {
        Some(value) => Ok(made(Some(value), &path.display().to_string())),
        None => Ok(made(key.default.map(str::to_owned), "default")),
    }
}

/// Whose a wrong value is that nobody has typed.
pub fn blame(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (flag, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let flag = flag.split(' ').next()?.strip_prefix("--")?;
    let dirs = Dirs::from_env().ok()?;
    let of_file = defaults(&dirs).ok()?;
    let (key, _) =
        of_file.iter().find(|(key, said)| *key == flag && said.iter().any(|v| v == value))?;
    Some(format!("{key} is in {}", Config::path(&dirs.config).display()))
}

/// For completion.
pub fn candidates() -> Vec<Candidate> {
    KEYS.iter().map(|key| Candidate::new(key.name, key.about)).collect()
}

#[cfg(test)]
mod tests;
