// SPDX-License-Identifier: Apache-2.0
//! What the guest sees of an image is what `umoci unpack` makes of it, entry by
//! entry: names, types, modes, owners, times, links, attributes, contents.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::Fixtures;
use crate::{need, ready, skip};

const LIST: &str = include_str!("faithful/list.py");
const LAYERS: &str = include_str!("faithful/layers.py");

/// What a program prints; it has to succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Lines by the name they begin with, to be compared and told one by one.
fn by_name(list: &str) -> BTreeMap<&str, &str> {
    list.lines().filter_map(|line| line.split_once("' ")).collect()
}

/// Debian, and over it three layers that say all that a tar can say.
fn image(directory: &Path) -> String {
    let layout = directory.join("oci");
    let fixtures = Fixtures::find().expect("the test images").directory().join("oci");
    printed(Command::new("cp").arg("-a").arg(fixtures).arg(&layout));
    printed(Command::new("python3").args(["-c", LAYERS]).arg(directory));
    let image = format!("{}:debian_12", layout.display());
    for layer in ["lower", "middle", "upper"] {
        let tar = directory.join(layer).with_extension("tar");
        printed(Command::new("umoci").args(["raw", "add-layer", "--image", &image]).arg(tar));
    }
    image
}

#[test]
fn the_guest_sees_what_umoci_unpacks() {
    let home = need!(ready());
    if !rustix::process::geteuid().is_root() {
        skip!("unpacking with owners and devices needs root");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let image = image(directory.path());
    let tree = directory.path().join("tree");
    printed(Command::new("umoci").args(["raw", "unpack", "--image", &image]).arg(&tree));
    let theirs = printed(Command::new("python3").args(["-c", LIST]).arg(&tree));
    // Attributes named trusted.* are shown to SYS_ADMIN only.
    let words = ["run", "--rm", "--cap-add", "SYS_ADMIN", &format!("oci:{image}")];
    let ours = home.mvm(words).args(["python3", "-c", LIST, "/"]).run();
    let ours = ours.status(0).stdout_text();
    let (ours, theirs) = (by_name(&ours), by_name(&theirs));
    let names = ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>();
    let differ = |name: &&&str| ours.get(**name) != theirs.get(**name);
    let different: Vec<String> = names
        .into_iter()
        .filter(differ)
        .map(|name| {
            format!("{name}'\n  guest {:?}\n  umoci {:?}", ours.get(name), theirs.get(name))
        })
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(theirs.len() > 8000, "{} entries are no Debian", theirs.len());
}
