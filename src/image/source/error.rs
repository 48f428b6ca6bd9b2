// SPDX-License-Identifier: Apache-2.0
//! Why a local source of images cannot be used. A message is a lower-case
//! fragment; [`SourceError::hint`] says what to do about it.

use std::path::PathBuf;

/// The sources there are, for a hint.
const KNOWN: &str = "an image comes from a registry (NAME), oci:DIR[:TAG], oci-archive:FILE[:NAME], \
                     docker-archive:FILE[:NAME], dir:ROOTFS, or - for an archive on stdin";
/// Names listed in a hint.
const LISTED: usize = 10;

/// What is wrong with a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A transport of other tools.
    #[error("images of {0} cannot be read")]
    Transport(String),
    /// Nothing behind the colon.
    #[error("{0} names no file or directory")]
    NoPath(String),
    /// No file of that name.
    #[error("{path} does not exist")]
    NoFile {
        /// As given, a tag perhaps behind it.
        path: PathBuf,
    },
    /// Another kind of thing than the source's name says.
    #[error("{source_name} {is}")]
    Kind {
        /// The source.
        source_name: String,
        /// What it is, as a predicate.
        is: &'static str,
        /// What to write in place of it.
        instead: Option<String>,
    },
    /// Nobody types an archive.
    #[error("stdin is a terminal, and not an archive")]
    Terminal,
    /// The archive, or a document in it, is not as it should be.
    #[error("{source_name} is damaged: {detail}")]
    Damaged {
        /// The source.
        source_name: String,
        /// In which way.
        detail: String,
    },
    /// Something that no layer can hold.
    #[error("{source_name} cannot be an image: {detail}")]
    Unfit {
        /// The source.
        source_name: String,
        /// What it is.
        detail: String,
    },
    /// What another part of it refers to.
    #[error("{source_name} has no {what}")]
    Missing {
        /// The source.
        source_name: String,
        /// The name of the file.
        what: String,
    },
    /// A file whose bytes are not what the digest names.
    #[error("{what} in {source_name} has the wrong digest: {actual}, expected {expected}")]
    Digest {
        /// The source.
        source_name: String,
        /// The name of the file.
        what: String,
        /// What its descriptor says.
        expected: String,
        /// What it is.
        actual: String,
    },
    /// A file of another size than its descriptor says.
    #[error("{what} in {source_name} has {actual} bytes, expected {expected}")]
    Size {
        /// The source.
        source_name: String,
        /// The name of the file.
        what: String,
        /// What its descriptor says.
        expected: u64,
        /// What it has.
        actual: u64,
    },
    /// More of something than is taken.
    #[error("{source_name} has more than {max} {what}")]
    Limit {
        /// The source.
        source_name: String,
        /// What, in the plural.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// Not the image that was asked for.
    #[error("{source_name} has no image {name}")]
    NoImage {
        /// The source.
        source_name: String,
        /// As asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// Which one?
    #[error("{source_name} has {count} images")]
    Several {
        /// The source.
        source_name: String,
        /// How many.
        count: usize,
        /// What they are called.
        names: Vec<String>,
        /// Whether one can be asked for by name.
        nameable: bool,
    },
    /// It was not written again, since the store had it, and turned out damaged.
    #[error("{what} was damaged in the store, and is removed from it")]
    Lost {
        /// The name of the file.
        what: String,
    },
    /// What a file system of this host cannot tell.
    #[error("a root directory cannot be read on this system")]
    Unsupported,
}

impl SourceError {
    /// What the user can do, if there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Transport(_) | Self::NoPath(_) => KNOWN.into(),
            Self::NoFile { .. } => "check the path; a tag comes after it, as in oci:DIR:TAG".into(),
            Self::Kind { instead, .. } => return instead.clone(),
            Self::Terminal => "redirect it: mvm run - COMMAND <FILE, or SAVER | mvm load".into(),
            Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Digest { .. }
            | Self::Size { .. } => {
                "save or copy the image again; nothing of it was recorded".into()
            }
            Self::NoImage { names, .. } if names.is_empty() => "its images have no names".into(),
            Self::NoImage { names, .. } => format!("it has {}", listed(names)),
            Self::Several { nameable: false, .. } => {
                "take them all with `mvm load`, then name one".into()
            }
            Self::Several { names, .. } if names.is_empty() => {
                "choose by position: :@0 at the end is the first".into()
            }
            Self::Several { names, .. } => {
                format!("choose one by :NAME at the end; it has {}", listed(names))
            }
            Self::Lost { .. } => "load the image again".into(),
            Self::Unfit { .. } => "remove it, or take a copy of the directory without it".into(),
            Self::Limit { .. } => return None,
            Self::Unsupported => "pack it with tar and a tool that makes images of it".into(),
        })
    }
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", …" } else { "" };
    names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}
