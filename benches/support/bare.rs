// SPDX-License-Identifier: Apache-2.0
//! A VM with nothing in it but a shell on its serial port: mvm's own machine,
//! without agent, multiplexer and monitor.

use std::path::{Path, PathBuf};

use mvm::hypervisor::{BackendName, Share, VmConfig, VmHandle, Wish};
use mvm::state::Dirs;
use mvm_proto::hello::Nonce;

use crate::support::{Outcome, mvm};

#[path = "../../guest/initramfs.rs"]
#[allow(dead_code, reason = "no init of ours is built here")]
mod initramfs_archive;

const MEMORY_MIB: u64 = 512;

/// With the 9p mount that mvm makes.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=mmap,nodev v0 /v
/bin/busybox --install -s /bin
while [ ! -c /dev/vport0p1 ]; do sleep 0.01; done
exec 3<>/dev/vport0p1
export PATH=/bin
exec /bin/busybox sh <&3 >&3
";

/// An initramfs with a shell, the image's own.
pub fn initramfs(home: &Path, image: &str) -> Outcome<PathBuf> {
    let run = ["run", "--rm", "--pull=never", image, "cat", "/bin/busybox"];
    let busybox = mvm(home).args(run).output()?;
    if !busybox.status.success() {
        return Err(String::from_utf8_lossy(&busybox.stderr).into_owned().into());
    }
    let mut archive = initramfs_archive::Cpio::default();
    for directory in ["bin", "dev", "proc", "v"] {
        archive.add(directory, 0o040_755, (0, 0), &[]);
    }
    archive.add("dev/console", 0o020_600, (5, 1), &[]);
    archive.add("bin/busybox", 0o100_755, (0, 0), &busybox.stdout);
    archive.add("init", 0o100_755, (0, 0), INIT.as_bytes());
    let path = home.join("bare.cpio");
    std::fs::write(&path, archive.finish())?;
    Ok(path)
}

/// On QEMU, with one directory shared.
pub async fn start(home: &Path, initramfs: &Path, volume: &Path) -> Outcome<Box<dyn VmHandle>> {
    let dirs = Dirs::under(home);
    let wish = Wish::of(Some(BackendName::Qemu), &dirs)?;
    let (preflight, backend) = crate::support::host(&dirs, &wish, MEMORY_MIB)?;
    let directory = home.join("bare");
    std::fs::create_dir_all(&directory)?;
    let config = VmConfig {
        name: "bare".into(),
        vcpus: 1,
        memory_mib: MEMORY_MIB,
        disks: Vec::new(),
        shares: vec![Share::new("v0", volume.canonicalize()?, false)],
        guest_user: Default::default(),
        nics: Vec::new(),
        kernel: preflight.kernel.path,
        initramfs: initramfs.to_owned(),
        extra_arguments: Vec::new(),
        nonce: Nonce([7; 16]).to_hex(),
        data: directory.clone(),
        run: directory.clone(),
        log: directory,
    };
    Ok(backend.backend().start(config).await?)
}
