// SPDX-License-Identifier: Apache-2.0
//! `--filter` of commands about images, with Docker's rules: values of one key
//! are alternatives, keys are conditions, but each label must be there.

use std::collections::BTreeMap;

use glob::{MatchOptions, Pattern};

use super::format::parse_time;
use super::images::created_ms;
use super::when;
use crate::error::{Failure, Result};
use crate::image::{ImageSummary, Store};

/// A label's name, and its value if that matters.
pub type Label = (String, Option<String>);

/// The two halves of `KEY=VALUE`.
pub fn key_and_value(filter: &str) -> Result<(&str, &str)> {
    let (key, value) = filter.split_once('=').ok_or_else(|| {
        Failure::new(format!("invalid filter {filter:?}")).hint("a filter is KEY=VALUE")
    })?;
    Ok((key.trim(), value))
}

/// Reads `NAME[=VALUE]`.
pub fn label(text: &str) -> Label {
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// What images have to be.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    dangling: Option<bool>,
    references: Vec<Pattern>,
    labels: Vec<Label>,
    without: Vec<Label>,
    before: Vec<String>,
    since: Vec<String>,
    /// Milliseconds since 1970.
    until: Option<u64>,
}

impl Filters {
    /// Reads `KEY=VALUE`s.
    pub fn parse(filters: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        for filter in filters {
            let (key, value) = key_and_value(filter)?;
            parsed.add(key, value)?;
        }
        Ok(parsed)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "dangling" => self.dangling = Some(boolean(value)?),
            "reference" => self.add_reference(Some(value))?,
            "label" => self.labels.push(label(value)),
            "label!" => self.without.push(label(value)),
            "before" => self.before.push(value.to_owned()),
            "since" => self.since.push(value.to_owned()),
            "until" => self.until = Some(when::point_in_time(value)? / 1_000_000),
            _ => {
                return Err(Failure::new(format!("unknown filter {key:?}"))
                    .hint("there are dangling, reference, label, before, since and until"));
            }
        }
        Ok(())
    }

    /// As the filter of that name; without a reference nothing changes.
    pub fn add_reference(&mut self, reference: Option<&str>) -> Result<()> {
        if let Some(text) = reference {
            let pattern = Pattern::new(text)
                .map_err(|e| Failure::new(format!("invalid pattern {text:?}: {}", e.msg)))?;
            self.references.push(pattern);
        }
        Ok(())
    }

    /// Whether images are asked for that have a name, or that have none.
    pub fn dangling(&self) -> Option<bool> {
        self.dangling
    }

    /// The same, whether an image has a name or not.
    pub fn ignoring_dangling(mut self) -> Self {
        self.dangling = None;
        self
    }

    /// The point in time that things must be older than.
    pub fn until(&self) -> Option<u64> {
        self.until
    }

    /// Those that fit. Configurations are read for labels only.
    pub fn apply(&self, store: &Store, images: Vec<ImageSummary>) -> Result<Vec<ImageSummary>> {
        let made = |name: &String| -> Result<u64> {
            let image = store.resolve(name)?;
            Ok(image.created.as_deref().and_then(parse_time).unwrap_or(0))
        };
        let before = self.before.iter().map(made).collect::<Result<Vec<_>>>()?;
        let since = self.since.iter().map(made).collect::<Result<Vec<_>>>()?;
        let fits = |image: &ImageSummary| {
            let created = created_ms(image).unwrap_or(0);
            self.dangling.is_none_or(|dangling| dangling == image.reference.is_none())
                && (self.references.is_empty() || self.references.iter().any(|p| named(p, image)))
                && before.iter().all(|time| created < *time)
                && since.iter().all(|time| created > *time)
                && self.until.is_none_or(|until| created < until)
                && self.labels_fit(store, image)
        };
        Ok(images.into_iter().filter(fits).collect())
    }

    fn labels_fit(&self, store: &Store, image: &ImageSummary) -> bool {
        if self.labels.is_empty() && self.without.is_empty() {
            return true;
        }
        self.fit(&store.labels(&image.manifest_digest))
    }

    /// Whether something has the labels that are asked for, and no other.
    pub fn fit(&self, labels: &BTreeMap<String, String>) -> bool {
        let there = |(name, value): &(String, Option<String>)| {
            labels.get(name).is_some_and(|there| value.as_ref().is_none_or(|v| v == there))
        };
        self.labels.iter().all(there) && !self.without.iter().any(there)
    }
}

/// A pattern is of a name, or of a name and a tag; * ends at a slash.
fn named(pattern: &Pattern, image: &ImageSummary) -> bool {
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let reference = image.reference.as_ref().map(|reference| reference.familiar());
    [reference.as_deref(), image.repository.as_deref()]
        .into_iter()
        .flatten()
        .any(|name| pattern.matches_with(name, options))
}

/// As Go reads one.
fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        _ => Err(Failure::new(format!("{text:?} is neither true nor false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused() {
        let parse = |text: &str| Filters::parse(&[text.to_owned()]);
        for bad in ["dangling", "dangling=maybe", "color=red", "until=x", "reference=a[", "=x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for good in ["dangling=true", "label=a", "label=a=b", "label!=a", "reference=*/b:1?"] {
            assert!(parse(good).is_ok(), "{good}");
        }
    }
}
