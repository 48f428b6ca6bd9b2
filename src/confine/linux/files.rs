// SPDX-License-Identifier: Apache-2.0
//! Where what a program is made of lies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where libraries, modules and firmware of a program are, and what the loader
/// reads to find them. A program of a prefix of its own has its things there.
pub fn library_places(program: &Path) -> Vec<PathBuf> {
    const SYSTEM: [&str; 12] = [
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/usr/lib",
        "/usr/lib32",
        "/usr/lib64",
        "/usr/libx32",
        "/usr/local/lib",
        "/usr/share",
        "/nix/store",
        "/gnu/store",
    ];
    const LOADER: [&str; 4] =
        ["/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload"];
    let mut places: Vec<PathBuf> = SYSTEM.iter().chain(&LOADER).map(PathBuf::from).collect();
    for prefix in prefixes(program) {
        places.extend(["lib", "lib64", "share", "libexec"].map(|name| prefix.join(name)));
    }
    places.retain(|place| place.exists());
    places
}

/// `/opt/x` of `/opt/x/bin/program`, before and after links are followed.
fn prefixes(program: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in [Some(program.to_owned()), fs::canonicalize(program).ok()].into_iter().flatten() {
        let Some(bin) = path.parent().filter(|parent| parent.ends_with("bin")) else { continue };
        let prefix = bin.parent().filter(|prefix| *prefix != Path::new("/"));
        found.extend(prefix.map(Path::to_owned));
    }
    found.dedup();
    found
}

/// What else is executed when a program is: the loader that its ELF header
/// names. A script may start anything that is in the usual places.
pub fn loader_of(program: &Path) -> Vec<PathBuf> {
    match interpreter(program) {
        Ok(Some(loader)) => vec![loader],
        Ok(None) => Vec::new(),
        Err(_) => {
            ["/bin", "/usr/bin", "/usr/local/bin", "/lib", "/lib64", "/usr/lib", "/nix/store"]
                .map(PathBuf::from)
                .into_iter()
                .filter(|place| place.exists())
                .collect()
        }
    }
}

/// PT_INTERP of a 64-bit ELF file, `None` for a static one.
fn interpreter(program: &Path) -> io::Result<Option<PathBuf>> {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::FileExt;
    const PT_INTERP: u32 = 3;
    const PROGRAM_HEADER: usize = 56;
    let file = fs::File::open(program)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let table = u64_at(&header, 32);
    let count = u64::from(u16::from_ne_bytes([header[56], header[57]]));
    for index in 0..count {
        let mut entry = [0; PROGRAM_HEADER];
        file.read_exact_at(&mut entry, table + index * PROGRAM_HEADER as u64)?;
        if u32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]) == PT_INTERP {
            let length = u64_at(&entry, 32).min(4096);
            let mut name = vec![0; usize::try_from(length).unwrap_or(0)];
            file.read_exact_at(&mut name, u64_at(&entry, 8))?;
            while name.pop_if(|byte| *byte == 0).is_some() {}
            return Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(name))));
        }
    }
    Ok(None)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_executed_by_its_loader_and_a_script_by_anything() {
        let own = std::env::current_exe().unwrap();
        let loader = loader_of(&own);
        assert_eq!(loader.len(), 1, "{loader:?}");
        assert!(loader[0].file_name().unwrap().to_str().unwrap().starts_with("ld-"), "{loader:?}");
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("qemu");
        fs::write(&script, "#!/bin/sh\nexec qemu-system-x86_64 \"$@\"\n".repeat(3)).unwrap();
        assert!(loader_of(&script).contains(&PathBuf::from("/bin")));
    }

    #[test]
    fn a_prefix_brings_its_libraries() {
        let prefix = tempfile::tempdir().unwrap();
        for name in ["bin", "lib", "share", "etc"] {
            fs::create_dir(prefix.path().join(name)).unwrap();
        }
        let places = library_places(&prefix.path().join("bin/qemu"));
        assert!(places.contains(&prefix.path().join("lib")));
        assert!(places.contains(&prefix.path().join("share")));
        assert!(!places.contains(&prefix.path().join("etc")));
        assert!(!library_places(Path::new("/bin/qemu")).contains(&PathBuf::from("/share")));
    }
}
