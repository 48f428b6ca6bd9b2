// SPDX-License-Identifier: Apache-2.0
//! `mvm inspect`: VMs, and images where no VM has the name.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{format, image_inspect};
use crate::error::{Failure, Result};
use crate::image::Store;
use crate::state::{Dirs, Found, Phase, VmStore};

/// What Docker says of a time that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Show all that is known of VMs or images
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, IDs or starts of IDs; of images, references too
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// json, or a template such as '{{.State.Status}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Look among these only
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(alias = "container")]
    Vm,
    Image,
}

pub fn run(dirs: &Dirs, args: &InspectArgs) -> Result<u8> {
    let (vms, images) = (VmStore::new(dirs), Store::open(&dirs.data)?);
    let find = |name: &str| -> Result<Value> {
        let vm = match args.kind {
            Some(Kind::Image) => None,
            _ => Some(vms.find(name)),
        };
        match (vm, args.kind) {
            (Some(Ok(found)), _) => Ok(document(&found)),
            (Some(Err(failure)), Some(Kind::Vm)) => Err(failure),
            (_, Some(Kind::Image)) => Ok(image_inspect::document(&images.details(name)?)),
            _ => match images.details(name) {
                Ok(details) => Ok(image_inspect::document(&details)),
                Err(_) => Err(Failure::new(format!("no VM and no image: {name}"))
                    .hint("mvm ps -a and mvm images list what there is")),
            },
        }
    };
    image_inspect::show(&args.names, args.format.as_deref(), find)
}

/// Docker's document, and under `Mvm` what is ours.
fn document(found: &Found) -> Value {
    let record = &found.record;
    let phase = found.phase();
    let (exit, running) = (record.exit.as_ref(), phase == Phase::Running);
    let (path, args) = match record.command.split_first() {
        Some((path, args)) => (path.as_str(), args),
        None => ("", &[][..]),
    };
    let status = match phase {
        Phase::Creating | Phase::Starting => "created".into(),
        phase => phase.to_string(),
    };
    json!({
        "Id": record.id,
        "Created": time(Some(record.created_ms)),
        "Path": path,
        "Args": args,
        "State": {
            "Status": status,
            "Running": running,
            "Paused": false,
            "Restarting": false,
            "OOMKilled": exit.is_some_and(|exit| exit.oom_killed),
            "Dead": phase == Phase::Dead,
            "Pid": record.monitor_pid.filter(|_| running).unwrap_or(0),
            "ExitCode": exit.map_or(0, |exit| exit.code),
            "Error": exit.and_then(|exit| exit.error.as_deref()).unwrap_or_default(),
            "StartedAt": time(record.started_ms),
            "FinishedAt": time(exit.map(|exit| exit.finished_ms)),
        },
        "Image": record.image.id,
        "Name": format!("/{}", record.name),
        "Platform": "linux",
        "HostConfig": {
            "AutoRemove": record.auto_remove,
            "NetworkMode": record.network,
            "Memory": record.memory_mib << 20,
        },
        "Config": {"Image": record.image.reference, "Cmd": record.command},
        "Mvm": {
            "Backend": record.backend,
            "Vcpus": record.vcpus,
            "Signal": exit.and_then(|exit| exit.signal),
            "ManifestDigest": record.image.manifest_digest,
            "Directory": record.dirs.vm(&record.id),
            "DiskImages": record.image.layers,
        },
    })
}

fn time(ms: Option<u64>) -> String {
    ms.map_or_else(|| NEVER.into(), format::timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_docker_writes_them() {
        assert_eq!(time(None), NEVER);
        assert_eq!(time(Some(1_000)), "1970-01-01T00:00:01.000Z");
        assert_eq!(time(Some(u64::MAX)), "9999-12-31T23:59:59.000Z");
    }
}
