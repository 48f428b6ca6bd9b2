// SPDX-License-Identifier: Apache-2.0
//! All layers of an image as one read-only disk: a flat VMDK descriptor
//! (VMware Virtual Disk Format 1.1, "twoGbMaxExtentFlat") that lays the shared
//! layer files end to end, and the table of where each begins.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mvm_proto::Layer;

use crate::hypervisor::LayerDisk;
use crate::state::{Durability, replace_file_with};

const SECTOR: u64 = 512;

/// Writes the descriptor at `descriptor` over the layer files, bottom first,
/// and gives their places on the disk in the same order.
pub fn write_descriptor(descriptor: &Path, layers: &[LayerDisk]) -> io::Result<Vec<Layer>> {
    let directory = descriptor.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut table = Vec::with_capacity(layers.len());
    let mut extents = String::new();
    let mut offset = 0;
    for LayerDisk { path, implied_dirs } in layers {
        let length = fs::metadata(path)?.len();
        if length == 0 || length % SECTOR != 0 {
            let message = format!("layer {} has {length} bytes, not whole sectors", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let name = relative(directory, path)?;
        // The reader takes RW extents only; the disk itself is attached read-only.
        let _ = writeln!(extents, "RW {} FLAT \"{name}\" 0", length / SECTOR);
        table.push(Layer {
            offset,
            length,
            implied_dirs: implied_dirs.clone(),
            ..Layer::default()
        });
        offset += length;
    }
    // Made anew at each start: it need not be synced.
    let document = document(offset / SECTOR, &extents);
    replace_file_with(descriptor, document.as_bytes(), Durability::Fleeting)?;
    Ok(table)
}

fn document(sectors: u64, extents: &str) -> String {
    const HEADS: u64 = 16;
    const SECTORS_PER_TRACK: u64 = 63;
    let cylinders = sectors.div_ceil(HEADS * SECTORS_PER_TRACK);
    format!(
        "# Disk DescriptorFile\n\
         version=1\n\
         CID=fffffffe\n\
         parentCID=ffffffff\n\
         createType=\"twoGbMaxExtentFlat\"\n\
         \n\
         # Extent description\n\
         {extents}\n\
         # The Disk Data Base\n\
         #DDB\n\
         ddb.virtualHWVersion = \"4\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"{HEADS}\"\n\
         ddb.geometry.sectors = \"{SECTORS_PER_TRACK}\"\n\
         ddb.adapterType = \"ide\"\n"
    )
}

/// The layer's path as seen from the descriptor's directory, so that the
/// descriptor holds nothing of where the user's home is: readers limit the
/// length of the name and give quotes in it a meaning.
fn relative(directory: &Path, path: &Path) -> io::Result<String> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "a layer lies in another store");
    let mut up = PathBuf::new();
    let mut base = directory;
    loop {
        if let Ok(rest) = path.strip_prefix(base) {
            let name = up.join(rest).to_str().ok_or_else(invalid)?.replace('\\', "/");
            let plain = name.len() < 500 && !name.contains(['"', '\n', '\r', ':']);
            return plain.then_some(name).ok_or_else(invalid);
        }
        base = base.parent().ok_or_else(invalid)?;
        up.push("..");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, PathBuf, Vec<LayerDisk>) {
        let home = tempfile::tempdir().unwrap();
        let (vm, layers) = (home.path().join("vms/x"), home.path().join("layers"));
        fs::create_dir_all(&vm).unwrap();
        fs::create_dir_all(&layers).unwrap();
        let paths: Vec<_> = (0..3u8)
            .map(|n| {
                let path = layers.join(format!("{n}.img"));
                fs::write(&path, vec![n; 4096 * (1 + n as usize)]).unwrap();
                LayerDisk { path, implied_dirs: Vec::new() }
            })
            .collect();
        (home, vm.join("layers.vmdk"), paths)
    }

    #[test]
    fn the_table_says_where_each_layer_begins() {
        let (_home, descriptor, layers) = store();
        let table = write_descriptor(&descriptor, &layers).unwrap();
        let places: Vec<_> = table.iter().map(|l| (l.offset, l.length)).collect();
        assert_eq!(places, [(0, 4096), (4096, 8192), (12288, 12288)]);
        let text = fs::read_to_string(&descriptor).unwrap();
        assert!(text.contains("RW 16 FLAT \"../../layers/1.img\" 0\n"), "{text}");
    }

    #[test]
    fn half_a_sector_is_refused() {
        let (_home, descriptor, layers) = store();
        fs::write(&layers[1].path, b"short").unwrap();
        assert!(write_descriptor(&descriptor, &layers).is_err());
        assert!(!descriptor.exists());
    }

    /// The real reader agrees about length and contents.
    #[test]
    fn qemu_img_reads_the_same_bytes() {
        let (home, descriptor, layers) = store();
        write_descriptor(&descriptor, &layers).unwrap();
        let raw = home.path().join("raw");
        let convert = std::process::Command::new("qemu-img")
            .args(["convert", "-f", "vmdk", "-O", "raw"])
            .args([&descriptor, &raw])
            .output();
        let Ok(output) = convert else {
            return crate::skip::skip_because("qemu-img is not installed");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let joined: Vec<u8> = layers.iter().flat_map(|l| fs::read(&l.path).unwrap()).collect();
        assert_eq!(fs::read(&raw).unwrap(), joined);
    }
}
