// SPDX-License-Identifier: Apache-2.0
//! Archives that mvm writes: the same bytes each time, whole or not at all, and
//! what other tools make of them.

#[allow(dead_code)]
#[path = "support/archive.rs"]
mod archive;
#[allow(dead_code)]
#[path = "support/layout.rs"]
mod layout;
#[allow(dead_code)]
#[path = "support/plain.rs"]
mod plain;
#[allow(dead_code)]
#[path = "support/empty_registry.rs"]
mod registry;

use std::fs;
use std::process::Command;

use archive::{Files, blob_name, layer};
use layout::run;
use plain::{Home, files};
use registry::{in_path, skip};

/// A home with images that share a layer: `a:1` and `a:2`, which are one, and
/// `b:1`.
fn home() -> Home {
    let home = Home::new();
    let (shared, own) = (layer("shared", &[3; 400 << 10]), layer("own", b"x"));
    let mut a = Files::docker("a:1", std::slice::from_ref(&shared));
    a.edit("manifest.json", |m| m[0]["RepoTags"] = serde_json::json!(["a:1", "a:2"]));
    for files in [a, Files::oci("b:1", &[shared, own])] {
        home.feed(["load"], &files.tar().finish()).ok();
    }
    home
}

fn save(home: &Home, args: &[&str]) -> Vec<u8> {
    let ended = home.mvm([&["save"], args].concat());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    ended.stdout
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let name = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        assert_eq!(entry.header().uid().unwrap(), 0);
        entry.path().unwrap().display().to_string()
    };
    archive.entries().unwrap().map(name).collect()
}

#[test]
fn the_same_bytes_after_every_round() {
    let home = home();
    for format in [&[][..], &["--format=oci-archive"], &["--format=docker-archive"]] {
        let args = [format, &["a:1", "b:1", "a:2"]].concat();
        let first = save(&home, &args);
        assert_eq!(first, save(&home, &args));
        let mut unique = names(&first);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names(&first).len(), "each file is in it once");
        let other = Home::new();
        let loaded = other.feed(["load"], &first).ok();
        let mut lines: Vec<_> = loaded.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["Loaded image: a:1", "Loaded image: a:2", "Loaded image: b:1"]);
        assert_eq!(save(&other, &args), first, "{format:?}");
        other.verify();
    }
}

#[test]
fn an_image_by_its_id_has_no_name() {
    let home = home();
    let row = home.images().into_iter().find(|row| row.starts_with("b:1")).unwrap();
    let id = row.split_once(' ').unwrap().1;
    let saved = save(&home, &[&id[7..19]]);
    let other = Home::new();
    assert_eq!(other.feed(["load"], &saved).ok(), format!("Loaded image ID: {id}\n"));
    assert_eq!(other.images(), [format!("<none>:<none> {id}")]);
}

#[test]
fn skopeo_reads_them() {
    if in_path("skopeo").is_none() {
        return skip("skopeo_reads_them", "skopeo is not installed");
    }
    let home = home();
    let file = home.path().join("saved.tar").display().to_string();
    let to = format!("dir:{}", home.path().join("copied").display());
    for (format, sources) in [
        (
            &[][..],
            &[
                "docker-archive:F:a:2",
                "docker-archive:F:b:1",
                "oci-archive:F:docker.io/library/b:1",
            ][..],
        ),
        (&["--format=oci-archive"], &["oci-archive:F:docker.io/library/a:2"]),
        (&["--format=docker-archive"], &["docker-archive:F:a:1", "docker-archive:F:@1"]),
    ] {
        save(&home, &[format, &["-o", &file, "a:1", "b:1", "a:2"]].concat());
        for source in sources {
            let source = source.replace('F', &file);
            run(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", &source, &to]));
        }
    }
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let home = home();
    let directory = home.path().join("out");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("saved.tar");
    let path = file.display().to_string();
    save(&home, &["-o", &path, "b:1"]);
    let good = fs::read(&file).unwrap();
    assert_eq!(good, save(&home, &["b:1"]));

    // A blob is damaged: the file that was there stays, and there is no other.
    let blob = home.layout().join(blob_name(&layer("shared", &[3; 400 << 10])));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    for format in [&[][..], &["--format=docker-archive"]] {
        home.mvm([&["save", "-o", &path, "b:1"], format].concat()).refused("is incomplete");
        assert_eq!(fs::read(&file).unwrap(), good);
        assert_eq!(files(&directory).len(), 1);
    }
    fs::remove_file(&blob).unwrap();
    home.mvm(["save", "-o", &path, "b:1"]).refused("is incomplete");
    assert_eq!(files(&directory).len(), 1);
}

#[cfg(unix)]
#[test]
fn where_it_does_not_write() {
    let home = home();
    home.mvm(["save", "nope"]).refused("no such image");
    home.mvm(["save", "-o", "/nowhere/x", "b:1"]).refused("cannot write /nowhere/x");
    home.mvm(["save", "--platform", "linux/s390x", "b:1"]).refused("not for linux/s390x");
    save(&home, &["-o", "/dev/null", "b:1"]);
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    if in_path("script").is_none() {
        return skip("where_it_does_not_write", "script is not installed");
    }
    for (words, said) in [
        ("save b:1", "cowardly refusing to save to a terminal"),
        ("load", "stdin is a terminal"),
        ("pull -", "stdin is a terminal"),
    ] {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_mvm"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("MVM_HOME", home.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let seen = String::from_utf8_lossy(&output.stdout);
        assert!(seen.contains(said), "{seen}");
    }
}

#[test]
fn umoci_lists_them() {
    if in_path("umoci").is_none() {
        return skip("umoci_lists_them", "umoci is not installed");
    }
    let home = home();
    let directory = home.path().join("unpacked");
    fs::create_dir(&directory).unwrap();
    let file = home.path().join("saved.tar");
    for format in [&[][..], &["--format=oci-archive"]] {
        let path = file.display().to_string();
        save(&home, &[&["-o", &path, "a:1", "b:1"], format].concat());
        run(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&directory));
        let listed = run(Command::new("umoci").args(["ls", "--layout"]).arg(&directory));
        let names = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(names, "docker.io/library/a:1\ndocker.io/library/b:1\n");
    }
}
