// SPDX-License-Identifier: Apache-2.0
//! Limits as `docker inspect` shows them in its `HostConfig`.

use serde_json::{Map, Value, json};

use crate::spec::{Device, Limits, Tmpfs, Ulimit};

/// Docker's size of /dev/shm, bytes.
const SHM: u64 = 64 << 20;

/// Adds the fields.
pub fn describe(limits: &Limits, config: &mut Value) {
    let tmpfs = |tmpfs: &Tmpfs| (tmpfs.target.clone(), json!(tmpfs.given));
    let hosts = limits.hosts.iter().map(|host| format!("{}:{}", host.name, host.address));
    let ulimit =
        |limit: &Ulimit| json!({"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft});
    let device = |device: &Device| json!({"PathOnHost": device.path, "PathInContainer": device.target, "CgroupPermissions": "rwm"});
    let fields = [
        ("Privileged", json!(limits.privileged)),
        ("ReadonlyRootfs", json!(limits.read_only)),
        ("CapAdd", or_null(&limits.cap_add)),
        ("CapDrop", or_null(&limits.cap_drop)),
        ("Devices", limits.devices.iter().map(device).collect()),
        ("SecurityOpt", or_null(&security_options(limits))),
        ("PidsLimit", json!(limits.pids)),
        ("Ulimits", limits.ulimits.iter().map(ulimit).collect()),
        ("ShmSize", json!(limits.shm_bytes.unwrap_or(SHM))),
        ("Tmpfs", limits.tmpfs.iter().map(tmpfs).collect::<Map<_, _>>().into()),
        ("ExtraHosts", or_null(&hosts.collect::<Vec<_>>())),
        ("Dns", json!(limits.dns)),
        ("DnsSearch", json!(limits.dns_search)),
        ("DnsOptions", json!(limits.dns_options)),
        ("GroupAdd", or_null(&limits.groups)),
        ("Sysctls", json!(limits.sysctls)),
    ];
    for (name, value) in fields {
        config[name] = value;
    }
}

/// Some of Docker's lists are null, and not empty, where nothing was said.
fn or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn security_options(limits: &Limits) -> Vec<String> {
    let no_new = limits.no_new_privileges.map(|set| format!("no-new-privileges={set}"));
    let paths = limits.writable_system.then(|| "systempaths=unconfined".to_owned());
    no_new.into_iter().chain(paths).collect()
}
