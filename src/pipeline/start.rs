// SPDX-License-Identifier: Apache-2.0
//! From a VM on disk to its monitor: rootfs, init config, network, launch.

use std::path::PathBuf;
use std::time::Duration;

use mvm_proto::hello::Nonce;
use mvm_proto::{InitConfig, MessageField};

use super::{Host, timed, volumes};
use crate::confine::GuestUser;
use crate::error::{Failure, Result};
use crate::hypervisor::{Choice, PreparedRootFs, RootFs, VmConfig};
use crate::monitor::{Launch, StopOrder, Streams};
use crate::net::{Attachment, HypervisorUser, NoNetwork, Provider};
#[cfg(unix)]
use crate::net::{Passt, passt};
#[cfg(unix)]
use crate::preflight;
use crate::rootfs::{self, upper};
use crate::spec::{Blueprint, Network, SecretContents};
use crate::state::{Claim, Dirs, Phase, Record};

/// How long a guest may take to report when nothing else is said.
const BOOT_WINDOW: Duration = Duration::from_secs(30);
/// Emulation is slow, and the machine may be busy.
const EMULATED_BOOT_WINDOW: Duration = Duration::from_secs(180);

/// Everything between the record and the boot. Leaves the VM as it was if it
/// fails.
pub fn prepare(
    dirs: &Dirs,
    host: Host,
    blueprint: &Blueprint,
    secrets: SecretContents,
    claim: &Claim,
) -> Result<Launch> {
    let (spec, image) = (&blueprint.spec, &blueprint.image);
    let Host { preflight, backend } = host;
    let rootfs = timed("rootfs", || make_rootfs(dirs, blueprint, &backend, claim))?;
    let network =
        timed("network", || Ok(provider(spec.network, &backend)?.attach(&claim.record.id)))?;
    let network_program = network.as_ref().and_then(|attachment| attachment.program.clone());
    let capabilities = backend.backend().capabilities();
    let shares = volumes::shares(&spec.all_volumes(image)?, capabilities, claim.directory())?;
    let vm = VmConfig {
        name: claim.record.name.clone(),
        vcpus: claim.record.vcpus,
        memory_mib: spec.memory_mib,
        disks: rootfs.disks,
        shares: shares.host,
        guest_user: guest_user(blueprint),
        nics: network.iter().map(|attachment| attachment.nic.clone()).collect(),
        kernel: preflight.kernel.path.clone(),
        initramfs: initramfs(dirs)?,
        extra_arguments: Vec::new(),
        nonce: nonce()?.to_hex(),
        data: claim.directory().to_owned(),
        run: dirs.vm_runtime(&claim.record.id),
        log: claim.directory().to_owned(),
    };
    let mut init = init_config(blueprint, &claim.record, rootfs.guest, shares.guest, network)?;
    init.secrets = spec.guest_secrets(image, secrets);
    let default_window = match preflight.accelerated() {
        true => BOOT_WINDOW,
        false => EMULATED_BOOT_WINDOW,
    };
    let boot_window = spec.boot_window.unwrap_or(default_window);
    Ok(Launch {
        dirs: dirs.clone(),
        id: claim.record.id.clone(),
        backend,
        vm,
        network_program,
        boot_window_ms: u64::try_from(boot_window.as_millis()).unwrap_or(u64::MAX),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        attached: Streams::default(),
        tell_cost: false,
        log: spec.log,
        stop: StopOrder {
            signal: spec.stop_signal(image),
            grace_ms: spec.stop_timeout.unwrap_or_default().millis(),
        },
        init,
        inject: None,
        process: spec.process(image)?,
        hidden: spec.secret_variables(),
        ssh_keys: spec.ssh_keys.clone(),
    })
}

