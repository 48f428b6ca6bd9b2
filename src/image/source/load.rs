// SPDX-License-Identifier: Apache-2.0
//! From a local source to images of the store: open it, choose, verify, and
//! take the same way from there as a pull does.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::sync::Arc;

use tokio::task;

use super::archive::Archive;
use super::files::{Blobs, Files, blob_name, missing, printable, read_blob};
use super::layout::Layout;
use super::name::{Kind, LocalSource};
use super::rootfs::Rootfs;
use super::{SourceError, docker, oci};
use crate::image::config::ConfigDocument;
use crate::image::error::{Error, IoContext, Result};
use crate::image::manifest::Manifest;
use crate::image::platform::Platform;
use crate::image::pull::{Origin, PullOptions, Ready};
use crate::image::reference::Reference;
use crate::image::registry::RawManifest;
use crate::image::store::{Image, Store};

/// How to take images from a source.
#[derive(Clone, Default)]
pub struct LoadOptions {
    /// Platform, limits, and who is told. The rest is about registries.
    pub pull: PullOptions,
    /// Without a platform in `pull`, take an image for any; else it must be one
    /// for this machine.
    pub any_platform: bool,
    /// What an archive may hold.
    pub archive: super::archive::ArchiveLimits,
}

/// An image that came from a source.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// As it is in the store.
    pub image: Image,
    /// The names that it got from the source.
    pub names: Vec<Reference>,
    /// Whether anything changed in the store.
    pub new: bool,
}

/// What is in an opened source.
enum Contents {
    Oci(Arc<dyn Files>, Vec<oci::Listed>),
    Docker(Arc<Archive>, Vec<docker::Listed>),
    Dir(Arc<Rootfs>),
}

/// An image whose manifest is read.
struct Chosen {
    raw: RawManifest,
    manifest: Manifest,
    platform: Option<Platform>,
    blobs: Blobs,
    names: Vec<Reference>,
}

impl Chosen {
    fn of(made: docker::Made, files: Arc<dyn Files>, names: Vec<Reference>) -> Self {
        let blobs = Blobs { files, names: made.names };
        Self { raw: made.raw, manifest: made.manifest, platform: None, blobs, names }
    }
}

impl Store {
    /// Takes one image from a source; it gets the names it has there.
    ///
    /// Dropped before its end, or killed, it leaves the store as a pull does.
    pub async fn load_one(&self, source: &LocalSource, options: &LoadOptions) -> Result<Loaded> {
        self.prepare()?;
        self.prepare()?;
        let _lease = self.lease()?;
        let contents = self.open_source(source, options).await?;
        let at = contents.choose(source)?;
        self.take(contents, at, options).await
    }

    /// Takes all images of a source, and tells of each when it is in the store.
    pub async fn load_all(
        &self,
        source: &LocalSource,
        options: &LoadOptions,
        mut tell: impl FnMut(&Loaded),
    ) -> Result<()> {
        self.prepare()?;
        self.prepare()?;
        // What it brings is not collected before it has a name.
        let _lease = self.lease()?;
        let contents = Arc::new(self.open_source(source, options).await?);
        if contents.len() == 0 {
            return Err(contents.no_image(source));
        }
        for at in 0..contents.len() {
            tell(&self.take_shared(&contents, at, options).await?);
        }
        Ok(())
    }

    async fn open_source(&self, source: &LocalSource, options: &LoadOptions) -> Result<Contents> {
        let (store, source, options) = (self.clone(), source.clone(), options.clone());
        blocking(move || open(&store, &source, &options)).await
    }

    async fn take(&self, contents: Contents, at: usize, options: &LoadOptions) -> Result<Loaded> {
        self.take_shared(&Arc::new(contents), at, options).await
    }

    async fn take_shared(
        &self,
        contents: &Arc<Contents>,
        at: usize,
        options: &LoadOptions,
    ) -> Result<Loaded> {
        let (shared, of_worker) = (contents.clone(), options.clone());
        let chosen = blocking(move || shared.manifest(at, &of_worker)).await?;
        let files = chosen.blobs.files.clone();
        let label = files.source_name().to_owned();
        let blob = &chosen.manifest.config;
        let name = chosen.blobs.names.get(&blob.digest).cloned();
        let name = name.unwrap_or_else(|| blob_name(&blob.digest));
        let config_body = read_blob(&*files, &name, blob, options.pull.limits.config_bytes)?;
        let config = ConfigDocument::parse(&config_body, chosen.manifest.layers.len())
            .map_err(|source| Error::Config { reference: label.as_str().into(), source })?;
        let mut pull = options.pull.clone();
        if options.any_platform && pull.platform.is_none() {
            pull.platform = Some(config.platform.clone());
        }
        let ready = Ready {
            label: &label,
            references: &chosen.names,
            raw: &chosen.raw,
            manifest: &chosen.manifest,
            platform: chosen.platform,
            repo_digest: None,
            config: &config,
            config_body: &config_body,
        };
        let new = self.complete(ready, &Origin::Local(Arc::new(chosen.blobs)), &pull).await;
        if new.is_err() {
            pull.progress.fail();
        }
        let new = new?;
        let image = self.find_manifest(&chosen.raw.digest)?;
        Ok(Loaded { image, names: chosen.names, new })
    }
}

