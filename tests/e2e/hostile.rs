// SPDX-License-Identifier: Apache-2.0
//! Images that lie about themselves or reach out of their root.

use std::path::Path;

use crate::support::{Home, images, kernel};
use crate::{image, need};

/// Refused by name, and nothing of it is an image afterwards.
#[test]
fn what_does_not_hold_what_it_says_is_refused() {
    need!(kernel());
    let registry = need!(images());
    let home = Home::new();
    let cases = [
        ("wrong-diff-id", "diff"),
        ("truncated-layer", "layer"),
        ("truncated-tar", "layer"),
        ("not-a-tar", "layer"),
        ("not-gzip", "layer"),
        ("huge-size", "layer"),
        ("layers-128", "127"),
    ];
    for (case, says) in cases {
        let image = registry.image(&format!("hostile/{case}"));
        home.mvm(["run", "--rm", &image, "true"]).run().fails_with(says);
        home.mvm(["images"]).run().status(0).stdout_lacks(case);
    }
    assert!(home.vms().is_empty());
}

/// Escapes are refused or stay inside; the host's files are neither made nor
/// read.
#[test]
fn nothing_reaches_out_of_the_root() {
    need!(kernel());
    let registry = need!(images());
    let home = Home::new();
    let escaped = Path::new("/tmp/mvm-escape");
    assert!(!escaped.exists(), "{} is there before the test", escaped.display());
    let refused = [
        "dotdot",
        "dotdot-inside",
        "hardlink-escape",
        "hardlink-absolute",
        "hardlink-symlink",
        "whiteout-dotdot",
        "file-under-file",
    ];
    for case in refused {
        let image = registry.image(&format!("hostile/{case}"));
        home.mvm(["run", "--rm", &image, "true"]).run().fails_with("layer");
        assert!(!escaped.exists(), "{case} reached out");
    }
    for case in ["absolute", "symlink-escape", "symlink-absolute"] {
        let image = registry.image(&format!("hostile/{case}"));
        let output = home.mvm(["pull", &image]).run();
        output.stderr_lacks("panicked");
        assert!(!escaped.exists(), "{case} reached out");
    }
    assert!(home.vms().is_empty());
}

/// Where such an entry is taken in, it is the image's own path that it means.
#[test]
fn an_absolute_name_is_inside_the_image() {
    let home = need!(crate::ready());
    let absolute = image("hostile/absolute");
    if home.mvm(["pull", &absolute]).run().stderr_text().contains("error:") {
        return; // refused: as good
    }
    home.mvm(["run", "--rm", &absolute, "cat", "/tmp/mvm-escape"])
        .run()
        .status(0)
        .stdout("escaped\n");
}
