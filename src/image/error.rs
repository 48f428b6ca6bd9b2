// SPDX-License-Identifier: Apache-2.0
//! Everything that can keep an image from being found, pulled or stored. A
//! message is a lower-case fragment; [`Error::hint`] says what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use super::config::ConfigError;
use super::digest::Digest;
use super::layer::LayerError;
use super::manifest::ManifestError;
use super::platform::Platform;
use super::reference::{Reference, ReferenceError};
use super::source::SourceError;

/// The result of an image operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image operation failed. The larger parts are boxed, since a `Result`
/// is passed on far more often than it is an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name breaks the grammar.
    #[error(transparent)]
    Reference(#[from] ReferenceError),

    /// Not in the store, and not to be pulled.
    #[error("no such image: {0}")]
    NotLocal(String, Option<String>),
    /// A prefix fits several image IDs.
    #[error("image ID {prefix} is ambiguous: it fits {count} images")]
    Ambiguous {
        /// As given.
        prefix: String,
        /// How many images it fits.
        count: usize,
    },
    /// Removing it would take what a VM uses.
    #[error("image {image} ({id}) is in use by VM {user}")]
    InUse {
        /// As it was asked for.
        image: String,
        /// The start of its ID.
        id: String,
        /// The VM's name.
        user: String,
    },
    /// An ID that stands for names in several repositories.
    #[error("image {image} is referenced in {count} repositories")]
    Referenced {
        /// As it was asked for.
        image: String,
        /// In how many.
        count: usize,
    },
    /// In the store, but parts of it are gone.
    #[error("image {image} is incomplete in the store: {missing} is missing or damaged")]
    Incomplete {
        /// As it was asked for.
        image: String,
        /// The first part found wrong.
        missing: String,
    },
    /// The store was written by something this version does not understand.
    #[error("cannot use the image store at {path}: {detail}")]
    Store {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file or directory of the store.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// A verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },

    /// The registry does not know the image.
    #[error("image {0} not found in the registry")]
    NotFound(Box<Reference>),
    /// The registry wants credentials, or others.
    #[error("access to {reference} denied by the registry{}", because(.reason))]
    Unauthorized {
        /// What was asked for.
        reference: Box<Reference>,
        /// Whether credentials were sent.
        authenticated: bool,
        /// The registry's own words.
        reason: Option<String>,
    },
    /// User name and password are not right.
    #[error("registry {registry} refuses the login{}", because(.reason))]
    LoginRefused {
        /// The registry.
        registry: String,
        /// Its own words.
        reason: Option<String>,
    },
    /// A login that this program cannot do, or will not.
    #[error("registry {registry} asks for a login {detail}")]
    Login {
        /// The registry.
        registry: String,
        /// Of which kind.
        detail: String,
    },
    /// The file with credentials.
    #[error("cannot use the credentials in {path}: {detail}")]
    Credentials {
        /// Docker's configuration file, or another tool's.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The program that keeps credentials.
    #[error("the credential helper {program} {detail}")]
    Helper {
        /// `docker-credential-NAME`.
        program: String,
        /// What it did.
        detail: String,
    },
    /// A `registries.conf`.
    #[error("cannot use {path}: {detail}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The settings forbid it.
    #[error("{0} is blocked by the settings of its registry")]
    Blocked(String),
    /// A variable that names a proxy.
    #[error("the proxy in {0} is not a valid URL")]
    Proxy(String),
    /// No connection.
    #[error("cannot connect to registry {registry}: {detail}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// The system's words.
        detail: String,
    },
    /// A connection, but no trust.
    #[error("no secure connection to registry {registry}: {detail}")]
    Tls {
        /// The registry.
        registry: String,
        /// The TLS library's words.
        detail: String,
    },
    /// Silence.
    #[error("registry {0} did not answer in time")]
    Timeout(String),
    /// Status 429.
    #[error("registry {registry} refuses more requests for now")]
    TooManyRequests {
        /// The registry.
        registry: String,
        /// Its `Retry-After`, if it sent one.
        retry_after: Option<String>,
    },
    /// A redirect that leads nowhere, or where it must not.
    #[error("registry {registry} redirects {detail}")]
    Redirect {
        /// The registry.
        registry: String,
        /// In which way.
        detail: String,
    },
    /// Any other bad answer.
    #[error("registry {registry} answered {detail}")]
    Protocol {
        /// The registry.
        registry: String,
        /// What it answered.
        detail: String,
    },
    /// A page for people in place of a document.
    #[error("registry {registry} answered with a web page")]
    WebPage {
        /// The registry.
        registry: String,
    },
    /// The connection ended early, or the blob did.
    #[error("{what} from registry {registry} is cut off: {got} of {expected} bytes")]
    Truncated {
        /// The registry.
        registry: String,
        /// Which blob.
        what: String,
        /// The size in the descriptor.
        expected: u64,
        /// Bytes received.
        got: u64,
    },
    /// Another size than the descriptor's.
    #[error("{what} from registry {registry} has the wrong size: {got}, expected {expected} bytes")]
    WrongSize {
        /// The registry.
        registry: String,
        /// Which blob.
        what: String,
        /// The size in the descriptor.
        expected: u64,
        /// What the registry announced, or "more than" it.
        got: String,
    },
    /// The bytes are not what the digest names.
    #[error("{what} from registry {registry} has the wrong digest: {actual}, expected {expected}")]
    WrongDigest {
        /// The registry.
        registry: String,
        /// Which blob.
        what: String,
        /// The digest asked for.
        expected: String,
        /// The digest of what came.
        actual: String,
    },
    /// Over a limit of this program.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Which document or layer.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },

    /// The manifest or index.
    #[error("the manifest of {reference} {source}")]
    Manifest {
        /// The image.
        reference: Box<str>,
        /// Why.
        source: ManifestError,
    },
    /// The image configuration.
    #[error("the configuration of {reference} {source}")]
    Config {
        /// The image.
        reference: Box<str>,
        /// Why.
        source: ConfigError,
    },
    /// The image is for other machines.
    #[error("image {reference} has no {wanted} variant")]
    NoPlatform {
        /// The image.
        reference: Box<str>,
        /// What was asked for.
        wanted: Box<Platform>,
        /// What there is.
        available: Vec<Platform>,
    },
    /// The layer does not decompress.
    #[error("layer {layer} cannot be decompressed: {detail}")]
    Decompress {
        /// The compressed blob.
        layer: Digest,
        /// The decompressor's words.
        detail: String,
    },
    /// The layer's tar is not the one the configuration names.
    #[error("layer {layer} has the wrong diff ID: {actual}, expected {expected}")]
    WrongDiffId {
        /// The compressed blob.
        layer: Digest,
        /// In the configuration.
        expected: Digest,
        /// Of the tar.
        actual: Digest,
    },
    /// The layer's tar cannot become a disk image.
    #[error("layer {layer}: {source}")]
    Layer {
        /// The compressed blob.
        layer: Digest,
        /// Why.
        source: LayerError,
    },
    /// A file or directory with images.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The pull was given up before its end.
    #[error("the pull was interrupted")]
    Interrupted,
    /// A worker ended without saying why: a defect of mvm or its libraries.
    #[error("a pull worker failed unexpectedly: {0}")]
    Worker(String),
}

/// For a layer over a limit that the user may raise.
const RAISE: &str = "for an image that you trust, raise max-layer-gib or max-layer-entries in config.toml, \
                     under [images]";

impl Error {
    /// Whether the disk with the store has no room.
    pub(super) fn is_full_disk(&self) -> bool {
        let (Self::Io { source, .. } | Self::Layer { source: LayerError::Write(source), .. }) =
            self
        else {
            return false;
        };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// What the user can do, if there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Reference(error) => return error.hint(),
            Self::Source(error) => return error.hint(),
            Self::NotLocal(_, Some(near)) => format!("did you mean {near}?"),
            Self::NotLocal(name, None) => format!("get it with `mvm pull {name}`"),
            Self::Ambiguous { .. } => "give more digits of the ID".into(),
            Self::InUse { user, .. } => {
                format!("remove the VM first (mvm rm {user}), or force it with -f: the VM keeps its disks")
            }
            Self::Referenced { .. } => "name one of its tags, or remove them all with -f".into(),
            Self::Incomplete { image, .. } => format!("repair it with `mvm pull {image}`"),
            Self::Io { path, source, .. } => return io_hint(path, source),
            Self::Layer { source: LayerError::Write(source), .. } => {
                return io_hint(Path::new("the image store"), source);
            }
            Self::Layer {
                source: LayerError::Limit { what: "entries" | "bytes of file data", .. },
                ..
            } => RAISE.into(),
            Self::TooLarge { what, .. } if what.starts_with("layer ") => RAISE.into(),
            Self::NotFound(_) => "check the name and the tag".into(),
            Self::Unauthorized { reference, authenticated: false, .. } => format!(
                "check the name; if the repository is private, log in with `mvm login {}`",
                reference.registry()
            ),
            Self::Unauthorized { reference, authenticated: true, .. } => format!(
                "check the name, or log in again with `mvm login {}`",
                reference.registry()
            ),
            Self::LoginRefused { .. } => "check the user name and the password or token".into(),
            Self::Login { detail, .. } if detail.ends_with("in the clear") => {
                "mvm sends a login over HTTPS only, unless config.toml says the registry is insecure"
                    .into()
            }
            Self::Helper { .. } => "Docker's config.json names it in credsStore or credHelpers".into(),
            Self::WebPage { .. } => {
                "this is no registry, or a proxy or the login of a network answers in its place".into()
            }
            Self::Blocked(_) => "config.toml or registries.conf says `blocked`".into(),
            Self::Proxy(_) => "a proxy is named like http://proxy.example.com:3128".into(),
            Self::Unreachable { registry, .. } => {
                format!("check that {registry} is right and running, and the network")
            }
            Self::Tls { .. } => {
                "check the certificate; an authority of its own belongs into certs.d or, as `ca`, into \
                 config.toml (docs/REGISTRIES.md)"
                    .into()
            }
            Self::Timeout(_) | Self::Truncated { .. } => "try again; what is complete is kept".into(),
            Self::TooManyRequests { retry_after: Some(after), .. } => {
                format!("try again in {after}: the registry asks for that (Retry-After)")
            }
            Self::TooManyRequests { .. } => "try again later, or log in".into(),
            Self::NoPlatform { available, .. } if !available.is_empty() => {
                let names: Vec<String> = available.iter().map(ToString::to_string).collect();
                format!("it is there for {}; choose with --platform", names.join(", "))
            }
            Self::WrongDigest { .. } | Self::WrongSize { .. } => {
                "nothing of it was kept; the registry, or a proxy before it, is faulty or lying".into()
            }
            Self::Manifest { source: ManifestError::Schema1, .. } => {
                "push the image again with a current tool".into()
            }
            _ => return None,
        })
    }
}

/// `: WORDS`, if there are any.
fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|words| format!(": {words}")).unwrap_or_default()
}

fn io_hint(path: &Path, error: &io::Error) -> Option<String> {
    let path = path.display();
    Some(match error.kind() {
        io::ErrorKind::StorageFull => {
            format!("the disk that holds {path} is full: free some space")
        }
        io::ErrorKind::QuotaExceeded => format!("the disk quota for {path} is used up"),
        io::ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{path} is on a read-only file system; set MVM_HOME to a directory that can be written"
            )
        }
        io::ErrorKind::PermissionDenied => format!("check the owner and permissions of {path}"),
        _ => return None,
    })
}

/// Names the operation and the path of an I/O error.
pub(super) trait IoContext<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { doing, path: path.to_owned(), source })
    }
}
