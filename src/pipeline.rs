// SPDX-License-Identifier: Apache-2.0
//! The way of a run, top to bottom: preflight, image, rootfs, init config,
//! network, boot, post-boot. Data goes forward only.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mvm_proto::hello::Nonce;
use mvm_proto::{InitConfig, MessageField};

use crate::config::Config;
use crate::confine::GuestUser;
use crate::error::{Failure, Result};
use crate::hypervisor::{
    self, Choice, LayerDisk, MAX_VCPUS, PreparedRootFs, RootFs, Share, ShareKind, VmConfig, Wish,
};
use crate::image::{
    Image, LayerImage, LoadOptions, Progress, PullOptions, PullPolicy, Reference, Source, Store,
};
use crate::monitor::{self, Event, Launch};
use crate::net::{Attachment, HypervisorUser, NoNetwork, Provider};
#[cfg(unix)]
use crate::net::{Passt, passt};
use crate::preflight::{self, Environment, Places, Preflight, Requirements};
use crate::rootfs::{self, upper};
use crate::spec::{Network, RunSpec};
use crate::state::{Claim, Dirs, ImageRecord, Phase, Record, SCHEMA, VmStore, now_ms, random_id};
use crate::sys;

/// How long a guest may take to report when nothing else is said.
const BOOT_WINDOW: Duration = Duration::from_secs(30);
/// Emulation is slow, and the machine may be busy.
const EMULATED_BOOT_WINDOW: Duration = Duration::from_secs(180);

/// What came of a run.
pub enum Outcome {
    /// The command ended, with this code.
    Exited(u8),
    /// The command runs in the VM of this ID.
    Detached(String),
}

/// Runs a command in a new VM, to its end or, detached, until it has started.
pub async fn run(dirs: &Dirs, spec: RunSpec, progress: Arc<dyn Progress>) -> Result<Outcome> {
    let vms = VmStore::new(dirs);
    let (preflight, backend) = timed("preflight", || check(dirs, &spec))?;
    vms.check_name_is_free(&spec.name)?;
    let image = {
        let _phase = Timed::begin("image");
        pull(dirs, &spec, progress).await?
    };
    let claim = vms.create(record(dirs, &spec, &image, &backend)?)?;
    let prepared = prepare(dirs, &spec, &preflight, backend, &image, &claim)
        .and_then(|launch| write_cidfile(&spec, &claim).map(|()| launch));
    // From here on the record pins the layers; the image held the collector off.
    drop(image);
    match prepared {
        Ok(launch) => {
            let directory = claim.directory().to_owned();
            let id = claim.record.id.clone();
            let attached = monitor::spawn(launch, claim).await?;
            let ended = match spec.detach {
                true => attached.until_started(report).await.map(|()| Outcome::Detached(id)),
                false => attached.run(report).await.map(Outcome::Exited),
            };
            if ended.as_ref().is_ok_and(|outcome| matches!(outcome, Outcome::Detached(_))) {
                return ended;
            }
            if spec.auto_remove && directory.exists() {
                // The monitor died: this takes away what it was to.
                let _ = vms.list();
            }
            ended
        }
        Err(failure) => {
            claim.remove()?;
            Err(failure)
        }
    }
}

fn write_cidfile(spec: &RunSpec, claim: &Claim) -> Result<()> {
    let Some(path) = &spec.cidfile else { return Ok(()) };
    let written = File::options()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(claim.record.id.as_bytes()));
    written.map_err(|e| {
        let failure = Failure::cannot(format!("write the VM's ID to {}", path.display()), &e);
        match e.kind() {
            ErrorKind::AlreadyExists => failure.hint("it may be another VM's; remove it first"),
            _ => failure,
        }
    })
}

/// Can this host do it, and with what.
fn check(dirs: &Dirs, spec: &RunSpec) -> Result<(Preflight, Choice)> {
    let wish = Wish::of(spec.backend, dirs)?;
    let requirements = Requirements {
        ram_mib: spec.memory_mib,
        vcpus: spec.vcpus(),
        max_vcpus: MAX_VCPUS,
        qemu: wish.qemu_need(),
        kernel: spec.kernel.clone(),
        environment: Environment::of_process(),
    };
    let places = Places { data: &dirs.data, cache: &dirs.cache, runtime: &dirs.runtime };
    let preflight = preflight::check(&requirements, places)?;
    for warning in &preflight.warnings {
        eprintln!("warning: {warning}\nhint: {}", warning.hint());
    }
    let backend = hypervisor::choose(&preflight.facts, &wish)?;
    if let Some(notice) = preflight::emulation_notice(&preflight.facts.hypervisor) {
        eprintln!("{notice}");
    }
    Ok((preflight, backend))
}

