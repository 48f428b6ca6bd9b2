// SPDX-License-Identifier: Apache-2.0
//! What is in an image is in the guest, with owners, modes, links and all.

use crate::support::images;
use crate::{image, need, ready};

/// Each command with what it prints, so that a difference names its cause.
fn check(home: &crate::support::Home, options: &[&str], cases: &[(&str, &str)]) {
    let script: String = cases
        .iter()
        .map(|(command, _)| {
            format!("printf '# %s\\n' '{}'; {command}\n", command.replace('\'', "\""))
        })
        .collect();
    let expected: String = cases
        .iter()
        .map(|(command, prints)| format!("# {}\n{prints}\n", command.replace('\'', "\"")))
        .collect();
    home.mvm(["run", "--rm"])
        .args(options)
        .args([&image("debian:12"), "sh", "-c", &format!("exec 2>&1\n{script}")])
        .run()
        .status(0)
        .stdout(expected);
}

#[test]
fn debian_is_whole() {
    let home = need!(ready());
    check(
        &home,
        &[],
        &[
            (". /etc/os-release; echo $ID $VERSION_ID", "debian 12"),
            ("python3 -c 'print(6 * 7)'", "42"),
            ("cat /etc/motd", "mvm test image"),
            ("stat -c %U:%G:%a /home/app/own /opt/secret", "app:app:644\nroot:root:600"),
            ("stat -c '%F %a' /tmp /opt/id-setuid", "directory 1777\nregular file 4755"),
            // Whiteouts of a file and a directory, an opaque directory, and a
            // file and a directory that changed places.
            ("ls -A /opt/gone /opt/gone-directory 2>&1 | grep -c 'No such'", "2"),
            ("ls -A /opt/opaque", "new"),
            ("cat /opt/file-to-directory/inside /opt/file-to-directory.d", "inside\nnow a file"),
            ("find / -xdev -name '.wh.*' | wc -l", "0"),
            // Links, times, nodes, attributes.
            ("stat -c %h /opt/links/one /opt/links/two", "2\n2"),
            ("readlink /opt/links/absolute; cat /opt/links/relative", "/opt/links/one\nlinked"),
            ("TZ=UTC stat -c %y /opt/links/one", TIME),
            (
                "stat -c '%F %t,%T' /opt/null; test -p /opt/fifo && echo fifo",
                "character special file 1,3\nfifo",
            ),
            (
                "python3 -c 'import os; print(os.getxattr(\"/opt/links/two\", \"user.mvm\").decode())'",
                "kept",
            ),
            // The root is writable, and a lower file can be replaced and removed.
            (
                "echo mine >/etc/motd; cat /etc/motd; rm /opt/secret; ls /opt/secret 2>&1 | grep -c 'No such'",
                "mine\n1",
            ),
            ("dpkg --verify coreutils bash; echo $?", "0"),
        ],
    );
}

/// umoci rounds to whole seconds.
const TIME: &str = "2001-02-03 04:05:07.000000000 +0000";

#[test]
fn users_groups_and_privileges_hold() {
    let home = need!(ready());
    check(
        &home,
        &["-u", "app", "--cap-add=DAC_READ_SEARCH", "--security-opt=no-new-privileges=false"],
        &[
            ("id -un; id -gn; id -Gn | xargs -n 1 | sort | xargs", "app\napp\napp audio extra"),
            ("echo $HOME", "/home/app"),
            ("cat /opt/secret 2>/dev/null || echo refused", "refused"),
            // The file capability lets this copy of cat read everything.
            ("/opt/cat-all /opt/secret", "for root only"),
            ("/opt/id-setuid -u", "0"),
            (
                "touch /home/app/new && echo written; touch /etc/new 2>/dev/null || echo refused",
                "written\nrefused",
            ),
        ],
    );
    // Nobody who is not root gets more rights than that, by default.
    check(
        &home,
        &["-u", "app"],
        &[
            ("/opt/cat-all /opt/secret 2>/dev/null || echo refused", "refused"),
            ("/opt/id-setuid -u", "1000"),
        ],
    );
}

#[test]
fn as_many_layers_as_docker_allows() {
    let home = need!(ready());
    let output = home
        .mvm(["run", "--rm", &image("layers:127"), "sh", "-c", "cat /layers/top; ls /layers"])
        .run();
    output.status(0).stdout("127\ntop\n");
}

#[test]
fn an_index_gives_this_machines_platform() {
    let home = need!(ready());
    let output =
        home.mvm(["run", "--rm", &image("multi"), "sh", "-c", "echo $PLATFORM; uname -m"]).run();
    output.status(0).stdout("amd64\nx86_64\n");
    let foreign = need!(images()).image("foreign");
    home.mvm(["run", "--rm", &foreign, "true"]).run().fails_with("amd64");
}

#[test]
fn an_image_without_layers_has_no_commands() {
    let home = need!(ready());
    home.mvm(["run", "--rm", &image("hostile/scratch"), "/bin/sh"])
        .run()
        .status(127)
        .one_error("/bin/sh");
    // Nor has it a default one.
    home.mvm(["run", "--rm", &image("hostile/scratch")]).run().fails_with("command");
    assert!(home.vms().is_empty());
}
