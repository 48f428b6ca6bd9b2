// SPDX-License-Identifier: Apache-2.0
//! `mvm system df`

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::format::{self, Output, table_for_people};
use super::images;
use crate::collect;
use crate::error::Result;
use crate::image::{DiskUsage, ImageUsage, Store, allocated_bytes};
use crate::state::{Dirs, Found, VmStore};

/// Show how much of the disk is used
#[derive(Debug, Args)]
pub struct DfArgs {
    /// By image and VM
    #[arg(short, long)]
    verbose: bool,
    /// table, json, or a template such as '{{.Type}}: {{.Size}}'
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
}

/// A line of the overview. Bytes are those on the disk.
#[derive(Serialize)]
struct Row {
    #[serde(rename = "type")]
    kind: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

/// A VM and the bytes of its directory: disk and logs.
struct Vm {
    found: Found,
    bytes: u64,
}

pub fn run(dirs: &Dirs, args: &DfArgs) -> Result<u8> {
    let output = Output::parse(&args.format)?;
    let usage = collect::usage(dirs)?;
    let images = Store::open(&dirs.data)?.disk_usage(&usage)?;
    let measured = |found: Found| {
        let bytes = allocated_bytes(&dirs.vm(&found.record.id));
        Vm { found, bytes }
    };
    let vms: Vec<Vm> = VmStore::new(dirs).list()?.into_iter().map(measured).collect();
    super::print(&match (args.verbose, &output) {
        (true, Output::Json) => verbose_json(&images, &vms),
        (true, _) => verbose(&images, &vms),
        (false, _) => overview(
            &output,
            &[image_row(&images), vm_row(&vms, &images), cache_row(dirs, &images)],
        )?,
    })?;
    Ok(0)
}

fn image_row(images: &DiskUsage) -> Row {
    Row {
        kind: "Images",
        total: images.images.len(),
        active: images.images.iter().filter(|image| !image.users.is_empty()).count(),
        size: images.bytes,
        reclaimable: images.reclaimable,
    }
}

/// With the disk images that only VMs need.
fn vm_row(vms: &[Vm], images: &DiskUsage) -> Row {
    let sum = |wanted: &dyn Fn(&Vm) -> bool| -> u64 {
        vms.iter().filter(|vm| wanted(vm)).map(|vm| vm.bytes).sum()
    };
    Row {
        kind: "VMs",
        total: vms.len(),
        active: vms.iter().filter(|vm| vm.found.alive).count(),
        size: sum(&|_| true) + images.vm_layer_bytes,
        reclaimable: sum(&|vm| !vm.found.alive),
    }
}

/// What can be made or fetched again: leftovers of pulls, which a prune takes,
/// templates of disks, the guest's kernel and initramfs.
fn cache_row(dirs: &Dirs, images: &DiskUsage) -> Row {
    let made = std::fs::read_dir(&dirs.cache).map_or(0, Iterator::count) + images.templates;
    let made_bytes = allocated_bytes(&dirs.cache) + images.template_bytes;
    Row {
        kind: "Cache",
        total: made + images.leftovers,
        active: made,
        size: made_bytes + images.leftover_bytes,
        reclaimable: images.leftover_bytes,
    }
}

fn overview(output: &Output, rows: &[Row]) -> Result<String> {
    let cells = |row: &Row| {
        vec![
            row.kind.to_owned(),
            row.total.to_string(),
            row.active.to_string(),
            format::size(row.size),
            reclaimable(row),
        ]
    };
    let header = ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"];
    let fields = [
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ];
    output.render(rows, (&header, cells), rows.iter().map(|row| json!(row)), (&fields, cells))
}

fn reclaimable(row: &Row) -> String {
    let size = format::size(row.reclaimable);
    match row.size {
        0 => size,
        all => format!("{size} ({}%)", row.reclaimable * 100 / all),
    }
}

fn verbose(images: &DiskUsage, vms: &[Vm]) -> String {
    let none = || "<none>".to_owned();
    let mut rows = Vec::new();
    for image in &images.images {
        for name in &image.names {
            rows.push(vec![
                name.repository.clone().unwrap_or_else(none),
                name.reference.as_ref().and_then(|r| r.tag()).map_or_else(none, str::to_owned),
                name.id.short().to_owned(),
                images::created(name),
                format::size(image.bytes),
                format::size(image.shared),
                format::size(image.bytes - image.shared),
                image.users.len().to_string(),
            ]);
        }
    }
    let header =
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "VMS"];
    let mut text = format!("Images space usage:\n\n{}\n", table_for_people(&header, &rows));
    let rows: Vec<Vec<String>> = vms.iter().map(vm_cells).collect();
    let header = ["VM ID", "IMAGE", "SIZE", "CREATED", "STATE", "NAMES"];
    text += &format!("VMs space usage:\n\n{}\n", table_for_people(&header, &rows));
    let leftovers = format::size(images.leftover_bytes);
    text += &format!("Leftovers of pulls: {} ({leftovers})\n", images.leftovers);
    text
}

fn vm_cells(vm: &Vm) -> Vec<String> {
    let record = &vm.found.record;
    vec![
        record.id.chars().take(12).collect(),
        record.image.reference.clone(),
        format::size(vm.bytes),
        format::ago(record.created_ms),
        vm.found.phase().to_string(),
        record.name.clone(),
    ]
}

fn verbose_json(images: &DiskUsage, vms: &[Vm]) -> String {
    let image = |image: &ImageUsage| {
        let names: Vec<_> = image.names.iter().filter_map(|name| name.reference.as_ref()).collect();
        json!({
            "id": image.names.first().map(|name| name.id.to_string()),
            "names": names.iter().map(|name| name.familiar()).collect::<Vec<_>>(),
            "size": image.bytes,
            "shared": image.shared,
            "unique": image.bytes - image.shared,
            "vms": image.users,
        })
    };
    let vm = |vm: &Vm| {
        let record = &vm.found.record;
        json!({"id": record.id, "name": record.name, "image": record.image.reference,
            "size": vm.bytes, "phase": vm.found.phase()})
    };
    let document = json!({
        "images": images.images.iter().map(image).collect::<Vec<_>>(),
        "vms": vms.iter().map(vm).collect::<Vec<_>>(),
        "leftovers": images.leftovers,
        "leftover_bytes": images.leftover_bytes,
    });
    document.to_string() + "\n"
}