/// The disk of a VM that was started before is kept; another one is made anew,
/// since what was killed on the way to its first start may have left half of it.
fn make_rootfs(
    dirs: &Dirs,
    blueprint: &Blueprint,
    backend: &Choice,
    claim: &Claim,
) -> Result<PreparedRootFs> {
    let directory = claim.directory();
    let upper = directory.join("upper.img");
    let failed = |e| Failure::cannot("make the VM's disk", e);
    let first = matches!(claim.record.phase, Phase::Creating | Phase::Created);
    if first && !claim.record.has_disk {
        match std::fs::remove_file(&upper) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        upper::create(&upper, blueprint.spec.disk_mib, &dirs.data.join("uppers"))
            .map_err(failed)?;
    } else if !upper.exists() {
        return Err(Failure::new(format!("the VM's disk {} is gone", upper.display()))
            .hint("mvm rm it, and run its image again"));
    }
    if let Some(layer) = blueprint.layers.iter().find(|layer| !layer.path.exists()) {
        return Err(Failure::new(format!("the layer {} is gone", layer.path.display()))
            .hint("pull the VM's image again"));
    }
    let rootfs = RootFs {
        layers: blueprint.layers.clone(),
        upper,
        read_only: false,
        ephemeral: claim.record.auto_remove,
    };
    backend.backend().prepare_rootfs(&rootfs, directory).map_err(Failure::from)
}

/// Looked up only where there are files to own.
fn guest_user(blueprint: &Blueprint) -> GuestUser {
    let (spec, image) = (&blueprint.spec, &blueprint.image);
    if spec.volumes.is_empty() {
        return GuestUser::default();
    }
    let layers: Vec<PathBuf> = blueprint.layers.iter().map(|layer| layer.path.clone()).collect();
    rootfs::user::of_workload(spec.user.as_ref().unwrap_or(&image.user), &layers)
}

/// One document for the guest; it reaches it over the channel only.
fn init_config(
    blueprint: &Blueprint,
    record: &Record,
    root: mvm_proto::RootFs,
    shares: Vec<mvm_proto::Share>,
    network: Option<Attachment>,
) -> Result<InitConfig> {
    let spec = &blueprint.spec;
    // passt's gateway is no way to the host.
    let to_host = network.as_ref().filter(|attachment| attachment.program.is_none());
    let gateway = to_host.map(|attachment| attachment.guest.gateway.clone());
    let (network, nameservers) = match network {
        Some(attachment) => (Some(attachment.guest), attachment.nameservers),
        None => (None, Vec::new()),
    };
    let mut init = InitConfig {
        hostname: spec.hostname.clone().unwrap_or_else(|| record.id[..12].to_owned()),
        root: MessageField::some(root),
        shares,
        network: MessageField::from_option(network),
        nameservers,
        ..Default::default()
    };
    let cwd = spec.workdir.as_ref().unwrap_or(&blueprint.image.working_dir);
    spec.limits.apply_to_machine(&mut init, gateway.as_deref(), cwd.as_bytes())?;
    Ok(init)
}

#[cfg(unix)]
fn user_network() -> Option<Box<dyn Provider>> {
    let program = preflight::find_program(passt::PROGRAM, std::env::var_os("PATH").as_deref())?;
    Some(Box::new(Passt { program }))
}

#[cfg(windows)]
fn user_network() -> Option<Box<dyn Provider>> {
    None
}

/// The hypervisor's own user-mode network, or else one that is installed.
fn provider(network: Network, backend: &Choice) -> Result<Box<dyn Provider>> {
    let backend = backend.backend();
    match network {
        Network::None => Ok(Box::new(NoNetwork)),
        Network::User if backend.capabilities().user_network => Ok(Box::new(HypervisorUser)),
        Network::User => match user_network() {
            Some(provider) => Ok(provider),
            None => Err(Failure::new(format!(
                "the {} backend needs passt for --network user, and it is not installed",
                backend.name()
            ))
            .hint("install the package passt, or use --network none or --backend qemu")),
        },
    }
}

/// `MVM_INITRAMFS` names one in place of our own.
fn initramfs(dirs: &Dirs) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MVM_INITRAMFS").filter(|path| !path.is_empty()) {
        return std::path::absolute(PathBuf::from(path))
            .map_err(|e| Failure::cannot("use MVM_INITRAMFS", e));
    }
    crate::initramfs::path(&dirs.cache).map_err(|e| Failure::cannot("write the initramfs", e))
}

fn nonce() -> Result<Nonce> {
    let mut nonce = Nonce([0; 16]);
    getrandom::fill(&mut nonce.0).map_err(|e| Failure::cannot("get random bytes", e))?;
    Ok(nonce)
}
