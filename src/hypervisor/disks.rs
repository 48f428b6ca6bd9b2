// SPDX-License-Identifier: Apache-2.0
//! A root file system as the two virtio disks that QEMU and libkrun take: all
//! layers on one, the upper on the other, found by their serials.

use std::path::Path;

use mvm_proto::DEVICE_BY_SERIAL;

use super::{Disk, DiskFormat, PreparedRootFs, RootFs, VmError};
use crate::rootfs::layers;

const LAYERS: &str = "layers";
const UPPER: &str = "upper";

/// As `Backend::prepare_rootfs` promises.
pub fn prepare(rootfs: &RootFs, directory: &Path) -> Result<PreparedRootFs, VmError> {
    let mut disks = Vec::new();
    let mut table = Vec::new();
    if !rootfs.layers.is_empty() {
        let path = directory.join("layers.vmdk");
        table = layers::write_descriptor(&path, &rootfs.layers)
            .map_err(VmError::io("lay out the layers' disk"))?;
        disks.push(Disk {
            serial: LAYERS.into(),
            path,
            parts: rootfs.layers.iter().map(|layer| layer.path.clone()).collect(),
            format: DiskFormat::Vmdk,
            read_only: true,
            ephemeral: false,
        });
    }
    disks.push(Disk {
        serial: UPPER.into(),
        path: rootfs.upper.clone(),
        parts: Vec::new(),
        format: DiskFormat::Raw,
        read_only: false,
        ephemeral: rootfs.ephemeral,
    });
    let guest = mvm_proto::RootFs {
        layers_device: format!("{DEVICE_BY_SERIAL}{LAYERS}"),
        layers: table,
        upper_device: format!("{DEVICE_BY_SERIAL}{UPPER}"),
        read_only: rootfs.read_only,
        ..Default::default()
    };
    Ok(PreparedRootFs { disks, guest })
}