fn open(store: &Store, source: &LocalSource, options: &LoadOptions) -> Result<Contents> {
    let (limits, progress) = (&options.pull.limits, &*options.pull.progress);
    let path = source.path.clone().unwrap_or_default();
    if source.kind == Kind::Dir {
        let platform = options.pull.platform.clone().unwrap_or_else(Platform::host);
        let name = source.to_string();
        let rootfs = Rootfs::pack(&path, name, store, &platform, limits, progress)?;
        return Ok(Contents::Dir(Arc::new(rootfs)));
    }
    if source.kind == Kind::Oci {
        let layout = Layout::open(path, source.to_string())?;
        let listed = oci::list(&layout, limits)?;
        return Ok(Contents::Oci(Arc::new(layout), listed));
    }
    let stream: Box<dyn Read> = match &source.path {
        None if io::stdin().is_terminal() => return Err(SourceError::Terminal.into()),
        None => Box::new(io::stdin().lock()),
        Some(path) => Box::new(open_archive(source, path)?),
    };
    let archive = Archive::read(stream, source.to_string(), store, &options.archive, progress)?;
    let kind = kind_of(&archive, source)?;
    let archive = Arc::new(archive);
    Ok(match kind {
        Kind::OciArchive => {
            let listed = oci::list(&*archive, limits)?;
            Contents::Oci(archive, listed)
        }
        _ => {
            let listed = docker::list(&archive, limits)?;
            Contents::Docker(archive, listed)
        }
    })
}

/// By what is in it; a layout is preferred, since it has the manifest as well.
fn kind_of(archive: &Archive, source: &LocalSource) -> Result<Kind> {
    let has = |name| archive.facts(name).map(|facts| facts.is_some());
    let (is, instead) = match (source.kind, has("index.json")?, has("manifest.json")?) {
        (Kind::Archive | Kind::OciArchive, true, _) => return Ok(Kind::OciArchive),
        (Kind::Archive | Kind::DockerArchive, _, true) => return Ok(Kind::DockerArchive),
        (_, true, _) => ("has no manifest.json", "it is an OCI archive: oci-archive:FILE"),
        (_, _, true) => ("has no index.json", "it is of docker save: docker-archive:FILE"),
        _ => (
            "is no archive of images",
            "one has an index.json (OCI) or a manifest.json (docker save); \
             the tar of a root directory is to be unpacked and taken with dir:ROOTFS",
        ),
    };
    let (source_name, instead) = (source.to_string(), Some(instead.to_owned()));
    Err(SourceError::Kind { source_name, is, instead }.into())
}

fn open_archive(source: &LocalSource, path: &std::path::Path) -> Result<File> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(SourceError::Kind {
            source_name: source.to_string(),
            is: "is a directory",
            instead: Some("oci:DIR reads an image layout, dir:ROOTFS a root directory".into()),
        }
        .into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(SourceError::NoFile { path: path.to_owned() }.into())
        }
        _ => File::open(path).at("read", path),
    }
}

impl Contents {
    fn len(&self) -> usize {
        match self {
            Self::Oci(_, listed) => listed.len(),
            Self::Docker(_, listed) => listed.len(),
            Self::Dir(_) => 1,
        }
    }

    /// The position of the image that the source names, or of its only one.
    fn choose(&self, source: &LocalSource) -> Result<usize> {
        let Some(choice) = &source.choice else {
            return match self.len() {
                1 => Ok(0),
                0 => Err(self.no_image(source)),
                count => {
                    let (names, nameable) = (self.names(), source.kind != Kind::Archive);
                    let source_name = source.to_string();
                    Err(SourceError::Several { source_name, count, names, nameable }.into())
                }
            };
        };
        let position = choice.strip_prefix('@').and_then(|digits| digits.parse().ok());
        let found = match (position, self) {
            (Some(at), _) => Some(at).filter(|at| *at < self.len()),
            (None, Self::Oci(_, listed)) => listed.iter().position(|l| l.answers_to(choice)),
            (None, Self::Docker(_, listed)) => listed.iter().position(|l| l.answers_to(choice)),
            (None, Self::Dir(_)) => None,
        };
        found.ok_or_else(|| self.no_image(source))
    }

    fn no_image(&self, source: &LocalSource) -> Error {
        let whole = LocalSource { choice: None, ..source.clone() };
        let name = source.choice.clone().unwrap_or_else(|| "at all".into());
        let source_name = whole.to_string();
        SourceError::NoImage { source_name, name, names: self.names() }.into()
    }

    /// What can be asked for, fit for a terminal.
    fn names(&self) -> Vec<String> {
        let all: Vec<&String> = match self {
            Self::Oci(_, listed) => listed.iter().filter_map(|l| l.names.first()).collect(),
            Self::Docker(_, listed) => listed.iter().flat_map(|l| l.names()).collect(),
            Self::Dir(_) => Vec::new(),
        };
        all.into_iter().map(|name| printable(name)).collect()
    }

    fn manifest(&self, at: usize, options: &LoadOptions) -> Result<Chosen> {
        let limits = &options.pull.limits;
        let wanted = options.pull.platform.clone().unwrap_or_else(Platform::host);
        let gone = |files: &dyn Files| missing(files, "such image");
        match self {
            Self::Oci(files, listed) => {
                let listed = listed.get(at).ok_or_else(|| gone(&**files))?;
                let (raw, manifest, platform) = listed.manifest(&**files, &wanted, limits)?;
                let blobs = Blobs { files: files.clone(), names: Default::default() };
                let names = listed.reference.iter().cloned().collect();
                Ok(Chosen { raw, manifest, platform, blobs, names })
            }
            Self::Docker(archive, listed) => {
                let listed = listed.get(at).ok_or_else(|| gone(&**archive))?;
                let names = listed.names().iter().filter_map(|name| name.parse().ok()).collect();
                Ok(Chosen::of(listed.manifest(archive, limits)?, archive.clone(), names))
            }
            Self::Dir(rootfs) => Ok(Chosen::of(rootfs.manifest()?, rootfs.clone(), Vec::new())),
        }
    }
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Worker(error.to_string())))
}
