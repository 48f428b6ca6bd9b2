// SPDX-License-Identifier: Apache-2.0
//! Images made by other tools (umoci, skopeo) in an OCI layout on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::registry::in_path;

/// A layout with images; it goes with the value.
#[must_use]
pub struct Layout {
    home: tempfile::TempDir,
}

impl Layout {
    /// An empty one; `None` if the tools are missing.
    pub fn new() -> Option<Self> {
        in_path("umoci")?;
        in_path("skopeo")?;
        let layout = Self { home: tempfile::tempdir().expect("a temporary directory") };
        run(Command::new("umoci").arg("init").arg("--layout").arg(layout.path()));
        Some(layout)
    }

    pub fn path(&self) -> PathBuf {
        self.home.path().join("layout")
    }

    /// A scratch directory beside it.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Makes the image `tag` with one layer for each file: its name, its text.
    pub fn image(&self, tag: &str, files: &[(&str, &str)]) -> &Self {
        let image = format!("{}:{tag}", self.path().display());
        run(Command::new("umoci").args(["new", "--image", &image]));
        for (name, text) in files {
            let source = self.scratch("file");
            fs::write(&source, text).expect("a file to insert");
            run(Command::new("umoci").args(["insert", "--image", &image]).arg(source).arg(name));
        }
        self
    }

    /// Changes the configuration of an image with `umoci config`'s flags.
    pub fn config(&self, tag: &str, flags: &[&str]) -> &Self {
        let image = format!("{}:{tag}", self.path().display());
        run(Command::new("umoci").args(["config", "--image", &image]).args(flags));
        self
    }

    /// Makes an index `tag` of images that are there.
    pub fn index(&self, tag: &str, of: &[(&str, &str)]) -> &Self {
        let path = self.path().join("index.json");
        let mut top: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).expect("index.json")).expect("JSON");
        let entries = top["manifests"].as_array().expect("manifests").clone();
        let manifests: Vec<serde_json::Value> = of
            .iter()
            .map(|(tag, architecture)| {
                let name = "org.opencontainers.image.ref.name";
                let mut entry = entries
                    .iter()
                    .find(|entry| entry["annotations"][name] == *tag)
                    .expect("an image of that tag")
                    .clone();
                entry.as_object_mut().expect("an object").remove("annotations");
                entry["platform"] =
                    serde_json::json!({"os": "linux", "architecture": architecture});
                entry
            })
            .collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": manifests
        });
        let index = serde_json::to_vec(&index).expect("JSON");
        let digest = mvm::image::Digest::of(&index);
        fs::write(self.path().join("blobs/sha256").join(digest.hex()), &index).expect("a blob");
        top["manifests"].as_array_mut().expect("manifests").push(serde_json::json!({
            "mediaType": media_type, "digest": digest, "size": index.len(),
            "annotations": {"org.opencontainers.image.ref.name": tag}
        }));
        fs::write(&path, serde_json::to_vec(&top).expect("JSON")).expect("index.json");
        self
    }

    /// Another layout with the image `tag`, its layers compressed otherwise by
    /// flags of `skopeo copy`.
    pub fn recompressed(&self, tag: &str, flags: &[&str]) -> Self {
        let other = Self { home: tempfile::tempdir().expect("a temporary directory") };
        run(Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q"])
            .args(flags)
            .arg(format!("oci:{}:{tag}", self.path().display()))
            .arg(format!("oci:{}:{tag}", other.path().display())));
        other
    }

    /// Pushes `tag` to a registry with `skopeo copy` and more of its flags.
    pub fn push(&self, tag: &str, to: &str, flags: &[&str]) -> &Self {
        run(Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"])
            .args(flags)
            .arg(format!("oci:{}:{tag}", self.path().display()))
            .arg(format!("docker://{to}")));
        self
    }
}

/// What `skopeo inspect` says of an image in a layout.
pub fn inspect(layout: &Path, name: &str) -> serde_json::Value {
    let source = format!("oci:{}:{name}", layout.display());
    let output = run(Command::new("skopeo").args(["--insecure-policy", "inspect", &source]));
    serde_json::from_slice(&output.stdout).expect("JSON from skopeo")
}

/// Runs a tool that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    output
}
