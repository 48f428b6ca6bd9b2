// SPDX-License-Identifier: Apache-2.0
//! A VM as `mvm inspect` shows it: Docker's document, and under `Mvm` what is
//! ours. What only a later start needs to know is not kept of a VM that goes
//! with its end, and is left out of its document's `Config`.

use serde_json::{Map, Value, json};

use super::{format, limits, secrets, volumes};
use crate::logs;
use crate::spec::{Blueprint, StopTimeout, signal};
use crate::state::{Found, Phase, Record};

/// What Docker says of a time that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub fn document(found: &Found, blueprint: Option<&Blueprint>) -> Value {
    let record = &found.record;
    let (path, args) = match record.command.split_first() {
        Some((path, args)) => (path.as_str(), args),
        None => ("", &[][..]),
    };
    let directory = record.dirs.vm(&record.id);
    json!({
        "Id": record.id,
        "Created": time(Some(record.created_ms)),
        "Path": path,
        "Args": args,
        "State": state(found),
        "Image": record.image.id,
        "LogPath": logs::newest(&directory).unwrap_or_default(),
        "Name": format!("/{}", record.name),
        "RestartCount": 0,
        "Platform": "linux",
        "Mounts": volumes::document(blueprint.map_or(&[], |blueprint| &blueprint.spec.volumes)),
        "HostConfig": host_config(record, blueprint),
        "Config": config(record, blueprint),
        "Mvm": {
            "Backend": record.backend,
            "Vcpus": record.vcpus,
            "Signal": record.exit.as_ref().and_then(|exit| exit.signal),
            "ManifestDigest": record.image.manifest_digest,
            "Directory": directory,
            "DiskImages": record.image.layers,
            "Secrets": secrets::document(blueprint.map_or(&[], |blueprint| &blueprint.spec.secrets)),
        },
    })
}

fn state(found: &Found) -> Value {
    let record = &found.record;
    let phase = found.phase();
    let (exit, running) = (record.exit.as_ref(), phase == Phase::Running);
    let status = match phase {
        Phase::Creating | Phase::Starting => "created".into(),
        phase => phase.to_string(),
    };
    json!({
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
    })
}

fn host_config(record: &Record, blueprint: Option<&Blueprint>) -> Value {
    let mut config = json!({
        "AutoRemove": record.auto_remove,
        "NetworkMode": record.network,
        "Memory": record.memory_mib << 20,
    });
    if let Some(blueprint) = blueprint {
        let spec = &blueprint.spec;
        config["NanoCpus"] = json!(u64::from(spec.cpu_milli) * 1_000_000);
        config["LogConfig"] = log_config(spec.log);
        config["Binds"] = volumes::binds(&spec.volumes);
        limits::describe(&spec.limits, &mut config);
    }
    config
}

fn log_config(limits: Option<logs::Limits>) -> Value {
    let Some(logs::Limits { file_bytes, files }) = limits else {
        return json!({"Type": "none", "Config": {}});
    };
    let config = json!({"max-size": file_bytes.to_string(), "max-file": files.to_string()});
    json!({"Type": "local", "Config": config})
}

fn config(record: &Record, blueprint: Option<&Blueprint>) -> Value {
    let mut config = json!({
        "Image": record.image.reference,
        "Cmd": record.command,
        "Labels": record.labels,
    });
    let (Some(blueprint), Some(fields)) = (blueprint, config.as_object_mut()) else {
        return config;
    };
    add_spec(record, blueprint, fields);
    config
}

/// What only the blueprint knows.
fn add_spec(record: &Record, blueprint: &Blueprint, fields: &mut Map<String, Value>) {
    let (spec, image) = (&blueprint.spec, &blueprint.image);
    let all = |list: &[Vec<u8>]| list.iter().map(|word| text(word)).collect::<Vec<String>>();
    let process = spec.process(image).unwrap_or_default();
    let entrypoint = match &spec.entrypoint {
        Some(word) if word.is_empty() => None,
        Some(word) => Some(vec![text(word)]),
        None => image.entrypoint.clone(),
    };
    let arguments = process.args.get(entrypoint.as_ref().map_or(0, Vec::len)..).unwrap_or_default();
    let hostname = spec.hostname.clone().unwrap_or_else(|| record.id[..12].to_owned());
    fields.insert("Hostname".into(), json!(hostname));
    fields.insert("User".into(), json!(process.user));
    fields.insert("Env".into(), json!(all(&process.env)));
    fields.insert("Cmd".into(), json!(all(arguments)));
    fields.insert("Entrypoint".into(), json!(entrypoint));
    fields.insert("WorkingDir".into(), json!(text(&process.cwd)));
    fields.insert("Tty".into(), json!(spec.tty));
    fields.insert("OpenStdin".into(), json!(spec.stdin));
    fields.insert("StdinOnce".into(), json!(spec.stdin_once));
    fields.insert("StopSignal".into(), json!(signal::name(spec.stop_signal(image))));
    let timeout = spec.stop_timeout.map(|timeout| match timeout {
        StopTimeout::Seconds(seconds) => i64::from(seconds),
        StopTimeout::Never => -1,
    });
    fields.insert("StopTimeout".into(), json!(timeout));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
