// SPDX-License-Identifier: Apache-2.0
//! Reads a file of an image without mounting it, as the guest's overlay of the
//! layers will show it.

use std::io;
use std::path::PathBuf;

use crate::image::layer::{Node, Reader};

/// Symlinks on the way, as in Linux.
const MAX_LINKS: usize = 40;
const MAX_TARGET: u64 = 4096;

/// A name in the stack of layers: in the uppermost that has it, or a directory
/// in each that does, top first.
type Found = Vec<(usize, Node)>;

/// The layers of an image.
pub struct Layers(Vec<Reader>);

impl Layers {
    /// Layers' disk images, bottom first.
    pub fn open(images: &[PathBuf]) -> io::Result<Self> {
        images.iter().rev().map(|path| Reader::open(path)).collect::<io::Result<_>>().map(Self)
    }

    /// Content of the file at an absolute path; nothing if there is none, or if
    /// it is not a file.
    pub fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut links = 0;
        let mut todo: Vec<Vec<u8>> = names(path.as_bytes());
        let mut stack = vec![self.root()?];
        while let Some(name) = todo.pop() {
            if name == b".." {
                stack.truncate((stack.len() - 1).max(1));
                continue;
            }
            let found = self.find(&stack[stack.len() - 1], &name)?;
            let Some(&(layer, node)) = found.first() else { return Ok(Vec::new()) };
            if node.is_symlink() {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(Vec::new());
                }
                let target = self.0[layer].content(&node, MAX_TARGET)?;
                if target.starts_with(b"/") {
                    stack.truncate(1);
                }
                todo.extend(names(&target));
            } else {
                stack.push(found);
            }
        }
        match stack[stack.len() - 1].first() {
            Some((layer, node)) if node.is_file() => self.0[*layer].content(node, limit),
            _ => Ok(Vec::new()),
        }
    }

    fn root(&self) -> io::Result<Found> {
        self.0.iter().enumerate().map(|(at, layer)| Ok((at, layer.root()?))).collect()
    }

    /// One name in a directory, as overlayfs merges.
    fn find(&self, directory: &Found, name: &[u8]) -> io::Result<Found> {
        let mut found = Found::new();
        for &(layer, node) in directory.iter().filter(|(_, node)| node.is_directory()) {
            let Some(node) = self.0[layer].find(&node, name)? else { continue };
            match node.is_directory() {
                true => found.push((layer, node)),
                // It is seen only if nothing is above it, and hides the rest.
                false if found.is_empty() && !node.is_whiteout() => return Ok(vec![(layer, node)]),
                false => break,
            }
            if self.0[layer].is_opaque(&node)? {
                break;
            }
        }
        Ok(found)
    }
}

/// Components, the last one first.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').rev();
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::image::layer::{Limits, convert};

    /// Names ending in a slash are directories; a content that begins with an
    /// arrow is that of a symlink.
    fn layer(directory: &tempfile::TempDir, name: &str, entries: &[(&str, &str)]) -> PathBuf {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            let link = content.strip_prefix("->");
            header.set_entry_type(match link {
                Some(_) => tar::EntryType::Symlink,
                None if path.ends_with('/') => tar::EntryType::Directory,
                None => tar::EntryType::Regular,
            });
            header.set_size(if link.is_some() { 0 } else { content.len() as u64 });
            match link {
                Some(target) => tar.append_link(&mut header, path, target).unwrap(),
                None => tar.append_data(&mut header, path, content.as_bytes()).unwrap(),
            }
        }
        let path = directory.path().join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        convert(&tar.into_inner().unwrap()[..], &file, &Limits::default()).unwrap();
        path
    }

    fn read(layers: &Layers, path: &str) -> String {
        String::from_utf8(layers.read(path, 1 << 20).unwrap()).unwrap()
    }

    #[test]
    fn the_uppermost_file_is_seen_unless_it_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(10_000);
        let bottom = layer(
            &dir,
            "0",
            &[
                ("etc/passwd", "bottom"),
                ("etc/group", "group"),
                ("etc/long", &long),
                ("gone/a", "a"),
                ("opaque/a", "a"),
                ("file", "file"),
            ],
        );
        let top = layer(
            &dir,
            "1",
            &[
                ("etc/passwd", "top"),
                (".wh.gone", ""),
                ("opaque/", ""),
                ("opaque/.wh..wh..opq", ""),
                ("opaque/b", "b"),
                ("file/inside", "now a directory"),
            ],
        );
        let layers = Layers::open(&[bottom, top]).unwrap();
        assert_eq!(read(&layers, "/etc/passwd"), "top");
        assert_eq!(read(&layers, "/etc/group"), "group");
        assert_eq!(read(&layers, "/etc/long"), long);
        assert_eq!(read(&layers, "/gone/a"), "");
        assert_eq!(read(&layers, "/opaque/a"), "");
        assert_eq!(read(&layers, "/opaque/b"), "b");
        assert_eq!(read(&layers, "/file/inside"), "now a directory");
        assert_eq!(read(&layers, "/etc"), "");
        assert!(layers.read("/etc/long", 100).is_err());
    }

    #[test]
    fn symlinks_lead_through_the_layers() {
        let dir = tempfile::tempdir().unwrap();
        let bottom = layer(
            &dir,
            "0",
            &[("run/real", "real"), ("loop", "->loop"), ("up", "->../../../run/real")],
        );
        let links = [("etc/passwd", "->/run/real"), ("etc/group", "->../run/./real")];
        let top = layer(&dir, "1", &links);
        let layers = Layers::open(&[bottom, top]).unwrap();
        for path in ["/etc/passwd", "/etc/group", "/up"] {
            assert_eq!(read(&layers, path), "real", "{path}");
        }
        assert_eq!(read(&layers, "/loop"), "");
    }

    #[test]
    fn every_name_of_a_large_directory_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..3000).map(|n| format!("d/file-{n}")).collect();
        let entries: Vec<(&str, &str)> = names.iter().map(|name| (&name[..], &name[..])).collect();
        let layers = Layers::open(&[layer(&dir, "0", &entries)]).unwrap();
        for name in &names {
            assert_eq!(&read(&layers, &format!("/{name}")), name);
        }
        for absent in ["/d/a", "/d/file-", "/d/file-15000", "/d/z"] {
            assert_eq!(read(&layers, absent), "");
        }
    }

    #[test]
    fn a_damaged_image_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let image = layer(&dir, "0", &[("etc/passwd", "x")]);
        File::options().write(true).open(&image).unwrap().set_len(2000).unwrap();
        assert!(Layers::open(&[image]).unwrap().read("/etc/passwd", 10).is_err());
    }
}
