// SPDX-License-Identifier: Apache-2.0
//! A file system of a VMM's own (mount_namespaces(7)): the policy's paths where
//! they always were, and nothing else. It closes what Landlock leaves open:
//! sockets with a path, and changing the mode of a file that one cannot open.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::process::{chdir, fchdir, pivot_root};

use super::super::Policy;

/// Where the new tree grows: a directory that is there, and below which the
/// policy has nothing.
const STAGE: &std::ffi::CStr = c"/proc";

const CODE: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
const DATA: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
const READ_ONLY: u64 = DATA | libc::MOUNT_ATTR_RDONLY;
const DEVICE: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;

/// A tree that is planned in the parent and grown in the child.
pub struct Tree {
    steps: Vec<Step>,
    directory: CString,
    program: CString,
}

enum Step {
    Directory(CString),
    File(CString),
    Bind { source: CString, target: CString, attributes: u64, required: bool },
}

/// A path, where it leads when links are followed, and the attributes of its
/// mount.
struct Place {
    path: PathBuf,
    real: PathBuf,
    attributes: u64,
}

impl Place {
    /// `None` if nothing is there.
    fn new(path: &Path, attributes: u64) -> Option<Self> {
        let real = fs::canonicalize(path).ok().filter(|_| path.is_absolute())?;
        Some(Self { path: path.to_owned(), real, attributes })
    }

    fn leads_below(&self, above: &Place) -> bool {
        self.real.starts_with(&above.real)
    }

    /// Whether the link is as good as the thing: it leads to where another
    /// place is, which permits no less.
    fn is_served_by(&self, other: &Place) -> bool {
        self.path != other.path
            && self.real.starts_with(&other.path)
            && self.attributes & other.attributes == other.attributes
    }
}

impl Tree {
    /// The policy's paths and `code`, as a tree in which `program` works in
    /// `directory`. `None` if they cannot be laid out: a symlink in one of them
    /// leads another one to where nothing else is.
    pub fn plan(
        policy: &Policy,
        code: &[PathBuf],
        directory: &Path,
        program: &Path,
    ) -> Option<Self> {
        let mut places = places(policy, code);
        // Parents first; a path that is there twice has the rights of both.
        places.sort_by(|a, b| a.path.cmp(&b.path));
        places.dedup_by(|later, earlier| {
            let same = later.path == earlier.path;
            earlier.attributes &= if same { later.attributes } else { u64::MAX };
            same
        });
        let (directory, program) = (c_string(directory)?, c_string(program)?);
        let mut plan = Self { steps: Vec::new(), directory, program };
        let mut made = BTreeSet::new();
        for (index, place) in places.iter().enumerate() {
            let path = &*place.path;
            match places[..index].iter().find(|above| path.starts_with(&above.path)) {
                Some(above) if place.leads_below(above) => {}
                Some(_) if places.iter().any(|other| place.is_served_by(other)) => continue,
                Some(_) => return None,
                None => plan.make_way(path, &mut made)?,
            }
            plan.steps.push(Step::Bind {
                source: c_string(path)?,
                target: relative(path)?,
                attributes: place.attributes,
                required: false,
            });
        }
        for bind in &policy.binds {
            plan.steps.push(Step::Bind {
                source: c_string(&bind.source)?,
                target: relative(&bind.target)?,
                attributes: if bind.read_only { READ_ONLY } else { DATA },
                required: true,
            });
        }
        Some(plan)
    }

    /// Directories down to a path, and something there to mount on.
    fn make_way(&mut self, path: &Path, made: &mut BTreeSet<PathBuf>) -> Option<()> {
        let ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
        for &directory in ancestors.iter().rev().skip(1) {
            if made.insert(directory.to_owned()) {
                self.steps.push(Step::Directory(relative(directory)?));
            }
        }
        if made.insert(path.to_owned()) {
            let target = relative(path)?;
            self.steps.push(match path.is_dir() {
                true => Step::Directory(target),
                false => Step::File(target),
            });
        }
        Some(())
    }

    /// Makes it this process's only file system. In a mount namespace of its
    /// own, with the right to mount there. System calls only.
    pub fn grow(&self) -> io::Result<()> {
        // What is mounted here is not mounted on the host.
        mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        // By these names a process finds its descriptors and its program. There is
        // no more of /proc: its memory, for one, is not there to be written to.
        let descriptors = open_tree(CWD, c"/proc/self/fd", CLONE)?;
        mount(c"mvm", STAGE, c"tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")?;
        let root = openat(CWD, STAGE, OFlags::PATH | OFlags::DIRECTORY | CLOEXEC, Mode::empty())?;
        for step in &self.steps {
            step.take(root.as_fd())?;
        }
        for path in [c"proc", c"proc/self", c"proc/self/fd"] {
            make_directory(root.as_fd(), path)?;
        }
        attach(&descriptors, root.as_fd(), c"proc/self/fd")?;
        symlinkat(&*self.program, &root, c"proc/self/exe")?;
        fchdir(&root)?;
        pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(c"/", flags, c"")?;
        chdir(&*self.directory).or_else(|_| chdir(c"/"))?;
        Ok(())
    }
}

const CLOEXEC: OFlags = OFlags::CLOEXEC;
const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

impl Step {
    fn take(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        match self {
            Self::Directory(path) => make_directory(root, path),
            Self::File(path) => {
                let flags = OFlags::CREATE | OFlags::WRONLY | CLOEXEC;
                Ok(openat(root, &**path, flags, Mode::RUSR).map(drop)?)
            }
            Self::Bind { source, target, attributes, required } => {
                let tree = match open_tree(CWD, &**source, CLONE | OpenTreeFlags::AT_RECURSIVE) {
                    // It went away, or this user never got there.
                    Err(Errno::NOENT | Errno::ACCESS) if !required => return Ok(()),
                    tree => tree?,
                };
                set_attributes(&tree, *attributes)?;
                attach(&tree, root, target)
            }
        }
    }
}

