// SPDX-License-Identifier: Apache-2.0
//! Directories of the host in the guest.

use std::fs;

use crate::{need, ready, sh};

#[test]
fn volumes_are_shared_and_read_only_means_it() {
    let home = need!(ready());
    let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A comma and a colon-free odd name: they pass through QEMU's options.
    let open_path = open.path().join("with,comma and space");
    fs::create_dir(&open_path).unwrap();
    fs::write(open_path.join("from-host"), "host\n").unwrap();
    fs::write(closed.path().join("kept"), "kept\n").unwrap();
    let rw = format!("{}:/rw", open_path.display());
    let ro = format!("{}:/deep/er/ro:ro", closed.path().display());
    let script = "cat /rw/from-host /deep/er/ro/kept
        mkdir /rw/made; echo guest >/rw/made/from-guest; mv /rw/from-host /rw/moved
        echo no >/deep/er/ro/kept || echo refused
        mount -o remount,rw /deep/er/ro 2>/dev/null; umount /deep/er/ro 2>/dev/null
        tag=$(cat /sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag | tr '\\0' '\\n')
        for t in $tag; do mkdir -p /again/$t; mount -t 9p -o trans=virtio,version=9p2000.L,rw $t /again/$t; done
        for d in /deep/er/ro /again/*; do [ -f $d/kept ] && { echo no >$d/kept; rm $d/kept; touch $d/new; }; done
        exit 0";
    let output = sh(&home, &["-v", &rw, "-v", &ro], script).run();
    output.status(0).stdout("host\nkept\nrefused\n");
    assert_eq!(fs::read_to_string(open_path.join("made/from-guest")).unwrap(), "guest\n");
    assert!(open_path.join("moved").exists() && !open_path.join("from-host").exists());
    assert_eq!(fs::read_to_string(closed.path().join("kept")).unwrap(), "kept\n");
    assert_eq!(fs::read_dir(closed.path()).unwrap().count(), 1);
}

#[test]
fn a_volume_that_cannot_be_is_refused_before_the_boot() {
    let home = need!(ready());
    for volume in ["/no/such/directory:/v", "/tmp:relative", "/tmp:/v:odd", "/tmp:/"] {
        sh(&home, &["-v", volume], "true").run().status(125).stdout("").stderr_has("error:");
    }
    assert!(home.vms().is_empty());
}
