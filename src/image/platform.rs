// SPDX-License-Identifier: Apache-2.0
//! The platform an image is for (OCI image-spec, image-index.md, "platform")
//! and the choice among those an index offers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An operating system, a CPU architecture in Go's spelling, and its variant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux` for anything mvm can run.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, … where the architecture has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on this machine's architecture: guests are Linux on every host.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "x86" => ("386", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        }
    }

    /// The spellings that mean the same are made one, as containerd does it.
    pub fn normalized(&self) -> Self {
        let architecture = self.architecture.to_ascii_lowercase();
        let variant =
            self.variant.as_deref().filter(|v| !v.is_empty()).map(str::to_ascii_lowercase);
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64", _) => ("amd64", variant),
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", None),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64", _) => ("arm64", variant),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7".into())),
            ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6".into())),
            ("arm", Some("5")) => ("arm", Some("v5".into())),
            ("amd64", Some("v1")) => ("amd64", None),
            (other, _) => (other, variant),
        };
        Self { os: self.os.to_ascii_lowercase(), architecture: architecture.to_owned(), variant }
    }

    /// How well an image for `self` runs where `wanted` is asked for: `None` is
    /// not at all, and of several the lowest number is the best.
    fn distance(&self, wanted: &Self) -> Option<u32> {
        let (have, want) = (self.normalized(), wanted.normalized());
        if have.os != want.os || have.architecture != want.architecture {
            return None;
        }
        let level = |variant: &Option<String>| -> Option<u32> {
            let text = variant.as_deref().unwrap_or("v0");
            text.strip_prefix('v')?.split('.').next()?.parse().ok()
        };
        match (have.variant == want.variant, level(&have.variant), level(&want.variant)) {
            (true, ..) => Some(0),
            // An older variant runs on a newer CPU, never the other way round.
            (false, Some(have), Some(want)) if have < want => Some(want - have),
            _ => None,
        }
    }

    /// Whether an image for `self` can serve a request for `wanted`.
    pub fn serves(&self, wanted: &Self) -> bool {
        self.distance(wanted).is_some()
    }

    /// The position of the offer that suits `wanted` best; of equals the first.
    pub fn choose<'a>(
        wanted: &Self,
        offers: impl IntoIterator<Item = Option<&'a Self>>,
    ) -> Option<usize> {
        offers
            .into_iter()
            .enumerate()
            .filter_map(|(at, offer)| Some((offer?.distance(wanted)?, at)))
            .min()
            .map(|(_, at)| at)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The text is not `OS/ARCH` or `OS/ARCH/VARIANT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {0:?}: expected OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64")]
pub struct PlatformError(String);

impl FromStr for Platform {
    type Err = PlatformError;

    /// A lone architecture means Linux on it, as with Docker.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 32
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().copied().all(plain) {
            return Err(PlatformError(text.chars().take(80).collect()));
        }
        let (os, architecture, variant) = match parts[..] {
            [architecture] if architecture != "linux" => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(PlatformError(text.chars().take(80).collect())),
        };
        let platform = Self { os: os.into(), architecture: architecture.into(), variant };
        Ok(platform.normalized())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn parses_and_prints() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("Linux/AMD64", "linux/amd64"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(platform(text).to_string(), shown, "{text}");
        }
        for bad in ["", "/", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64", "linux/é"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn chooses_the_closest() {
        let offers =
            ["linux/arm/v5", "linux/amd64/v3", "linux/amd64", "linux/arm/v6", "linux/arm64"]
                .map(platform);
        let choose = |wanted: &str| {
            Platform::choose(&platform(wanted), offers.iter().map(Some))
                .map(|at| offers[at].to_string())
        };
        assert_eq!(choose("linux/amd64").as_deref(), Some("linux/amd64"));
        assert_eq!(choose("linux/amd64/v2").as_deref(), Some("linux/amd64"));
        assert_eq!(choose("linux/amd64/v3").as_deref(), Some("linux/amd64/v3"));
        assert_eq!(choose("linux/arm").as_deref(), Some("linux/arm/v6"));
        assert_eq!(choose("linux/arm/v5").as_deref(), Some("linux/arm/v5"));
        assert_eq!(choose("linux/arm64/v8").as_deref(), Some("linux/arm64"));
        assert_eq!(choose("linux/riscv64"), None);
        assert_eq!(choose("windows/amd64"), None);
        assert_eq!(Platform::choose(&platform("amd64"), [None, None]), None);
    }

    #[test]
    fn the_host_runs_linux_guests() {
        assert_eq!(Platform::host().os, "linux");
        assert!(Platform::host().serves(&Platform::host()));
    }
}