fn make_directory(root: BorrowedFd<'_>, path: &std::ffi::CStr) -> io::Result<()> {
    match mkdirat(root, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

fn attach(tree: &OwnedFd, root: BorrowedFd<'_>, target: &std::ffi::CStr) -> io::Result<()> {
    Ok(move_mount(tree, c"", root, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Adds to what is set already, on every mount of a tree.
fn set_attributes(tree: &OwnedFd, attributes: u64) -> io::Result<()> {
    let flags = AtFlags::EMPTY_PATH.bits() | libc::AT_RECURSIVE as u32;
    let wanted =
        libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is a string that ends in NUL, the structure lives for the
    // call and its size is given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn places(policy: &Policy, code: &[PathBuf]) -> Vec<Place> {
    let lists: [(&[PathBuf], u64); 6] = [
        (code, CODE),
        (&policy.read, CODE),
        (&policy.execute, CODE),
        (&policy.write, DATA),
        (&policy.devices, DEVICE),
        (&policy.sockets, DATA),
    ];
    let listed = lists.into_iter().flat_map(|(paths, attributes)| {
        paths.iter().filter_map(move |path| Place::new(path, attributes))
    });
    let shares = policy.shares.iter().filter_map(|share| {
        Place::new(&share.path, if share.read_only { READ_ONLY } else { DATA })
    });
    listed.chain(shares).collect()
}

/// `None` for the root itself: who shares that needs no tree.
fn relative(path: &Path) -> Option<CString> {
    let relative = path.strip_prefix("/").ok()?;
    (!relative.as_os_str().is_empty()).then(|| c_string(relative))?
}

fn c_string(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Bind, SharedDirectory};
    use super::*;
    use std::os::unix::fs::symlink;

    fn planned(policy: &Policy) -> Option<Vec<String>> {
        let tree = Tree::plan(policy, &[], Path::new("/"), Path::new("/x"))?;
        let text = |path: &CString| path.to_str().unwrap().to_owned();
        let name = |step: &Step| match step {
            Step::Directory(path) => format!("{}/", text(path)),
            Step::File(path) => text(path),
            Step::Bind { target, attributes, .. } => format!("{} = {attributes}", text(target)),
        };
        Some(tree.steps.iter().map(name).collect())
    }

    fn share(path: &Path, read_only: bool) -> SharedDirectory {
        SharedDirectory { path: path.to_owned(), read_only }
    }

    #[test]
    fn there_is_a_way_to_every_path_and_none_of_it_is_the_hosts() {
        let home = tempfile::Builder::new().prefix("tree").tempdir_in("/tmp").unwrap();
        let (disk, volume) = (home.path().join("disk"), home.path().join("volume"));
        fs::write(&disk, "").unwrap();
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("inside"), "").unwrap();
        let policy = Policy {
            read: vec![volume.join("inside"), "/absent".into(), "relative".into()],
            write: vec![disk.clone()],
            shares: vec![share(&volume, false)],
            ..Policy::default()
        };
        let top = home.path().strip_prefix("/").unwrap().display();
        assert_eq!(
            planned(&policy).unwrap(),
            [
                "tmp/".to_owned(),
                format!("{top}/"),
                format!("{top}/disk"),
                format!("{top}/disk = {DATA}"),
                format!("{top}/volume/"),
                format!("{top}/volume = {DATA}"),
                // Nothing is made in a volume.
                format!("{top}/volume/inside = {CODE}"),
            ]
        );
    }

    #[test]
    fn what_is_to_be_seen_elsewhere_covers_what_is_there() {
        let home = tempfile::tempdir().unwrap();
        let stage = home.path().join("stage");
        fs::create_dir(&stage).unwrap();
        fs::write(stage.join("0"), "").unwrap();
        let bind = Bind { source: "/etc/hosts".into(), target: stage.join("0"), read_only: true };
        let policy =
            Policy { shares: vec![share(&stage, true)], binds: vec![bind], ..Policy::default() };
        let steps = planned(&policy).unwrap();
        let stage = stage.strip_prefix("/").unwrap().display();
        assert_eq!(
            steps[steps.len() - 2..],
            [format!("{stage} = {READ_ONLY}"), format!("{stage}/0 = {READ_ONLY}")]
        );
    }

    #[test]
    fn a_path_that_is_there_twice_has_the_rights_of_both() {
        let home = tempfile::tempdir().unwrap();
        let mut policy = Policy { read: vec![home.path().into()], ..Policy::default() };
        policy.shares.push(share(home.path(), false));
        let last = planned(&policy).unwrap().pop().unwrap();
        assert!(last.ends_with(&format!(" = {}", CODE & DATA)), "{last}");
    }

    #[test]
    fn a_link_out_of_a_volume_leads_where_something_is_or_there_is_no_tree() {
        let home = tempfile::tempdir().unwrap();
        let (volume, elsewhere) = (home.path().join("volume"), home.path().join("elsewhere"));
        fs::create_dir(&volume).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("disk"), "").unwrap();
        symlink(&elsewhere, volume.join("link")).unwrap();
        let mut policy = Policy {
            write: vec![volume.join("link/disk")],
            shares: vec![share(&volume, false)],
            ..Policy::default()
        };
        assert!(planned(&policy).is_none());
        policy.shares.push(share(&elsewhere, true));
        assert!(planned(&policy).is_none(), "a link to what can only be read");
        policy.shares[1].read_only = false;
        assert!(planned(&policy).is_some());
        policy.shares.push(share(Path::new("/"), true));
        assert!(planned(&policy).is_none(), "who shares everything needs no tree");
    }
}
