// SPDX-License-Identifier: Apache-2.0
//! `mvm version`: what a bug report needs to say of this mvm. What it thinks of
//! the host is `mvm doctor`'s.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::format::Template;
use crate::error::Result;
use crate::state::Dirs;
use crate::{initramfs, kernel};

/// Version of the JSON that mvm prints: docs/JSON.md. A field that goes, or
/// means something else, raises it; one that comes does not.
pub const JSON_SCHEMA: u32 = 1;

/// Show versions and places, for a bug report
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// table, json, or a template such as '{{.version}}'
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: String,
}

pub fn run(dirs: &Dirs, args: &VersionArgs) -> Result<u8> {
    let document = document(dirs);
    let text = match args.format.as_str() {
        "table" | "" => table(&document),
        "json" => Value::Object(document).to_string() + "\n",
        template => Template::parse(template)?.render(&Value::Object(document))? + "\n",
    };
    super::print(&text)?;
    Ok(0)
}

fn document(dirs: &Dirs) -> Map<String, Value> {
    let environment = std::env::var_os("MVM_KERNEL").filter(|v| !v.is_empty()).map(PathBuf::from);
    let search = kernel::Search::of_host(None, environment.as_deref(), &dirs.data, &dirs.cache);
    let kernel = kernel::find(&search, &mut None).ok();
    let fields = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "json": JSON_SCHEMA,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "libkrun": if cfg!(feature = "embedded-libkrun") { "embedded" } else { "system" },
        "guest_init": initramfs::DIGEST,
        "guest_kernel": kernel.as_ref().map(|kernel| kernel.path.display().to_string()),
        "guest_kernel_source": kernel.as_ref().map(|kernel| kernel.source.to_string()),
        "data": dirs.data.display().to_string(),
        "config": dirs.config.display().to_string(),
        "debug": cfg!(debug_assertions),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn table(document: &Map<String, Value>) -> String {
    let text = |name: &str| match &document[name] {
        Value::String(text) => text.clone(),
        Value::Null => "none is found: mvm doctor".into(),
        other => other.to_string(),
    };
    let init = text("guest_init").chars().take(12).collect();
    let kernel = match &document["guest_kernel_source"] {
        Value::String(source) => format!("{} ({source})", text("guest_kernel")),
        _ => text("guest_kernel"),
    };
    let build = if document["debug"] == true { " (debug)" } else { "" };
    let rows = [
        ("mvm", text("version") + build),
        ("OS/Arch", format!("{}/{}", text("os"), text("arch"))),
        ("JSON schema", text("json")),
        ("libkrun", text("libkrun")),
        ("guest init", init),
        ("guest kernel", kernel),
        ("data", text("data")),
        ("config", text("config")),
    ];
    rows.iter().map(|(name, value)| format!("{:<13} {value}\n", format!("{name}:"))).collect()
}
