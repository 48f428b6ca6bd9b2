// SPDX-License-Identifier: Apache-2.0
//! Images as files, right ones and wrong ones, in a directory or in a tar.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mvm::image::{Digest, Platform};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The files of a source, by their names.
#[derive(Clone, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Where a layout has the blob of these bytes.
pub fn blob_name(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).hex())
}

/// A layer with one file.
pub fn layer(name: &str, text: &[u8]) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.entry(name, tar::EntryType::Regular, "", text);
    tar.finish()
}

pub fn config(layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = json!({
        "os": "linux", "architecture": Platform::host().architecture,
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    serde_json::to_vec(&config).expect("JSON")
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

impl Files {
    /// An OCI layout with one image.
    pub fn oci(name: &str, layers: &[Vec<u8>]) -> Self {
        let config = config(layers);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config),
            "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
        });
        let manifest = serde_json::to_vec(&manifest).expect("JSON");
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        let mut files = Self::default();
        for blob in layers.iter().chain([&config, &manifest]) {
            files.0.insert(blob_name(blob), blob.clone());
        }
        files.put("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        files.put("index.json", index.to_string().as_bytes());
        files
    }

    /// What `docker save` wrote before it knew OCI.
    pub fn docker(name: &str, layers: &[Vec<u8>]) -> Self {
        let config = config(layers);
        let mut files = Self::default();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        let mut names = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            names.push(format!("layer{at}/layer.tar"));
            files.put(&names[at], layer);
        }
        let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
        files.put(&config_name, &config);
        files.put("manifest.json", manifest.to_string().as_bytes());
        files
    }

    pub fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), bytes.to_vec());
    }

    /// Changes a document.
    pub fn edit(&mut self, name: &str, change: impl Fn(&mut Value)) {
        let mut value = serde_json::from_slice(&self.0[name]).expect("JSON");
        change(&mut value);
        self.put(name, value.to_string().as_bytes());
    }

    pub fn write(&self, directory: &Path) {
        for (name, bytes) in &self.0 {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
            fs::write(path, bytes).expect("write a file");
        }
    }

    pub fn tar(&self) -> Tar {
        let mut tar = Tar::default();
        for (name, bytes) in &self.0 {
            tar.entry(name, tar::EntryType::Regular, "", bytes);
        }
        tar
    }
}

/// A tar of entries that are taken as they are, however bad.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn entry(&mut self, name: &str, kind: tar::EntryType, link: &str, text: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(kind);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(text);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    /// With the two blocks that end it.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
