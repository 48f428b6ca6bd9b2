// SPDX-License-Identifier: Apache-2.0
//! Flags of `run` and `create` for what becomes of the output, as Docker's.

use clap::{Args, ValueEnum};

use super::values;
use crate::error::{Failure, Result};
use crate::logs::Limits;

#[derive(Debug, Default, Args)]
pub struct LogArgs {
    /// Whether the output is kept for `mvm logs`
    #[arg(long, value_enum, default_value_t = Driver::Local, value_name = "DRIVER")]
    log_driver: Driver,
    /// How much of it: max-size=SIZE of a file, max-file=NUMBER of them
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Driver {
    /// In files of mvm's own
    #[default]
    #[value(alias = "json-file")]
    Local,
    /// Nowhere
    None,
}

impl LogArgs {
    /// How much is kept; `None`: nothing.
    pub fn limits(&self) -> Result<Option<Limits>> {
        let mut limits = Limits::default();
        for option in &self.log_opt {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "max-size" if value == "-1" => limits.file_bytes = u64::MAX,
                "max-size" => limits.file_bytes = size(value)?,
                "max-file" => limits.files = count(value)?,
                _ => {
                    return Err(Failure::new(format!("unknown log option {name:?}"))
                        .hint("there are max-size and max-file"));
                }
            }
        }
        Ok((self.log_driver != Driver::None).then_some(limits))
    }
}

fn size(text: &str) -> Result<u64> {
    let bytes = values::bytes(text).map_err(|why| {
        Failure::new(format!("max-size={text}: {why}")).hint("--log-opt max-size=10m")
    })?;
    match bytes {
        0 => Err(Failure::new("a log of no size holds nothing").hint("--log-driver none")),
        bytes => Ok(bytes),
    }
}

fn count(text: &str) -> Result<u32> {
    text.parse().ok().filter(|files| (1..=1000).contains(files)).ok_or_else(|| {
        Failure::new(format!("max-file={text}: not 1 to 1000")).hint("--log-opt max-file=3")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        log: LogArgs,
    }

    fn limits(line: &[&str]) -> Result<Option<Limits>> {
        Line::try_parse_from(["x"].iter().chain(line)).unwrap().log.limits()
    }

    #[test]
    fn options_as_docker_has_them() {
        let kept = |file_bytes, files| Some(Limits { file_bytes, files });
        for (line, expected) in [
            (&[][..], Some(Limits::default())),
            (&["--log-driver", "none"], None),
            (&["--log-driver=json-file", "--log-opt", "max-size=10m"], kept(10 << 20, 2)),
            (&["--log-opt", "max-size=-1", "--log-opt", "max-file=3"], kept(u64::MAX, 3)),
        ] {
            assert_eq!(limits(line).unwrap(), expected, "{line:?}");
        }
        for bad in ["max-size=0", "max-size=x", "max-file=0", "max-file=-1", "tag=x", ""] {
            assert!(limits(&["--log-opt", bad]).unwrap_err().hint.is_some(), "{bad}");
        }
    }
}
