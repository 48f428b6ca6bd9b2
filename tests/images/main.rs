// SPDX-License-Identifier: Apache-2.0
//! The commands about images, driven through the real binary: a registry on
//! loopback, images made by other tools, exact output.

#![cfg(target_os = "linux")]
#![allow(clippy::duplicate_mod, reason = "two helpers count their skips")]

#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "../support/layout.rs"]
mod layout;
#[allow(dead_code, reason = "the other tests that share it use the rest")]
#[path = "../support/empty_registry.rs"]
mod registry;
#[allow(dead_code, unused_imports, reason = "the other tests that share it use the rest")]
#[path = "../support/mod.rs"]
mod support;

mod commands;
mod damage;
mod json;
mod lists;
mod people;
mod ps;
mod shells;
mod storm;
mod vms;

use std::path::{Path, PathBuf};

use layout::Layout;
use registry::Registry;
use serde_json::Value;
use support::Home;

/// A home, a registry, and a place to make images in.
struct Lab {
    home: Home,
    registry: Registry,
    layout: Layout,
}

impl Lab {
    fn new() -> Result<Self, String> {
        let missing = || "docker-registry, umoci or skopeo is not installed".to_owned();
        let registry = Registry::start().ok_or_else(missing)?;
        let layout = Layout::new().ok_or_else(missing)?;
        Ok(Self { home: Home::new(), registry, layout })
    }

    /// Makes an image of one layer for each file, built on `day` of 2024, pushes
    /// it and pulls it. Gives its name.
    fn pulled(&self, name: &str, day: u32, files: &[(&str, &str)]) -> String {
        let tag = name.replace(['/', ':'], "_");
        let created = format!("--created=2024-01-{day:02}T00:00:00Z");
        let image = self.registry.image(name);
        self.layout.image(&tag, files);
        self.layout.config(&tag, &[&created, "--config.label=day=".to_owned().as_str()]);
        let label = format!("--config.label=day={day}");
        self.layout.config(&tag, &[&created, &label, "--config.cmd=/bin/true"]);
        self.layout.push(&tag, &image, &[]);
        self.mvm(&["pull", "-q", &image]).status(0);
        image
    }

    #[track_caller]
    fn mvm(&self, args: &[&str]) -> support::Output {
        self.home.mvm(args).run()
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn layers(&self) -> PathBuf {
        layers(self.home.path())
    }

    /// All that is listed, one object for each name.
    fn listed(&self) -> Vec<Value> {
        let text = self.mvm(&["images", "--format", "json"]).status(0).stdout_text();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn inspect(&self, image: &str) -> Value {
        self.mvm(&["image", "inspect", image]).status(0).json()[0].clone()
    }

    /// The image ID.
    fn id(&self, image: &str) -> String {
        self.inspect(image)["Id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn is_well(&self) {
        self.mvm(&["system", "check"]).status(0);
    }
}

/// Where disk images are.
fn layers(home: &Path) -> PathBuf {
    home.join("data/layers").join(mvm::image::layer::FORMAT)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
