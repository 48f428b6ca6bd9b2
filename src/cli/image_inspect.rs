// SPDX-License-Identifier: Apache-2.0
//! `mvm image inspect` and `mvm image history`

use std::io::{self, IsTerminal};

use clap::Args;
use serde_json::{Value, json};

use super::format::{self, ListArgs, Template};
use crate::error::{Failure, Result};
use crate::image::{Details, Store};
use crate::state::Dirs;

/// Show all that is known of images
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// References or IDs
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// json, or a template such as '{{.Config.Env}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Show how an image was built
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Reference or ID
    image: String,
    #[command(flatten)]
    list: ListArgs,
}

pub fn inspect(dirs: &Dirs, args: &InspectArgs) -> Result<u8> {
    let store = Store::open(&dirs.data)?;
    show(&args.images, args.format.as_deref(), |image| Ok(document(&store.details(image)?)))
}

/// Prints what is found, and goes on after what is not, as Docker does.
pub fn show(
    names: &[String],
    format: Option<&str>,
    find: impl Fn(&str) -> Result<Value>,
) -> Result<u8> {
    let template = match format {
        None | Some("") | Some("json") => None,
        Some(text) => Some(Template::parse(text)?),
    };
    let (mut found, mut status) = (Vec::new(), 0);
    for name in names {
        match find(name) {
            Ok(document) => found.push(document),
            Err(failure) => {
                super::report(&failure);
                status = 1;
            }
        }
    }
    let text = match (&template, format) {
        (Some(template), _) => {
            let lines = found.iter().map(|one| Ok(harmless(template.render(one)?) + "\n"));
            lines.collect::<Result<String>>()?
        }
        (None, Some("json")) => Value::Array(found).to_string() + "\n",
        _ => pretty(&Value::Array(found))?,
    };
    super::print(&text)?;
    Ok(status)
}

/// What an image says is not to control a terminal; a program gets it as it is.
fn harmless(text: String) -> String {
    if !io::stdout().is_terminal() {
        return text;
    }
    let lines: Vec<String> = text.split('\n').map(format::printable).collect();
    lines.join("\n")
}

fn pretty(value: &Value) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    Ok(text.map_err(|e| Failure::cannot("write JSON", e))? + "\n")
}

/// Docker's document, and under `Mvm` what is ours.
pub fn document(image: &Details) -> Value {
    let config = &image.config;
    let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    let layers: Vec<String> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let stored = |layer: &crate::image::LayerDetails| {
        json!({
            "DiffID": layer.diff_id.to_string(),
            "Blob": layer.blob.as_ref().map(ToString::to_string),
            "BlobSize": layer.blob_bytes,
            "DiskImage": layer.path,
            "DiskImageSize": layer.bytes,
        })
    };
    let mut document = json!({
        "Id": image.id.to_string(),
        "RepoTags": image.tags,
        "RepoDigests": image.digests,
        "Parent": "",
        "Comment": comment(config),
        "Created": text("created"),
        "Author": text("author"),
        "Config": config["config"],
        "Architecture": text("architecture"),
        "Variant": text("variant"),
        "Os": text("os"),
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": layers},
        "Descriptor": {
            "mediaType": image.media_type,
            "digest": image.manifest.to_string(),
            "size": image.manifest_bytes,
        },
        "Mvm": {"Layers": image.layers.iter().map(stored).collect::<Vec<_>>()},
    });
    if text("variant").is_empty()
        && let Some(document) = document.as_object_mut()
    {
        document.shift_remove("Variant");
    }
    document
}

fn comment(config: &Value) -> &str {
    let last = config["history"].as_array().and_then(|steps| steps.last());
    last.and_then(|step| step["comment"].as_str()).unwrap_or_default()
}

/// A step of the history; a step without a layer has no size.
struct Step {
    id: String,
    created: Option<u64>,
    by: String,
    size: u64,
    comment: String,
}

pub fn history(dirs: &Dirs, args: &HistoryArgs) -> Result<u8> {
    let output = args.list.output()?;
    let details = Store::open(&dirs.data)?.details(&args.image)?;
    let steps = steps(&details, args.list.no_trunc);
    let text = if args.list.quiet {
        steps.iter().map(|step| step.id.clone() + "\n").collect()
    } else {
        let header = ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"];
        let cells = |step: &Step| {
            vec![
                step.id.clone(),
                step.created.map_or_else(|| "N/A".into(), format::ago),
                step.by.clone(),
                format::size(step.size),
                step.comment.clone(),
            ]
        };
        let row = |step: &Step| {
            json!({"id": step.id, "created_ms": step.created, "created_by": step.by,
                "size": step.size, "comment": step.comment})
        };
        let heads = [
            ("ID", "IMAGE"),
            ("CreatedSince", "CREATED"),
            ("CreatedBy", "CREATED BY"),
            ("Size", "SIZE"),
            ("Comment", "COMMENT"),
            ("CreatedAt", "CREATED AT"),
        ];
        let fields = |step: &Step| {
            let mut fields = cells(step);
            fields.push(step.created.map_or_else(|| "N/A".into(), format::date));
            fields
        };
        output.render(&steps, (&header, cells), steps.iter().map(row), (&heads, fields))?
    };
    super::print(&text)?;
    Ok(0)
}

/// The last step first, as Docker. What the steps say is of the image's maker.
fn steps(details: &Details, whole: bool) -> Vec<Step> {
    const SHOWN: usize = 45;
    let mut layers = details.layers.iter();
    let mut steps = Vec::new();
    for step in details.config["history"].as_array().into_iter().flatten() {
        let text = |key: &str| format::printable(step[key].as_str().unwrap_or_default());
        let layer = match step["empty_layer"].as_bool() {
            Some(true) => None,
            _ => layers.next(),
        };
        let mut by = text("created_by");
        if !whole && by.chars().count() > SHOWN {
            by = by.chars().take(SHOWN - 1).collect::<String>() + "…";
        }
        steps.push(Step {
            id: "<missing>".into(),
            created: step["created"].as_str().and_then(format::parse_time),
            by,
            size: layer.map_or(0, |layer| layer.bytes),
            comment: text("comment"),
        });
    }
    steps.reverse();
    if let Some(first) = steps.first_mut() {
        first.id = match whole {
            true => details.id.to_string(),
            false => details.id.short().to_owned(),
        };
    }
    steps
}
