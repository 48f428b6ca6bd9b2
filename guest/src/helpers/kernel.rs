// SPDX-License-Identifier: Apache-2.0
//! The kernel's own file systems, mounted for this process alone: what the
//! workload has mounted over its /proc does not matter to a helper.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Dir, Mode, OFlags, Stat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen,
};

/// More than any file of these has that is of use here.
const MAX_FILE: u64 = 256 << 10;

/// The root of such a file system.
pub struct View(OwnedFd);

impl View {
    pub fn proc() -> io::Result<Self> {
        Self::mount("proc", None)
    }

    /// The flag is that of the mount which the workload has: it holds for all.
    pub fn cgroup() -> io::Result<Self> {
        Self::mount("cgroup2", Some("nsdelegate"))
    }

    fn mount(kind: &str, flag: Option<&str>) -> io::Result<Self> {
        let opened = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        if let Some(flag) = flag {
            fsconfig_set_flag(&opened, flag)?;
        }
        fsconfig_create(&opened)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
        Ok(Self(fsmount(&opened, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// A file, or the first of it.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, path, flags, Mode::empty())?;
        let mut bytes = Vec::new();
        File::from(file).take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub fn text(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Names of its entries that are numbers.
    pub fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        // The mount itself cannot be read.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::new(rustix::fs::openat(&self.0, ".", flags, Mode::empty())?)? {
            let entry = entry?;
            numbers
                .extend(entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What is behind a link of it, or the file itself.
    pub fn stat(&self, path: &str) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, path, rustix::fs::AtFlags::empty())?)
    }
}

/// The value of a key in lines of a key, a separator and a number.
pub fn value(text: &str, key: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(key));
    let mut values = lines.filter(|rest| rest.starts_with([' ', ':', '\t']));
    values
        .next()?
        .trim_start_matches([' ', ':', '\t'])
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// A regular file of the image, or nothing: it may be anything.
pub fn image_file(path: &str) -> Vec<u8> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
    let Ok(file) = opened.map(File::from) else { return Vec::new() };
    let mut bytes = Vec::new();
    if file.metadata().is_ok_and(|file| file.is_file()) {
        // Half of it names some.
        let _ = file.take(mvm_proto::users::MAX_FILE).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "MemTotalX: 1\nMemTotal:   2 kB\nusage_usec 3\nUid:\t5\t6\n";
        assert_eq!(value(text, "MemTotal"), Some(2));
        assert_eq!(value(text, "usage_usec"), Some(3));
        assert_eq!(value(text, "Uid"), Some(5));
        assert_eq!((value(text, "usage"), value("", "x")), (None, None));
    }
}
