// SPDX-License-Identifier: Apache-2.0
//! Images: from a reference on the command line to verified layers on disk. It
//! knows registries and the store, and nothing about virtual machines.

mod auth;
mod compression;
mod config;
mod digest;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod layer;
mod manifest;
mod platform;
mod progress;
mod pull;
mod push;
mod reference;
mod registry;
mod save;
mod source;
mod store;

pub use auth::{
    Credentials, Kept, docker_config_file, erase as erase_credentials, save as save_credentials,
};
pub use config::{ConfigError, ImageConfig};
pub use digest::{Algorithm, Digest, DigestError};
pub use error::{Error, Result};
pub use manifest::ManifestError;
pub use platform::{Platform, PlatformError};
pub use progress::{LayerEvent, Progress, Quiet, for_stderr};
pub use pull::verify_login;
pub use pull::{Limits, PullOptions, PullPolicy};
pub use push::{PushEvent, PushOutcome};
pub use reference::{DEFAULT_REGISTRY, DEFAULT_TAG, Reference, ReferenceError, ReferenceErrorKind};
pub use registry::{Pushed, Registries, Retries, Table as RegistryTable, Timeouts};
pub use save::{SaveFormat, Saved};
pub use source::{LoadOptions, Loaded, LocalSource, Source, SourceError};
pub use store::{
    Details, DiskUsage, Exclusive, Flaw, Freed, Image, ImageSummary, ImageUsage, LayerDetails,
    LayerImage, Lease, Part, Plan, Removed, Scope, State, Store, Usage, Verified, allocated_bytes,
};