/// Resolve, pull, verify, convert; nothing to do when it is cached.
async fn pull(dirs: &Dirs, spec: &RunSpec, progress: Arc<dyn Progress>) -> Result<Image> {
    let store = Store::open(&dirs.data)?;
    let options = PullOptions {
        policy: spec.pull,
        platform: spec.platform.clone(),
        progress,
        ..Config::of(dirs)?.pull_options()
    };
    let name = match &spec.source {
        Source::Name(name) => name,
        Source::Local(source) => {
            let options = LoadOptions { pull: options, ..LoadOptions::default() };
            return Ok(store.load_one(source, &options).await?.image);
        }
    };
    if is_image_id(name)
        && spec.pull != PullPolicy::Always
        && let Ok(image) = store.resolve(name)
    {
        return Ok(image);
    }
    let reference: Reference = name.parse()?;
    Ok(store.pull(&reference, &options).await?)
}

/// Whether a word may be the ID of an image, or the start of one, as well as a
/// reference.
fn is_image_id(word: &str) -> bool {
    let digits = word.strip_prefix("sha256:").unwrap_or(word);
    (3..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

fn record(dirs: &Dirs, spec: &RunSpec, image: &Image, backend: &Choice) -> Result<Record> {
    let command = spec.command(&image.config)?;
    Ok(Record {
        schema: SCHEMA,
        id: random_id()?,
        name: spec.name.clone(),
        created_ms: now_ms(),
        image: ImageRecord {
            reference: shown(spec, image),
            id: image.id.to_string(),
            manifest_digest: image.manifest_digest.to_string(),
            layers: image.layers.iter().map(|layer| layer.path.clone()).collect(),
        },
        command: command.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect(),
        backend: backend.backend().name().into(),
        vcpus: spec.vcpus(),
        memory_mib: spec.memory_mib,
        network: spec.network.name().into(),
        auto_remove: spec.auto_remove,
        phase: Phase::Creating,
        started_ms: None,
        exit: None,
        dirs: dirs.clone(),
        monitor_pid: None,
        other: serde_json::Map::new(),
    })
}

/// What `mvm ps` calls the image: as it was typed, but for a file the name that
/// it has now, and for stdin at least the ID.
fn shown(spec: &RunSpec, image: &Image) -> String {
    match (&spec.source, &image.reference) {
        (Source::Local(_), Some(reference)) => reference.familiar(),
        (Source::Local(source), None) if source.is_stdin() => image.id.short().to_owned(),
        _ => spec.image.clone(),
    }
}

/// Everything between the image and the boot.
fn prepare(
    dirs: &Dirs,
    spec: &RunSpec,
    preflight: &Preflight,
    backend: Choice,
    image: &Image,
    claim: &Claim,
) -> Result<Launch> {
    let rootfs = timed("rootfs", || make_rootfs(dirs, spec, &backend, image, claim))?;
    let network =
        timed("network", || Ok(provider(spec.network, &backend)?.attach(&claim.record.id)))?;
    let network_program = network.as_ref().and_then(|attachment| attachment.program.clone());
    let shares = shares(spec, &backend)?;
    let vm = VmConfig {
        name: claim.record.name.clone(),
        vcpus: claim.record.vcpus,
        memory_mib: spec.memory_mib,
        disks: rootfs.disks,
        shares,
        guest_user: guest_user(spec, image),
        nics: network.iter().map(|attachment| attachment.nic.clone()).collect(),
        kernel: preflight.kernel.path.clone(),
        initramfs: initramfs(dirs)?,
        extra_arguments: Vec::new(),
        nonce: nonce()?.to_hex(),
        data: claim.directory().to_owned(),
        run: dirs.vm_runtime(&claim.record.id),
        log: claim.directory().to_owned(),
    };
    let kind = backend.backend().capabilities().share_kind;
    let init = init_config(spec, &claim.record, rootfs.guest, &vm.shares, network, kind);
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
        init,
        process: spec.process(&image.config)?,
    })
}

