// SPDX-License-Identifier: Apache-2.0

use std::path::{Path, PathBuf};

use super::*;

/// A directory with a file in it.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        std::fs::create_dir(directory.path().join("with,comma")).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }
}

fn mounts(volumes: &[String], mounts: &[String]) -> Result<Mounts> {
    let words = |list: &[String]| list.iter().map(OsString::from).collect();
    VolumeArgs { volume: words(volumes), mount: words(mounts) }.mounts()
}

fn host(path: &Path, target: &str, read_only: bool) -> Volume {
    let source = VolumeSource::Host(path.to_owned());
    Volume { source, target: target.into(), read_only }
}

#[test]
fn volumes_in_dockers_notation() {
    let home = Host::new();
    let path = home.path();
    let one = |suffix: &str| {
        let given = mounts(&[format!("{}{suffix}", path.display())], &[])?;
        Ok::<_, Failure>(given.volumes.into_iter().next().unwrap())
    };
    assert_eq!(one(":/src").unwrap(), host(&path, "/src", false));
    assert_eq!(one(":/src:rw").unwrap(), host(&path, "/src", false));
    assert_eq!(one(":/src:ro,Z").unwrap(), host(&path, "/src", true));
    assert_eq!(one(":/src:z,cached,rprivate").unwrap(), host(&path, "/src", false));
    assert_eq!(one(":/a/./b//../c/").unwrap(), host(&path, "/a/c", false));
    assert_eq!(one("/file:/etc/app:ro").unwrap(), host(&path.join("file"), "/etc/app", true));
    for (bad, why) in [
        (":src", "not absolute"),
        (":/", "root"),
        (":/a/..", "root"),
        (":/src:rx", "unknown mode"),
        (":/src:ro,rw", "twice"),
        (":/src:rshared", "later"),
        (":/src:nocopy", "named"),
        (":/a:/b:ro:x", "parts"),
        (":", "nothing"),
        (":/src:", "nothing"),
        (":ro", "no source"),
        ("/missing:/src", "No such file"),
        ("/file/below:/src", "Not a directory"),
    ] {
        let failure = one(bad).unwrap_err();
        assert!(failure.message.contains(why) && failure.hint.is_some(), "{bad}: {failure:?}");
    }
    let long = format!(":/{}", "x".repeat(4095));
    assert!(one(&long).unwrap_err().message.contains("longer"));
}

#[test]
fn a_word_is_a_named_volume_and_a_path_alone_the_vms_own() {
    let failure = mounts(&["data:/src".into()], &[]).unwrap_err();
    assert!(failure.message.contains("named volumes"));
    assert!(failure.hint.unwrap().contains("./data"));
    let own = Volume { source: VolumeSource::OwnDisk, target: b"/data".to_vec(), read_only: false };
    assert_eq!(mounts(&["/data".into()], &[]).unwrap().volumes, [own]);
}

#[cfg(unix)]
#[test]
fn a_socket_is_no_volume() {
    let home = Host::new();
    let path = home.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let failure = mounts(&[format!("{}:/run/socket", path.display())], &[]).unwrap_err();
    assert!(failure.message.contains("neither"), "{failure:?}");
}

#[test]
fn mounts_in_dockers_notation() {
    let home = Host::new();
    let path = home.path();
    let one = |text: String| mounts(&[], &[text]);
    let source = format!("source={}", path.display());
    for text in ["readonly", "ro", "readonly=true", "ro=1,consistency=cached"] {
        let given = one(format!("type=bind,{source},target=/x,{text}")).unwrap();
        assert_eq!(given.volumes, [host(&path, "/x", true)], "{text}");
    }
    let given = one(format!("type=bind,src={},dst=/x,readonly=false", path.display())).unwrap();
    assert_eq!(given.volumes, [host(&path, "/x", false)]);
    let comma = path.join("with,comma");
    let given = one(format!("\"source={}\",type=bind,destination=/x", comma.display())).unwrap();
    assert_eq!(given.volumes, [host(&comma, "/x", false)]);
    let given = one("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770,ro".into()).unwrap();
    assert_eq!(given.tmpfs, ["/t:size=64m,mode=1770,ro"]);
    assert_eq!(one("type=tmpfs,target=/t".into()).unwrap().tmpfs, ["/t"]);
    assert_eq!(one("target=/own".into()).unwrap().volumes[0].source, VolumeSource::OwnDisk);
    for (bad, why) in [
        (format!("type=bind,{source}"), "no target"),
        ("type=bind,target=/x".into(), "no source"),
        ("type=bind,source=/no/such,target=/x".into(), "No such file"),
        (format!("type=bind,{source},target=x"), "not absolute"),
        (format!("type=bind,{source},target=/x,readonly=maybe"), "readonly: maybe"),
        (format!("type=bind,{source},target=/x,odd=1"), "unexpected key"),
        (format!("type=bind,{source},target=/x,odd"), "key=value"),
        (format!("type=bind,{source},target=/x,tmpfs-size=1"), "type=tmpfs"),
        (format!("type=bind,{source},target=/x,bind-propagation=shared"), "no meaning"),
        (format!("type=npipe,{source},target=/x"), "npipe"),
        ("type=tmpfs,source=/x,target=/x".into(), "no source"),
        ("type=volume,source=data,target=/x".into(), "named volumes"),
        ("type=volume,target=/x,readonly".into(), "readonly"),
        ("type=bind,,target=/x".into(), "commas"),
        ("\"type=bind".into(), "not closed"),
        ("\"type=bind\"x".into(), "closing quote"),
        (String::new(), "commas"),
    ] {
        let failure = one(bad.clone()).unwrap_err();
        assert!(failure.message.contains(why) && failure.hint.is_some(), "{bad}: {failure:?}");
    }
}

#[test]
fn one_volume_for_a_path() {
    let home = Host::new();
    let volume = format!("{}:/x/", home.path().display());
    let failure = mounts(&[volume.clone(), "/y/../x".into()], &[]).unwrap_err();
    assert_eq!(failure.message, "duplicate mount point: /x");
    assert!(mounts(&[volume], &["type=tmpfs,target=/x,tmpfs-size=1m".into()]).is_err());
    let many: Vec<String> = (0..=MAX_VOLUMES).map(|n| format!("/v{n}")).collect();
    assert!(mounts(&many, &[]).unwrap_err().message.contains("at most"));
    assert!(mounts(&many[1..], &[]).is_ok());
}

#[test]
fn what_inspect_says_is_dockers() {
    let home = Host::new();
    let path = home.path();
    let own = Volume { source: VolumeSource::OwnDisk, target: b"/o".into(), read_only: false };
    let volumes = [host(&path, "/x", true), own];
    assert_eq!(binds(&volumes), json!([format!("{}:/x:ro", path.display())]));
    let said = document(&volumes);
    assert_eq!(said[0]["Type"], "bind");
    assert_eq!(said[0]["Source"], path.to_str().unwrap());
    assert_eq!((&said[0]["RW"], &said[1]["RW"]), (&Value::from(false), &Value::from(true)));
    assert_eq!(said[1]["Type"], "volume");
}
