// SPDX-License-Identifier: Apache-2.0
//! The kernel that came with mvm: a release lies under one directory, and its
//! manifest, `bundle.json`, says what belongs to it. A bundle that is there is
//! used or is an error; one whose parts are of different releases boots
//! nothing.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sys;

const MANIFEST: &str = "bundle.json";

const SCHEMA: u32 = 1;

/// Many times what a release of a few dozen files has.
const MAX_MANIFEST: u64 = 1 << 20;

/// Architecture and system, as in the name of a release.
const TARGET: (&str, &str) = (std::env::consts::ARCH, std::env::consts::OS);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a bundle may be. Paths in its manifest are relative to `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub root: PathBuf,
    pub manifest: PathBuf,
}

impl Place {
    /// Places around the program: its own directory, and under the prefix
    /// that it is in the `bin` of.
    pub fn beside(program: &Path) -> Vec<Self> {
        let own = program.parent().map(|root| Self::under(root, Path::new("")));
        let prefix = program.parent().and_then(Path::parent);
        let prefixed = ["lib/mvm", "share/mvm"].into_iter();
        own.into_iter()
            .chain(prefix.into_iter().flat_map(|root| {
                prefixed.clone().map(|directory| Self::under(root, Path::new(directory)))
            }))
            .collect()
    }

    fn under(root: &Path, directory: &Path) -> Self {
        Self { root: root.to_owned(), manifest: root.join(directory).join(MANIFEST) }
    }
}

/// What we need of `bundle.json`.
#[derive(Debug, Deserialize)]
struct Manifest {
    /// Version of mvm.
    mvm: String,
    /// `x86_64-linux`
    target: String,
    kernel: Kernel,
    files: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Kernel {
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Entry {
    path: PathBuf,
    /// Bytes.
    size: u64,
    /// Hexadecimal, lower case.
    sha256: String,
}

/// A file that had this checksum, and how to know that it is still the same:
/// reading a kernel anew for each run would cost tens of milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    path: PathBuf,
    identity: String,
    sha256: String,
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("cannot read {}, which came with mvm: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the manifest {} is damaged: {why}", path.display())]
    Malformed { path: PathBuf, why: String },
    #[error("the manifest {} has schema {found}, and this mvm knows {SCHEMA}", path.display())]
    Schema { path: PathBuf, found: u32 },
    #[error("the manifest {} is for {found}, and this mvm is for {}", path.display(), Target)]
    Target { path: PathBuf, found: String },
    #[error("the manifest {} is of mvm {found}, and this is mvm {VERSION}", path.display())]
    Version { path: PathBuf, found: String },
    #[error("{} came with mvm and is gone", path.display())]
    Missing { path: PathBuf },
    #[error("{} is not what came with mvm: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
}

impl BundleError {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        "unpack the release again, all of it, or name a kernel with --kernel or MVM_KERNEL".into()
    }
}

struct Target;

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", TARGET.0, TARGET.1)
    }
}

/// The kernel of the bundle at a place, checked; `None` if no bundle is there.
/// `known` is the last check's result and becomes this one's.
pub(super) fn kernel(
    place: &Place,
    known: &mut Option<Verified>,
) -> Result<Option<PathBuf>, BundleError> {
    let Some(manifest) = read(&place.manifest)? else { return Ok(None) };
    let entry = manifest.files.iter().find(|entry| entry.path == manifest.kernel.path);
    let malformed =
        |why: &str| BundleError::Malformed { path: place.manifest.clone(), why: why.into() };
    let entry = entry.ok_or_else(|| malformed("its kernel is not among its files"))?;
    let within = entry.path.components().all(|part| matches!(part, Component::Normal(_)));
    if !within {
        return Err(malformed("its kernel is not inside the bundle"));
    }
    let path = place.root.join(&entry.path);
    verify(&path, entry, known)?;
    Ok(Some(path))
}

fn read(path: &Path) -> Result<Option<Manifest>, BundleError> {
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let Some((file, _)) = open(path).map_err(unreadable)? else { return Ok(None) };
    let mut text = Vec::new();
    file.take(MAX_MANIFEST).read_to_end(&mut text).map_err(unreadable)?;
    let malformed =
        |e: serde_json::Error| BundleError::Malformed { path: path.to_owned(), why: e.to_string() };
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    // What another schema calls its fields is not ours to judge.
    let schema: Version = serde_json::from_slice(&text).map_err(malformed)?;
    if schema.schema != SCHEMA {
        return Err(BundleError::Schema { path: path.to_owned(), found: schema.schema });
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(malformed)?;
    if manifest.target != Target.to_string() {
        return Err(BundleError::Target { path: path.to_owned(), found: manifest.target });
    }
    if manifest.mvm != VERSION {
        return Err(BundleError::Version { path: path.to_owned(), found: manifest.mvm });
    }
    Ok(Some(manifest))
}

fn verify(path: &Path, entry: &Entry, known: &mut Option<Verified>) -> Result<(), BundleError> {
    let damaged = |why: String| BundleError::Damaged { path: path.to_owned(), why };
    let unreadable = |source| BundleError::Unreadable { path: path.to_owned(), source };
    let Some((mut file, metadata)) = open(path).map_err(unreadable)? else {
        return Err(BundleError::Missing { path: path.to_owned() });
    };
    if metadata.len() != entry.size {
        return Err(damaged(format!("{} bytes, not {}", metadata.len(), entry.size)));
    }
    let verified = Verified {
        path: path.to_owned(),
        identity: sys::file_identity(&metadata),
        sha256: entry.sha256.clone(),
    };
    if known.as_ref() == Some(&verified) {
        return Ok(());
    }
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest).map_err(unreadable)?;
    let found = hex::encode(digest.finalize());
    if found != entry.sha256 {
        return Err(damaged(format!("its SHA-256 is {found}, not {}", entry.sha256)));
    }
    *known = Some(verified);
    Ok(())
}

/// Opens what has to be a regular file; `None` if nothing is there.
fn open(path: &Path) -> io::Result<Option<(File, std::fs::Metadata)>> {
    // Before it is opened: opening a FIFO would wait for ever.
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(io::Error::other("not a regular file")),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            // A link to nothing was meant to be something.
            return match path.symlink_metadata() {
                Ok(_) => Err(error),
                Err(_) => Ok(None),
            };
        }
        Err(error) => return Err(error),
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok(Some((file, metadata)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    /// A manifest of this mvm's, with a kernel at a path.
    pub fn manifest(path: &str, content: &[u8]) -> String {
        let sha256 = hex::encode(Sha256::digest(content));
        json!({
            "schema": 1,
            "mvm": VERSION,
            "target": Target.to_string(),
            "kernel": {"path": path, "version": "6.12"},
            "files": [
                {"path": "bin/mvm", "size": 0, "sha256": ""},
                {"path": path, "size": content.len(), "sha256": sha256},
            ],
        })
        .to_string()
    }

    struct Bundle {
        dir: tempfile::TempDir,
        place: Place,
    }

    impl Bundle {
        /// A bundle with a kernel of these bytes, in a directory whose name
        /// has a space.
        fn new(content: &[u8]) -> Self {
            let dir = tempfile::Builder::new().prefix("a bundle ").tempdir().unwrap();
            fs::create_dir_all(dir.path().join("lib/mvm")).unwrap();
            let place = Place::under(dir.path(), Path::new("lib/mvm"));
            let bundle = Self { dir, place };
            fs::write(bundle.kernel(), content).unwrap();
            bundle.manifest(|_| ());
            bundle
        }

        fn kernel(&self) -> PathBuf {
            self.dir.path().join("lib/mvm/vmlinux")
        }

        /// Writes the manifest of what is there, changed.
        fn manifest(&self, change: impl FnOnce(&mut Value)) {
            let content = fs::read(self.kernel()).unwrap();
            let mut document =
                serde_json::from_str(&manifest("lib/mvm/vmlinux", &content)).unwrap();
            change(&mut document);
            fs::write(&self.place.manifest, document.to_string()).unwrap();
        }

        fn find(&self) -> Result<Option<PathBuf>, BundleError> {
            kernel(&self.place, &mut None)
        }

        #[track_caller]
        fn refused(&self) -> String {
            let error = self.find().expect_err("is refused");
            assert!(error.hint().contains("unpack the release again"));
            error.to_string()
        }
    }

    #[test]
    fn places_beside_the_program() {
        let places = Place::beside(Path::new("/opt/mvm/bin/mvm"));
        let manifests: Vec<_> = places.iter().map(|place| place.manifest.as_path()).collect();
        let expected = ["bin/bundle.json", "lib/mvm/bundle.json", "share/mvm/bundle.json"]
            .map(|path| Path::new("/opt/mvm").join(path));
        assert_eq!(manifests, expected);
        assert_eq!(places[1].root, Path::new("/opt/mvm"));
        assert_eq!(Place::beside(Path::new("mvm")).len(), 1);
    }

    #[test]
    fn a_whole_bundle_is_used() {
        let bundle = Bundle::new(b"kernel");
        assert_eq!(bundle.find().unwrap(), Some(bundle.kernel()));
    }

    #[test]
    fn no_manifest_is_no_bundle() {
        let bundle = Bundle::new(b"kernel");
        fs::remove_file(&bundle.place.manifest).unwrap();
        assert_eq!(bundle.find().unwrap(), None);
        let nowhere = Place::under(Path::new("/nonexistent"), Path::new("lib/mvm"));
        assert_eq!(kernel(&nowhere, &mut None).unwrap(), None);
        let below_a_file = Place::under(&bundle.kernel(), Path::new("lib"));
        assert_eq!(kernel(&below_a_file, &mut None).unwrap(), None);
    }

    #[test]
    fn a_manifest_of_something_else_is_an_error() {
        let bundle = Bundle::new(b"kernel");
        bundle.manifest(|document| document["mvm"] = json!("0.0.1"));
        assert!(bundle.refused().contains(" is of mvm 0.0.1, and this is mvm "));
        bundle.manifest(|document| document["target"] = json!("riscv64-plan9"));
        assert!(bundle.refused().contains(" is for riscv64-plan9, and this mvm is for "));
        bundle.manifest(|document| *document = json!({"schema": 2, "renamed": true}));
        assert!(bundle.refused().ends_with(" has schema 2, and this mvm knows 1"));
        bundle.manifest(|document| document["kernel"]["path"] = json!("lib/mvm/other"));
        assert!(bundle.refused().contains("not among its files"));
        for path in ["../vmlinux", "/boot/vmlinux", ""] {
            bundle.manifest(|document| {
                document["kernel"]["path"] = json!(path);
                document["files"][0]["path"] = json!(path);
            });
            assert!(bundle.find().is_err(), "{path}");
        }
    }

    #[test]
    fn a_damaged_manifest_is_an_error() {
        let bundle = Bundle::new(b"kernel");
        let good = fs::read(&bundle.place.manifest).unwrap();
        for length in 0..good.len() {
            fs::write(&bundle.place.manifest, &good[..length]).unwrap();
            assert!(bundle.refused().contains(" is damaged: "), "{length}");
        }
        fs::remove_file(&bundle.place.manifest).unwrap();
        fs::create_dir(&bundle.place.manifest).unwrap();
        assert!(bundle.refused().ends_with("not a regular file"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_no_absence() {
        let bundle = Bundle::new(b"kernel");
        fs::remove_file(&bundle.place.manifest).unwrap();
        std::os::unix::fs::symlink("gone", &bundle.place.manifest).unwrap();
        assert!(bundle.refused().contains("bundle.json, which came with mvm: "));
    }

    #[test]
    fn another_kernel_is_an_error() {
        let bundle = Bundle::new(b"kernel");
        fs::write(bundle.kernel(), b"kernel, and more").unwrap();
        assert!(bundle.refused().ends_with("is not what came with mvm: 16 bytes, not 6"));
        fs::write(bundle.kernel(), b"Kernel").unwrap();
        assert!(bundle.refused().contains("is not what came with mvm: its SHA-256 is "));
        fs::remove_file(bundle.kernel()).unwrap();
        assert!(bundle.refused().ends_with(" came with mvm and is gone"));
    }

    #[test]
    fn a_kernel_is_read_once() {
        let bundle = Bundle::new(b"kernel");
        let mut known = None;
        kernel(&bundle.place, &mut known).unwrap();
        let first = known.clone().expect("is remembered");
        kernel(&bundle.place, &mut known).unwrap();
        assert_eq!(known.as_ref(), Some(&first));

        // What is remembered is believed, which shows that nothing was read.
        bundle.manifest(|document| document["files"][1]["sha256"] = json!("of another"));
        let mut lie = Some(Verified { sha256: "of another".into(), ..first.clone() });
        kernel(&bundle.place, &mut lie).unwrap();
        // But not of another file, even with the same size.
        let replacement = bundle.kernel().with_extension("new");
        fs::write(&replacement, b"kernel").unwrap();
        fs::rename(&replacement, bundle.kernel()).unwrap();
        assert!(kernel(&bundle.place, &mut lie).is_err());

        bundle.manifest(|_| ());
        kernel(&bundle.place, &mut known).unwrap();
        assert_ne!(known.as_ref(), Some(&first));
    }
}
