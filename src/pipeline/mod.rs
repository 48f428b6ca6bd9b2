// SPDX-License-Identifier: Apache-2.0
//! The way of a run, top to bottom: preflight, image, rootfs, init config,
//! network, boot, post-boot. Data goes forward only. `create` ends with the
//! record, `start` begins there.

mod create;
mod start;
mod visit;
mod volumes;

pub use visit::{Held, Visit, hold};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::copy::INJECTED;
use crate::error::{Failure, Result};
use crate::hypervisor::{self, Choice, MAX_VCPUS, Wish};
use crate::image::Progress;
use crate::monitor::{self, Attached, Attachment, End, Event, Streams};
use crate::preflight::{self, Environment, Places, Preflight, Requirements};
use crate::spec::{Blueprint, RunSpec, SecretContents, VmSpec};
use crate::state::{Claim, Dirs, Found, Phase, VmStore};
use crate::sys;
use crate::terminal;

/// What this host can do, and what of that a VM uses.
pub struct Host {
    preflight: Preflight,
    backend: Choice,
}

/// Whether what is worth knowing of this host is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notices {
    Shown,
    Hidden,
}

/// A VM on its way up, in the hands of its monitor.
pub struct Started {
    pub id: String,
    attached: Attached,
    /// Directory that is to go with the VM's end, and its store.
    vanishing: Option<(PathBuf, VmStore)>,
}

/// Makes a VM and starts it.
pub async fn run(
    dirs: &Dirs,
    spec: RunSpec,
    attachment: Attachment,
    progress: Arc<dyn Progress>,
) -> Result<Started> {
    check_input(&spec.vm, &attachment)?;
    let secrets = SecretContents::read(&spec.vm.secrets)?;
    let host = timed("preflight", || check(dirs, &spec.vm, Notices::Shown))?;
    let made = create::create(dirs, spec, &host, progress).await?;
    // What goes with its end is not started again.
    let kept = match made.claim.record.auto_remove {
        true => Ok(()),
        false => made.keep(),
    };
    let prepared = kept
        .and_then(|()| start::prepare(dirs, host, &made.blueprint, secrets, &made.claim))
        .and_then(|launch| made.write_cidfile().map(|()| launch));
    match prepared {
        Ok(mut launch) => {
            launch.inject = made.injects.then(|| made.claim.directory().join(INJECTED));
            spawn(launch, made.claim, attachment).await
        }
        Err(failure) => {
            made.claim.remove()?;
            Err(failure)
        }
    }
}

/// Makes a VM; its ID.
pub async fn create(dirs: &Dirs, spec: RunSpec, progress: Arc<dyn Progress>) -> Result<String> {
    let host = timed("preflight", || check(dirs, &spec.vm, Notices::Hidden))?;
    let mut made = create::create(dirs, spec, &host, progress).await?;
    made.claim.record.phase = Phase::Created;
    match made.keep().and_then(|()| made.claim.save()).and_then(|()| made.write_cidfile()) {
        Ok(()) => Ok(made.claim.record.id.clone()),
        Err(failure) => {
            made.claim.remove()?;
            Err(failure)
        }
    }
}

/// Whether what a start of this VM reads is there, before it is stopped for
/// that.
pub fn check_start(found: &Found) -> Result<()> {
    let directory = found.record.dirs.vm(&found.record.id);
    match Blueprint::read(&directory)? {
        Some(blueprint) => SecretContents::read(&blueprint.spec.secrets).map(drop),
        None => Ok(()),
    }
}

/// Starts a VM that exists. `None` if it runs, or someone else is starting it.
pub async fn start(found: &Found, mut attachment: Attachment) -> Result<Option<Started>> {
    let dirs = &found.record.dirs;
    let Held::Claimed(mut claim) = hold(found).await? else { return Ok(None) };
    let blueprint = Blueprint::read(claim.directory())?.ok_or_else(|| {
        Failure::new(format!("VM {} cannot be started again", claim.record.name))
            .hint("it was made with --rm, or by an mvm that did not keep how")
    })?;
    check_input(&blueprint.spec, &attachment)?;
    let secrets = SecretContents::read(&blueprint.spec.secrets)?;
    // Docker's difference between this and a run.
    attachment.sig_proxy &= !blueprint.spec.tty;
    let host = timed("preflight", || check(dirs, &blueprint.spec, Notices::Shown))?;
    claim.record.backend = host.backend.backend().name().into();
    let mut launch = start::prepare(dirs, host, &blueprint, secrets, &claim)?;
    launch.inject = injected(&claim);
    claim.record.phase = Phase::Starting;
    claim.save()?;
    spawn(launch, claim, attachment).await.map(Some)
}

/// Files that a VM was made with and that are not on its disk yet.
fn injected(claim: &Claim) -> Option<PathBuf> {
    Some(claim.directory().join(INJECTED)).filter(|path| path.exists())
}

async fn spawn(
    mut launch: monitor::Launch,
    claim: Claim,
    attachment: Attachment,
) -> Result<Started> {
    if attachment.streams != Streams::default()
        && let Some(size) = launch.process.terminal.as_mut()
    {
        *size = terminal::size().map(Into::into).unwrap_or_default();
    }
    launch.tell_cost = tracing::enabled!(tracing::Level::INFO);
    let record = &claim.record;
    let place = || (claim.directory().to_owned(), VmStore::new(&record.dirs));
    let vanishing = record.auto_remove.then(place);
    let id = record.id.clone();
    let attached = monitor::spawn(launch, claim, attachment).await?;
    Ok(Started { id, attached, vanishing })
}

impl Started {
    /// Stays until the command has ended, or this one leaves it.
    pub async fn to_the_end(self) -> Result<End> {
        let ended = self.attached.run(report).await;
        if !matches!(ended, Ok(End::Left(_))) {
            tidy(self.vanishing);
        }
        ended
    }

    /// Stays until the command has started: the VM's ID.
    pub async fn in_background(self) -> Result<String> {
        match self.attached.until_started(report).await {
            Ok(()) => Ok(self.id),
            Err(failure) => {
                tidy(self.vanishing);
                Err(failure)
            }
        }
    }
}

/// A terminal in the VM that is typed on needs one here.
fn check_input(spec: &VmSpec, attachment: &Attachment) -> Result<()> {
    match spec.tty && spec.stdin && attachment.streams.stdin {
        true => terminal::check_input(),
        false => Ok(()),
    }
}

/// Takes away a VM whose monitor died before it could.
fn tidy(vanishing: Option<(PathBuf, VmStore)>) {
    if let Some((directory, vms)) = vanishing
        && directory.exists()
    {
        let _ = vms.list();
    }
}

/// Can this host do it, and with what.
fn check(dirs: &Dirs, spec: &VmSpec, notices: Notices) -> Result<Host> {
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
    let backend = hypervisor::choose(&preflight.facts, &wish)?;
    if notices == Notices::Shown {
        for warning in &preflight.warnings {
            eprintln!("warning: {warning}\nhint: {}", warning.hint());
        }
        if let Some(notice) = preflight::emulation_notice(&preflight.facts.hypervisor) {
            eprintln!("{notice}");
        }
    }
    Ok(Host { preflight, backend })
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
        Event::Exited { oom_killed: true, .. } => eprintln!(
            "warning: the VM ran out of memory, and its kernel killed the command\n\
             hint: give it more with --memory"
        ),
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
