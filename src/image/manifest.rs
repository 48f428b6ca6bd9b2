// SPDX-License-Identifier: Apache-2.0
//! Image manifests and indexes, OCI and Docker schema 2, reduced to what a pull
//! needs and checked on the way in. Everything a registry says passes here.

use serde::Deserialize;

use super::digest::Digest;
use super::platform::Platform;

/// Media types (OCI image-spec, media-types.md; Docker's image manifest,
/// version 2, schema 2).
pub mod media {
    pub const OCI_IMAGE_INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_IMAGE_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const IMAGE_MANIFEST_LIST_MEDIA_TYPE: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const IMAGE_MANIFEST_MEDIA_TYPE: &str =
        "application/vnd.docker.distribution.manifest.v2+json";
    pub const IMAGE_CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
    pub const IMAGE_DOCKER_CONFIG_MEDIA_TYPE: &str =
        "application/vnd.docker.container.image.v1+json";
    pub const IMAGE_LAYER_MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const IMAGE_LAYER_GZIP_MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE: &str =
        "application/vnd.docker.image.rootfs.diff.tar";
    pub const IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE: &str =
        "application/vnd.docker.image.rootfs.diff.tar.gzip";
}

/// Docker's layer type with zstd: never registered, but pushed by its tools.
const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// Media types asked for, in the order of preference.
pub const ACCEPTED: [&str; 4] = [
    media::OCI_IMAGE_INDEX_MEDIA_TYPE,
    media::OCI_IMAGE_MEDIA_TYPE,
    media::IMAGE_MANIFEST_LIST_MEDIA_TYPE,
    media::IMAGE_MANIFEST_MEDIA_TYPE,
];

/// A pointer to a blob: what it is, how large, and its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A manifest of one image.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The media type it was served as.
    pub media_type: &'static str,
    /// The image configuration.
    pub config: Blob,
    /// The layers as they are transferred, bottom first.
    pub layers: Vec<Blob>,
}

/// An entry of an index.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The manifest it stands for.
    pub manifest: Blob,
    /// What it runs on, if it says so.
    pub platform: Option<Platform>,
}

/// What a reference can lead to.
#[derive(Clone, Debug)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// A choice of images.
    Index(Vec<Offer>),
}

/// Why a manifest cannot be used. The messages follow "the manifest of X".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON it should be.
    #[error("is not valid: {0}")]
    Json(String),
    /// Another document type.
    #[error("has the media type {0:?}, which is not an image")]
    MediaType(String),
    /// Docker's manifests from before 2016.
    #[error("is in Docker's schema 1 format, which is no longer supported")]
    Schema1,
    /// Not the version the specification knows.
    #[error("has schema version {0}; only 2 is known")]
    SchemaVersion(u64),
    /// Header and body disagree, or it is manifest and index at once.
    #[error("is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// An artifact: a chart, a signature, a WASM module, …
    #[error("describes an artifact of type {0:?}, not a container image")]
    Artifact(String),
    /// A layer whose format is not known.
    #[error("has a layer of the unknown type {0:?}")]
    LayerType(String),
    /// A layer that only its vendor may distribute.
    #[error("has a foreign layer ({0}), which registries do not carry")]
    ForeignLayer(String),
    /// A descriptor with an impossible size or digest.
    #[error("has a bad descriptor: {0}")]
    Descriptor(String),
    /// Over the limit.
    #[error("has {0} layers; the most is {1}")]
    TooManyLayers(usize, usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    // Schema 1 is recognized by these.
    fs_layers: Option<serde::de::IgnoredAny>,
    signatures: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: i64,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl RawDescriptor {
    fn blob(&self) -> Result<Blob, ManifestError> {
        let digest = self
            .digest
            .parse()
            .map_err(|error| ManifestError::Descriptor(format!("{:?}: {error}", self.digest)))?;
        let size = u64::try_from(self.size)
            .map_err(|_| ManifestError::Descriptor(format!("{} bytes", self.size)))?;
        Ok(Blob { digest, size })
    }
}

impl Document {
    /// Reads a manifest or index that was served as `content_type`, if the
    /// server said what it was. `max_layers` bounds a manifest's layers.
    pub fn parse(
        body: &[u8],
        content_type: Option<&str>,
        max_layers: usize,
    ) -> Result<Self, ManifestError> {
        if content_type.is_some_and(|t| t.starts_with(DOCKER_SCHEMA_1)) {
            return Err(ManifestError::Schema1);
        }
        let raw: Raw =
            serde_json::from_slice(body).map_err(|error| ManifestError::Json(error.to_string()))?;
        if raw.schema_version == 1 || raw.fs_layers.is_some() || raw.signatures.is_some() {
            return Err(ManifestError::Schema1);
        }
        if raw.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(raw.schema_version));
        }
        let media_type = media_type(&raw, content_type)?;
        // The two kinds share no field, so a document with both was made to be
        // read one way by one tool and another way by the next (CVE-2021-41190).
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) if is_index(media_type) => {
                let offers = manifests.iter().map(offer).collect::<Result<_, _>>()?;
                Ok(Self::Index(offers))
            }
            (None, Some(config), Some(layers)) if !is_index(media_type) => {
                if config.media_type != media::IMAGE_CONFIG_MEDIA_TYPE
                    && config.media_type != media::IMAGE_DOCKER_CONFIG_MEDIA_TYPE
                {
                    let kind = raw.artifact_type.unwrap_or(config.media_type);
                    return Err(ManifestError::Artifact(cut(&kind)));
                }
                if layers.len() > max_layers {
                    return Err(ManifestError::TooManyLayers(layers.len(), max_layers));
                }
                let layers = layers.iter().map(layer).collect::<Result<_, _>>()?;
                Ok(Self::Manifest(Manifest { media_type, config: config.blob()?, layers }))
            }
            (None, None, _) | (None, _, None) => {
                Err(ManifestError::Json("neither an image manifest nor an index".into()))
            }
            _ => Err(ManifestError::Ambiguous("it is a manifest and an index at once")),
        }
    }
}

