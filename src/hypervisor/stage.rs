// SPDX-License-Identifier: Apache-2.0
//! Shares that are put together of parts: single files, and more directories
//! than a VMM has slots. On the host such a share is a directory beside the
//! VM's disk with something to mount on for each part; the parts themselves are
//! mounted in the VMM's own namespace (`confine`), where nobody else sees them.
//! Where there is no such namespace, hard links show files.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{VmConfig, VmError};

/// Whether what is shared is still there, and still itself: a guest that may
/// write to a directory could have put a link in the place of a volume below.
pub fn check(config: &VmConfig) -> Result<(), VmError> {
    for share in &config.shares {
        match share.parts.is_empty() {
            true => check_one(&share.source)?,
            false => share.parts.iter().try_for_each(|part| check_one(part))?,
        }
    }
    Ok(())
}

fn check_one(path: &Path) -> Result<(), VmError> {
    match path.canonicalize() {
        Ok(real) if real == path => Ok(()),
        Ok(_) => Err(VmError::ShareMoved(path.to_owned())),
        Err(_) => Err(VmError::ShareGone(path.to_owned())),
    }
}

/// Makes the directories of such shares, anew.
pub fn set(config: &VmConfig) -> Result<(), VmError> {
    for share in config.shares.iter().filter(|share| !share.parts.is_empty()) {
        let step = || VmError::io(format!("make {}", share.source.display()));
        match fs::remove_dir_all(&share.source) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(step()(e)),
            _ => fs::create_dir_all(&share.source).map_err(step())?,
        }
        for (place, part) in share.places() {
            let found = fs::metadata(part).map_err(|_| VmError::ShareGone(part.to_owned()))?;
            let made = match found.is_dir() {
                true => fs::create_dir(&place),
                false => File::create(&place).map(drop),
            };
            made.map_err(step())?;
        }
    }
    Ok(())
}

/// Puts hard links in the places of the parts. They have what mounts of files
/// have: both sides write to one file, until one of them is replaced.
pub fn link(config: &VmConfig) -> Result<(), VmError> {
    for (place, part) in config.shares.iter().flat_map(|share| share.places()) {
        let refused = |why: String| VmError::NotShareable { path: part.to_owned(), why };
        if part.is_dir() {
            let why = "there are more volumes than slots for them, and this host lets mvm mount \
                       nothing";
            return Err(refused(why.into()));
        }
        fs::remove_file(&place)
            .and_then(|()| fs::hard_link(part, &place))
            .map_err(|e| refused(why_not(&place, &e)))?;
    }
    Ok(())
}

fn why_not(place: &Path, error: &io::Error) -> String {
    let beside = place.parent().unwrap_or(place).display();
    match error.kind() {
        io::ErrorKind::CrossesDevices => {
            format!(
                "it is on another file system than {beside}, and this host lets mvm mount nothing"
            )
        }
        _ => format!("no link to it in {beside} ({error}), and this host lets mvm mount nothing"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::hypervisor::Share;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn config(directory: &Path, parts: Vec<PathBuf>) -> VmConfig {
        let source = directory.join("volumes");
        let share = Share { tag: "rw".into(), source, read_only: false, parts };
        VmConfig { shares: vec![share], ..crate::hypervisor::tests::config(directory) }
    }

    #[test]
    fn each_part_has_something_of_its_kind_to_be_mounted_on() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let (file, directory) = (home.join("file"), home.join("directory"));
        fs::write(&file, "content").unwrap();
        fs::create_dir(&directory).unwrap();
        let config = config(&home, vec![file.clone(), directory]);
        // Twice: the VM is started again.
        for _ in 0..2 {
            check(&config).unwrap();
            set(&config).unwrap();
            assert_eq!(fs::read(home.join("volumes/0")).unwrap(), b"");
            assert!(home.join("volumes/1").is_dir());
        }
        let policy = config.policy();
        assert!(policy.shares[0].read_only && !policy.binds[0].read_only);
        assert_eq!(policy.binds[0].target, home.join("volumes/0"));
        let error = link(&config).unwrap_err();
        assert!(matches!(error, VmError::NotShareable { .. }), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(fs::read(&file).unwrap(), b"content");
    }

    #[test]
    fn a_file_is_linked_and_outlives_the_link() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let file = home.join("file");
        fs::write(&file, "content").unwrap();
        let config = config(&home, vec![file.clone()]);
        for _ in 0..2 {
            set(&config).unwrap();
            link(&config).unwrap();
            assert_eq!(fs::metadata(home.join("volumes/0")).unwrap().nlink(), 2);
        }
        fs::remove_dir_all(home.join("volumes")).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"content");
    }

    #[test]
    fn what_is_gone_or_replaced_by_a_link_is_named() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let file = home.join("file");
        let config = config(&home, vec![file.clone()]);
        assert!(matches!(check(&config), Err(VmError::ShareGone(path)) if path == file));
        symlink("/etc/passwd", &file).unwrap();
        let error = check(&config).unwrap_err();
        assert!(matches!(error, VmError::ShareMoved(_)), "{error}");
        assert!(error.hint().is_some());
    }
}
