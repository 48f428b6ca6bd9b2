// SPDX-License-Identifier: Apache-2.0
//! Where a copy goes: the rules of `docker cp`, for whichever side it goes to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::Name;
use crate::error::{Doing, Error, Result};

/// Links that one place may lead through.
const MAX_LINKS: usize = 40;

/// The name of what is copied: the last part of its path as it was given, in bytes and with
/// slashes; `.` where only the content of a directory is meant.
pub fn name_of(path: &[u8]) -> Vec<u8> {
    let mut parts = path.rsplit(|&b| b == b'/');
    let name = match parts.next().unwrap_or_default() {
        // A slash at the end says what the part before it has to be.
        b"" => parts.find(|part| !part.is_empty()).unwrap_or(b"."),
        last => last,
    };
    let name = if name == b".." { b"." } else { name };
    name.to_vec()
}

/// Whether a path says that it means a directory: `a/`, `a/.`.
pub fn is_directory_wanted(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.") || path == b"."
}

/// The directory that it goes to, which is there, and its name in that. No name: it is the
/// content of a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Landing {
    pub directory: PathBuf,
    pub name: Option<OsString>,
}

/// Where something of this name goes.
pub fn land(place: &Path, name: &OsStr, is_directory: bool) -> Result<Landing> {
    let shown = place.as_os_str().as_encoded_bytes();
    let refuse = |what| Err(Error::Landing { what, path: Name::new(shown) });
    let there = match fs::metadata(place) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            if is_directory_wanted(shown) && !is_directory {
                return refuse("no such directory");
            }
            return beside(&resolved(place)?, shown);
        }
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => return refuse("not a directory"),
        other => other.doing("look at", shown)?,
    };
    if there.is_dir() {
        let name = (name != ".").then(|| name.to_owned());
        return Ok(Landing { directory: place.into(), name });
    }
    if is_directory {
        return refuse("cannot copy a directory to a file");
    }
    if !there.is_file() {
        return refuse("neither a file nor a directory");
    }
    beside(&place.canonicalize().doing("look at", shown)?, shown)
}

/// In the directory of something that is replaced or made.
fn beside(place: &Path, shown: &[u8]) -> Result<Landing> {
    let refuse = |what| Err(Error::Landing { what, path: Name::new(shown) });
    let Some(name) = place.file_name() else { return refuse("no name for a file") };
    let directory = match place.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    match fs::metadata(directory) {
        Ok(there) if there.is_dir() => {}
        Ok(_) => return refuse("not below a directory"),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return refuse("no such directory to copy to");
        }
        Err(e) => return Err(e).doing("look at", shown),
    }
    Ok(Landing { directory: directory.into(), name: Some(name.into()) })
}

/// What a link to nothing stands for; any other path as it is.
fn resolved(place: &Path) -> Result<PathBuf> {
    let mut place = place.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&place) {
            Ok(target) => place = place.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(place),
        }
    }
    let path = Name::new(place.as_os_str().as_encoded_bytes());
    Err(Error::Landing { what: "too many symbolic links", path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_last_part() {
        for (path, name) in [
            ("a", "a"),
            ("/x/a", "a"),
            ("/x/a/", "a"),
            ("/x/a//", "a"),
            ("/x/a/.", "."),
            (".", "."),
            ("./", "."),
            ("..", "."),
            ("/", "."),
            ("/x/..", "."),
        ] {
            assert_eq!(name_of(path.as_bytes()), name.as_bytes(), "{path}");
        }
    }

    /// As the table in `docker cp`'s documentation has it.
    #[test]
    fn dockers_rules() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("file"), "").unwrap();
        let goes = |place: &str, name: &str, is_directory| {
            let landing = land(&at(place), OsStr::new(name), is_directory);
            landing.map(|landing| {
                let below = landing.directory.strip_prefix(root.path()).unwrap().to_owned();
                let name = landing.name.map(|name| name.into_string().unwrap());
                (below.to_str().unwrap().to_owned(), name.unwrap_or_default())
            })
        };
        for (place, name, is_directory, directory, lands) in [
            ("new", "a", false, "", "new"),
            ("new", "a", true, "", "new"),
            ("new/", "a", true, "", "new"),
            ("new", ".", true, "", "new"),
            ("file", "a", false, "", "file"),
            ("dir", "a", false, "dir", "a"),
            ("dir/", "a", true, "dir/", "a"),
            ("dir", ".", true, "dir", ""),
        ] {
            let (below, named) = goes(place, name, is_directory).unwrap();
            assert_eq!(
                (below.trim_end_matches('/'), &*named),
                (directory.trim_end_matches('/'), lands),
                "{place} {name}"
            );
        }
        for (place, is_directory, why) in [
            ("new/", false, "no such directory"),
            ("new/.", false, "no such directory"),
            ("file", true, "cannot copy a directory to a file"),
            ("file/", false, "not a directory"),
            ("none/new", false, "no such directory to copy to"),
            ("file/new", false, "not a directory"),
        ] {
            let error = goes(place, "a", is_directory).unwrap_err().to_string();
            assert!(error.starts_with(why), "{place}: {error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_where_they_lead() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), "").unwrap();
        for (link, target) in [("there", "dir/file"), ("nowhere", "dir/new"), ("loop", "loop")] {
            symlink(target, root.join(link)).unwrap();
        }
        let goes = |link: &str| land(&root.join(link), OsStr::new("a"), false);
        let landing = |name: &str| Landing { directory: root.join("dir"), name: Some(name.into()) };
        assert_eq!(goes("there").unwrap(), landing("file"));
        assert_eq!(goes("nowhere").unwrap(), landing("new"));
        assert!(goes("loop").is_err());
    }
}