fn make_rootfs(
    dirs: &Dirs,
    spec: &RunSpec,
    backend: &Choice,
    image: &Image,
    claim: &Claim,
) -> Result<PreparedRootFs> {
    let upper = claim.directory().join("upper.img");
    upper::create(&upper, spec.disk_mib, &dirs.data.join("uppers"))
        .map_err(|e| Failure::cannot("make the VM's disk", e))?;
    let layer = |layer: &LayerImage| LayerDisk {
        path: layer.path.clone(),
        implied_dirs: layer.implied_dirs.clone(),
    };
    let rootfs = RootFs {
        layers: image.layers.iter().map(layer).collect(),
        upper,
        read_only: false,
        ephemeral: spec.auto_remove,
    };
    backend.backend().prepare_rootfs(&rootfs, claim.directory()).map_err(Failure::from)
}

fn shares(spec: &RunSpec, backend: &Choice) -> Result<Vec<Share>> {
    let most = backend.backend().capabilities().max_shares;
    if spec.volumes.len() > most {
        return Err(Failure::new(format!(
            "{} volumes; the {} backend takes {most}",
            spec.volumes.len(),
            backend.backend().name()
        ))
        .hint("mount a directory that holds them all"));
    }
    let share = |(index, volume): (usize, &crate::spec::Volume)| Share {
        tag: format!("v{index}"),
        source: volume.source.clone(),
        read_only: volume.read_only,
        parts: Vec::new(),
    };
    Ok(spec.volumes.iter().enumerate().map(share).collect())
}

/// Looked up only where there are files to own.
fn guest_user(spec: &RunSpec, image: &Image) -> GuestUser {
    if spec.volumes.is_empty() {
        return GuestUser::default();
    }
    let layers: Vec<PathBuf> = image.layers.iter().map(|layer| layer.path.clone()).collect();
    rootfs::user::of_workload(spec.user.as_ref().unwrap_or(&image.config.user), &layers)
}

/// One document for the guest; it reaches it over the channel only.
fn init_config(
    spec: &RunSpec,
    record: &Record,
    root: mvm_proto::RootFs,
    shares: &[Share],
    network: Option<Attachment>,
    kind: ShareKind,
) -> InitConfig {
    let kind = match kind {
        ShareKind::NineP => mvm_proto::ShareKind::NINE_P,
        ShareKind::VirtioFs => mvm_proto::ShareKind::VIRTIO_FS,
    };
    let mount = |(share, volume): (&Share, &crate::spec::Volume)| mvm_proto::Share {
        kind: kind.into(),
        tag: share.tag.clone(),
        target: volume.target.clone(),
        read_only: volume.read_only,
        ..Default::default()
    };
    let (network, nameservers) = match network {
        Some(attachment) => (Some(attachment.guest), attachment.nameservers),
        None => (None, Vec::new()),
    };
    InitConfig {
        hostname: spec.hostname.clone().unwrap_or_else(|| record.id[..12].to_owned()),
        root: MessageField::some(root),
        shares: shares.iter().zip(&spec.volumes).map(mount).collect(),
        network: MessageField::from_option(network),
        nameservers,
        ..Default::default()
    }
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

/// Tells how long a phase took, when it ends.
struct Timed {
    name: &'static str,
    begun: Instant,
}

impl Timed {
    fn begin(name: &'static str) -> Self {
        Self { name, begun: Instant::now() }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        show_phase(self.name, self.begun.elapsed());
    }
}

fn timed<T>(name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _phase = Timed::begin(name);
    tracing::debug_span!("phase", name).in_scope(work)
}

/// Phases that the monitor goes through, and at the end what they cost.
fn report(event: &Event) {
    match event {
        Event::Warning(text) => eprintln!("warning: {text}"),
        Event::Cost(cost) => {
            for (name, micros) in &cost.phases {
                show_phase(name, Duration::from_micros(*micros));
            }
            show_phase("cpu mvm", Duration::from_micros(sys::cpu_micros()));
            show_phase("cpu mon.", Duration::from_micros(cost.monitor_cpu_micros));
            tracing::info!(
                "guest clock: init {} ms, configured {} ms, exec {} ms",
                cost.init_ms,
                cost.configured_ms,
                cost.exec_ms
            );
        }
        _ => {}
    }
}

fn show_phase(name: &str, took: Duration) {
    tracing::info!("{name:<10} {:>9.1} ms", took.as_secs_f64() * 1e3);
}
