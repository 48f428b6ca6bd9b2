// SPDX-License-Identifier: Apache-2.0
//! `mvm images`

use clap::Args;
use serde::Serialize;

use super::format::{self, Format};
use crate::error::Result;
use crate::image::{ImageSummary, Store};
use crate::state::Dirs;

/// List images
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// IDs only
    #[arg(short, long)]
    quiet: bool,
    /// Do not shorten IDs
    #[arg(long)]
    no_trunc: bool,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// An image as a program reads it, one JSON object a line.
#[derive(Serialize)]
struct Row {
    id: String,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    platform: Option<String>,
    created: Option<String>,
    size: u64,
}

pub fn run(dirs: &Dirs, args: ImagesArgs) -> Result<u8> {
    let store = Store::open(&dirs.data)?;
    let images = store.images()?;
    let id = |image: &ImageSummary| match args.no_trunc {
        true => image.id.to_string(),
        false => image.id.short().to_owned(),
    };
    let text = if args.quiet {
        images.iter().map(|image| id(image) + "\n").collect()
    } else if args.format == Format::Json {
        format::json_lines(&images.iter().map(row).collect::<Vec<_>>())?
    } else {
        let cells = |image: &ImageSummary| {
            vec![
                image.repository.clone().unwrap_or_else(|| "<none>".into()),
                tag(image).unwrap_or_else(|| "<none>".into()),
                id(image),
                created(image),
                format::size(image.size),
            ]
        };
        let header = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
        format::table(&header, &images.iter().map(cells).collect::<Vec<_>>())
    };
    super::print(&text)?;
    Ok(0)
}

fn row(image: &ImageSummary) -> Row {
    Row {
        id: image.id.to_string(),
        repository: image.repository.clone(),
        tag: tag(image),
        digest: image.repo_digest.as_ref().map(ToString::to_string),
        platform: image.platform.as_ref().map(ToString::to_string),
        created: image.created.clone(),
        size: image.size,
    }
}

fn tag(image: &ImageSummary) -> Option<String> {
    image.reference.as_ref()?.tag().map(str::to_owned)
}

/// The image's own word on its age; a date that is none is shown as unknown.
fn created(image: &ImageSummary) -> String {
    let when = image.created.as_deref().and_then(|c| humantime::parse_rfc3339_weak(c).ok());
    match when.and_then(|when| when.duration_since(std::time::UNIX_EPOCH).ok()) {
        Some(since) => format::ago(u64::try_from(since.as_millis()).unwrap_or_default()),
        None => "N/A".into(),
    }
}
