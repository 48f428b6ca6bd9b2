// SPDX-License-Identifier: Apache-2.0
//! Starts a VM by a real backend, with this program as its VMM, and prints how
//! it ended. A process of its own, so that it can be another user's.

use std::path::Path;
use std::process::ExitCode;

use mvm::confine::{self, Bind, GuestUser, Policy, Subject};
use mvm::hypervisor::libkrun::Libkrun;
use mvm::hypervisor::qemu::{Accelerator, Qemu};
use mvm::hypervisor::{Backend, Disk, DiskFormat, Share, VmConfig};

use crate::attempts::{Targets, VARIABLE};

/// What to start.
pub const QEMU: &str = "qemu";
pub const LIBKRUN: &str = "libkrun";
/// The program that misbehaves, with the rights of the user.
pub const UNCONFINED: &str = "unconfined";
/// A program that is told which walls it has got.
pub const FITTING: &str = "fitting";
/// Another one, that no kernel makes a user namespace for.
pub const MISFIT: &str = "misfit";
/// That one again, which is to see a file in another place.
pub const BOUND: &str = "bound";

pub fn main(what: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let said = runtime.expect("a runtime").block_on(async {
        let program = std::env::current_exe().expect("this program");
        match what {
            LIBKRUN => vm(&Libkrun {}).await,
            QEMU => {
                let accelerator = Accelerator::Tcg { tsc_khz: None };
                vm(&Qemu { program, accelerator, sandbox: false }).await
            }
            UNCONFINED => {
                let command = std::process::Command::new(&program).arg("-nodefaults").output();
                String::from_utf8_lossy(&command.expect("run it").stderr).into_owned()
            }
            FITTING => walls(&program, 33, Vec::new()).await,
            MISFIT => walls(&program, u32::MAX, Vec::new()).await,
            _ => {
                let (source, target) = (program.clone(), program.with_file_name("place"));
                std::fs::write(&target, "").expect("write a file");
                let bind = Bind { source, target, read_only: true };
                walls(&program, u32::MAX, vec![bind]).await
            }
        }
    });
    println!("{said}");
    ExitCode::SUCCESS
}

async fn vm(backend: &dyn Backend) -> String {
    let text = std::env::var(VARIABLE).expect("the targets");
    let targets: Targets = serde_json::from_str(&text).expect("the targets");
    let directory = targets.disk.parent().expect("a directory").to_owned();
    let disk = Disk {
        serial: "upper".into(),
        path: targets.disk.clone(),
        parts: Vec::new(),
        format: DiskFormat::Raw,
        read_only: false,
        ephemeral: true,
    };
    // One file of a directory that has a key in it.
    let share = Share {
        tag: "files".into(),
        source: directory.join("volumes"),
        read_only: false,
        parts: vec![targets.home.join(".ssh/shown")],
    };
    let config = VmConfig {
        name: text,
        vcpus: 1,
        memory_mib: 64,
        disks: vec![disk],
        shares: vec![share],
        guest_user: GuestUser { uid: 33, gid: 44 },
        nics: Vec::new(),
        kernel: targets.kernel.clone(),
        initramfs: targets.kernel,
        extra_arguments: Vec::new(),
        nonce: "00".repeat(16),
        data: directory.clone(),
        run: directory.clone(),
        log: directory,
    };
    match backend.start(config).await {
        Ok(mut vm) => format!("{:?}", vm.wait().await),
        Err(error) => format!("not started: {error}"),
    }
}

/// Which walls there are around a program whose user has this number inside.
async fn walls(program: &Path, uid: u32, binds: Vec<Bind>) -> String {
    let mut policy = Policy {
        guest_user: GuestUser { uid, gid: 0 },
        read: confine::library_places(program),
        execute: confine::loader_of(program),
        binds,
        ..Policy::default()
    };
    policy.execute.push(program.to_owned());
    let mut command = tokio::process::Command::new(program);
    command.arg("--list").stdout(std::process::Stdio::null()).current_dir("/");
    match confine::spawn(&mut command, &policy, Subject::Program, || false) {
        Ok((mut child, report)) => {
            format!("{} with {report}", child.wait().await.expect("wait for it"))
        }
        Err(error) => format!("not started: {error}"),
    }
}
