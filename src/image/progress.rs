// SPDX-License-Identifier: Apache-2.0
//! What a pull tells the user, always on stderr: bars on a terminal, one line a
//! layer in a pipe, or nothing.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::digest::Digest;
use super::reference::Reference;

/// What happened to a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerEvent {
    /// It waits for its turn.
    Waiting,
    /// It was there already.
    Exists,
    /// So many of its bytes are here.
    Downloading {
        /// Bytes so far.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// It is in the store, verified and converted.
    Done,
}

/// Hears how a pull goes on. Called from several threads, and often: it must
/// not block.
pub trait Progress: Send + Sync {
    /// The pull goes to the registry.
    fn start(&self, _reference: &Reference) {}
    /// So many bytes of an archive, decompressed, or of a root directory are
    /// read; what layers there are shows at the end.
    fn reading(&self, _bytes: u64) {}
    /// That is the end.
    fn read(&self) {}
    /// A layer, named by the digest of its compressed form.
    fn layer(&self, _layer: &Digest, _event: LayerEvent) {}
    /// The image is complete; `new` if anything changed in the store.
    fn finish(&self, _reference: &Reference, _digest: &Digest, _new: bool) {}
    /// The pull failed; what was drawn is to be taken away.
    fn fail(&self) {}
}

/// Says nothing.
pub struct Quiet;

impl Progress for Quiet {}

/// Bars if stderr is a terminal, else lines, else (`quiet`) nothing.
pub fn for_stderr(quiet: bool) -> Arc<dyn Progress> {
    if quiet {
        Arc::new(Quiet)
    } else if std::io::stderr().is_terminal() {
        Arc::new(Bars::default())
    } else {
        Arc::new(Lines)
    }
}

/// Docker's words for a pipe, without its many intermediate states.
struct Lines;

impl Lines {
    fn say(line: std::fmt::Arguments<'_>) {
        // A reader that went away is no reason to stop a pull.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

impl Progress for Lines {
    fn start(&self, reference: &Reference) {
        Self::say(format_args!("{}", pulling(reference)));
    }

    fn layer(&self, layer: &Digest, event: LayerEvent) {
        match event {
            LayerEvent::Exists => Self::say(format_args!("{}: Already exists", layer.short())),
            LayerEvent::Done => Self::say(format_args!("{}: Pull complete", layer.short())),
            LayerEvent::Waiting | LayerEvent::Downloading { .. } => {}
        }
    }

    fn finish(&self, reference: &Reference, digest: &Digest, new: bool) {
        Self::say(format_args!("Digest: {digest}"));
        Self::say(format_args!("{}", status(reference, new)));
    }
}

/// A bar per layer.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    reading: Mutex<Option<ProgressBar>>,
    layers: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Bars {
    fn bar(&self, layer: &Digest) -> ProgressBar {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let bar = self.all.add(ProgressBar::new(0));
            bar.set_prefix(layer.short().to_owned());
            bar.set_style(plain());
            bar
        };
        layers.entry(layer.clone()).or_insert_with(make).clone()
    }
}

impl Progress for Bars {
    fn start(&self, reference: &Reference) {
        let _ = self.all.println(pulling(reference));
    }

    fn reading(&self, bytes: u64) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.set_style(style("Reading: {bytes} {bytes_per_sec:>11}"));
            bar
        };
        reading.get_or_insert_with(make).set_position(bytes);
    }

    fn read(&self) {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = reading {
            bar.finish_and_clear();
        }
    }

    fn layer(&self, layer: &Digest, event: LayerEvent) {
        let bar = self.bar(layer);
        match event {
            LayerEvent::Waiting => bar.set_message("Waiting"),
            LayerEvent::Exists => end(&bar, "Already exists"),
            LayerEvent::Done => end(&bar, "Pull complete"),
            LayerEvent::Downloading { current, total } => {
                if bar.length() != Some(total) || current == 0 {
                    bar.set_length(total);
                    bar.set_style(downloading());
                }
                bar.set_position(current);
            }
        }
    }

    fn finish(&self, reference: &Reference, digest: &Digest, new: bool) {
        let _ = self.all.println(format!("Digest: {digest}"));
        let _ = self.all.println(status(reference, new));
    }

    fn fail(&self) {
        let _ = self.all.clear();
    }
}

fn end(bar: &ProgressBar, message: &'static str) {
    bar.set_style(plain());
    bar.finish_with_message(message);
}

fn plain() -> ProgressStyle {
    style("{prefix}: {msg}")
}

fn downloading() -> ProgressStyle {
    style("{prefix}: [{wide_bar:.green}] {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>11}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn pulling(reference: &Reference) -> String {
    let version = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    };
    let name = reference.name();
    let path = name.strip_prefix("docker.io/").unwrap_or(&name);
    format!("{version}: Pulling from {path}")
}

fn status(reference: &Reference, new: bool) -> String {
    let name = reference.familiar();
    if new {
        format!("Status: Downloaded newer image for {name}")
    } else {
        format!("Status: Image is up to date for {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_as_docker_does() {
        let reference: Reference = "alpine".parse().unwrap();
        assert_eq!(pulling(&reference), "latest: Pulling from library/alpine");
        assert_eq!(status(&reference, false), "Status: Image is up to date for alpine:latest");
        let local: Reference = "localhost:5000/a:1".parse().unwrap();
        assert_eq!(pulling(&local), "1: Pulling from localhost:5000/a");
    }

    #[test]
    fn bars_have_valid_templates() {
        for template in ["{prefix}: {msg}", "{prefix}: [{wide_bar:.green}] {bytes:>10}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
