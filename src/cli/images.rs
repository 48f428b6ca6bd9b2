// SPDX-License-Identifier: Apache-2.0
//! `mvm images`

use clap::Args;
use serde::Serialize;

use super::filter::Filters;
use super::format::{self, ListArgs};
use crate::error::Result;
use crate::image::{ImageSummary, Store};
use crate::state::Dirs;

const NONE: &str = "<none>";

/// What a template may name, as with Docker.
const FIELDS: [(&str, &str); 12] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Platform", "PLATFORM"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// List images
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Only this repository, or this tag of it; * and ? stand for others
    #[arg(value_name = "REPOSITORY[:TAG]")]
    reference: Option<String>,
    /// All images; there are none that only others are built on
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    #[command(flatten)]
    list: ListArgs,
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
    let output = args.list.output()?;
    let mut filters = Filters::parse(&args.filter)?;
    filters.add_reference(args.reference.as_deref())?;
    let store = Store::open(&dirs.data)?;
    let mut images = filters.apply(&store, store.images()?)?;
    // The youngest first, as Docker.
    images.sort_by_cached_key(|image| std::cmp::Reverse(created_ms(image)));
    let shown = |image: &ImageSummary| id(image, args.list.no_trunc);
    let text = if args.list.quiet {
        images.iter().map(|image| shown(image) + "\n").collect()
    } else {
        let mut header = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
        if args.digests {
            header.insert(2, "DIGEST");
        }
        let cells = |image: &ImageSummary| {
            let mut cells = vec![
                image.repository.clone().unwrap_or_else(|| NONE.into()),
                tag(image).unwrap_or_else(|| NONE.into()),
                shown(image),
                created(image),
                format::size(image.size),
            ];
            if args.digests {
                cells.insert(2, digest(image));
            }
            cells
        };
        let fields = |image: &ImageSummary| fields(image, shown(image));
        output.render(&images, (&header, cells), images.iter().map(row), (&FIELDS, fields))?
    };
    super::print(&text)?;
    Ok(0)
}

fn id(image: &ImageSummary, whole: bool) -> String {
    match whole {
        true => image.id.to_string(),
        false => image.id.short().to_owned(),
    }
}

fn fields(image: &ImageSummary, id: String) -> Vec<String> {
    let absent = || "N/A".to_owned();
    vec![
        image.repository.clone().unwrap_or_else(|| NONE.into()),
        tag(image).unwrap_or_else(|| NONE.into()),
        digest(image),
        id,
        created(image),
        created_ms(image).map_or_else(absent, format::date),
        format::size(image.size),
        image.platform.as_ref().map_or_else(absent, ToString::to_string),
        absent(),
        absent(),
        absent(),
        format::size(image.size),
    ]
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

fn digest(image: &ImageSummary) -> String {
    image.repo_digest.as_ref().map_or_else(|| NONE.into(), ToString::to_string)
}

fn tag(image: &ImageSummary) -> Option<String> {
    image.reference.as_ref()?.tag().map(str::to_owned)
}

pub fn created_ms(image: &ImageSummary) -> Option<u64> {
    format::parse_time(image.created.as_deref()?)
}

/// The image's own word on its age; a date that is none is shown as unknown.
pub fn created(image: &ImageSummary) -> String {
    created_ms(image).map_or_else(|| "N/A".into(), format::ago)
}