fn is_index(media_type: &str) -> bool {
    media_type == media::OCI_IMAGE_INDEX_MEDIA_TYPE
        || media_type == media::IMAGE_MANIFEST_LIST_MEDIA_TYPE
}

/// The media type, by the body, else the header, else (the field is optional in
/// OCI, and static file servers know no types) by what the document contains.
fn media_type(raw: &Raw, content_type: Option<&str>) -> Result<&'static str, ManifestError> {
    let known = |name: &str| ACCEPTED.into_iter().find(|accepted| *accepted == name);
    let header =
        content_type.map(|value| value.split(';').next().unwrap_or(value).trim()).filter(|name| {
            !matches!(*name, "" | "application/json" | "text/plain" | "application/octet-stream")
        });
    match (raw.media_type.as_deref(), header) {
        (Some(body), Some(header)) if body != header => {
            Err(ManifestError::Ambiguous("its media type is not the one it was served as"))
        }
        (Some(name), _) | (None, Some(name)) => {
            known(name).ok_or_else(|| ManifestError::MediaType(cut(name)))
        }
        (None, None) if raw.manifests.is_some() => Ok(media::OCI_IMAGE_INDEX_MEDIA_TYPE),
        (None, None) => Ok(media::OCI_IMAGE_MEDIA_TYPE),
    }
}

fn offer(raw: &RawDescriptor) -> Result<Offer, ManifestError> {
    let platform = raw.platform.as_ref().map(|platform| {
        Platform {
            os: cut(&platform.os),
            architecture: cut(&platform.architecture),
            variant: platform.variant.as_deref().map(cut),
        }
        .normalized()
    });
    Ok(Offer { manifest: raw.blob()?, platform })
}

fn layer(raw: &RawDescriptor) -> Result<Blob, ManifestError> {
    match raw.media_type.as_str() {
        media::IMAGE_LAYER_MEDIA_TYPE
        | media::IMAGE_LAYER_GZIP_MEDIA_TYPE
        | OCI_LAYER_ZSTD
        | media::IMAGE_DOCKER_LAYER_TAR_MEDIA_TYPE
        | media::IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE
        | DOCKER_LAYER_ZSTD => raw.blob(),
        foreign if foreign.contains(".nondistributable.") || foreign.contains(".foreign.") => {
            Err(ManifestError::ForeignLayer(cut(foreign)))
        }
        other => Err(ManifestError::LayerType(cut(other))),
    }
}

/// Keeps a hostile string out of the terminal's way.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(config_type: &str, layer_type: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"sha256:{HEX}","size":2}},
            "layers":[{{"mediaType":"{layer_type}","digest":"sha256:{HEX}","size":7}}]}}"#
        )
    }

    fn parse(body: &str, content_type: Option<&str>) -> Result<Document, ManifestError> {
        Document::parse(body.as_bytes(), content_type, 127)
    }

    #[test]
    fn reads_both_families() {
        for (config, layer, kind) in [
            (media::IMAGE_CONFIG_MEDIA_TYPE, OCI_LAYER_ZSTD, media::OCI_IMAGE_MEDIA_TYPE),
            (
                media::IMAGE_DOCKER_CONFIG_MEDIA_TYPE,
                media::IMAGE_DOCKER_LAYER_GZIP_MEDIA_TYPE,
                media::IMAGE_MANIFEST_MEDIA_TYPE,
            ),
        ] {
            let body = manifest(config, layer);
            let Document::Manifest(read) = parse(&body, Some(kind)).unwrap() else { panic!() };
            assert_eq!((read.media_type, read.layers[0].size), (kind, 7));
            assert!(parse(&body, None).is_ok(), "without a header the fields decide");
            assert!(parse(&body, Some("application/json; charset=utf-8")).is_ok());
        }
    }

    #[test]
    fn reads_an_index() {
        let body = format!(
            r#"{{"schemaVersion":2,"manifests":[
            {{"mediaType":"x","digest":"sha256:{HEX}","size":5,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}}}},
            {{"mediaType":"x","digest":"sha256:{HEX}","size":5}}]}}"#
        );
        let Document::Index(offers) = parse(&body, None).unwrap() else { panic!() };
        assert_eq!(offers[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
        assert!(offers[1].platform.is_none());
    }

    #[test]
    fn refuses_everything_else_by_name() {
        let image = manifest(media::IMAGE_CONFIG_MEDIA_TYPE, media::IMAGE_LAYER_MEDIA_TYPE);
        let refused = |body: &str, kind: Option<&str>| parse(body, kind).unwrap_err();
        assert_eq!(refused(r#"{"schemaVersion":1,"fsLayers":[]}"#, None), ManifestError::Schema1);
        assert_eq!(
            refused("x", Some("application/vnd.docker.distribution.manifest.v1+prettyjws")),
            ManifestError::Schema1
        );
        assert_eq!(refused(r#"{"schemaVersion":3}"#, None), ManifestError::SchemaVersion(3));
        assert!(matches!(refused("{", None), ManifestError::Json(_)));
        assert!(matches!(refused(r#"{"schemaVersion":2}"#, None), ManifestError::Json(_)));
        assert!(matches!(refused(&image, Some("text/html")), ManifestError::MediaType(_)));
        assert!(matches!(
            refused(&image, Some(media::OCI_IMAGE_INDEX_MEDIA_TYPE)),
            ManifestError::Ambiguous(_)
        ));
        let both = image.replacen('{', r#"{"manifests":[],"#, 1);
        assert!(matches!(refused(&both, None), ManifestError::Ambiguous(_)));
        let chart = manifest("application/vnd.cncf.helm.config.v1+json", "x");
        assert!(matches!(refused(&chart, None), ManifestError::Artifact(_)));
        let foreign = manifest(
            media::IMAGE_CONFIG_MEDIA_TYPE,
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        );
        assert!(matches!(refused(&foreign, None), ManifestError::ForeignLayer(_)));
        let unknown = manifest(media::IMAGE_CONFIG_MEDIA_TYPE, "application/x-7z");
        assert!(matches!(refused(&unknown, None), ManifestError::LayerType(_)));
        assert!(matches!(
            refused(&image.replace("\"size\":7", "\"size\":-7"), None),
            ManifestError::Descriptor(_)
        ));
        assert!(matches!(
            refused(&image.replace("e3b0", "../x"), None),
            ManifestError::Descriptor(_)
        ));
        assert_eq!(
            Document::parse(image.as_bytes(), None, 0).unwrap_err(),
            ManifestError::TooManyLayers(1, 0)
        );
    }
}
