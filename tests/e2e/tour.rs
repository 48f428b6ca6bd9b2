// SPDX-License-Identifier: Apache-2.0
//! The README's five lines, run by bash as they stand there. Only where images
//! come from is another: they are here already, under their names.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::kernel;
use crate::{image, need, ready};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// The README's first block for a shell.
fn lines() -> Vec<String> {
    let text = fs::read_to_string(README).expect("the README");
    let (_, rest) = text.split_once("```sh\n").expect("a block for a shell");
    let (block, _) = rest.split_once("```").expect("its end");
    block.lines().map(str::to_owned).collect()
}

#[test]
fn the_readmes_tour_is_as_it_stands() {
    let home = need!(ready());
    let lines = lines();
    assert_eq!(lines.len(), 5);
    let place = home.path().join("tour");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("a-file"), "").unwrap();
    symlink(env!("CARGO_BIN_EXE_mvm"), place.join("mvm")).unwrap();
    let debian = image("debian:12");
    home.mvm(["pull", "-q", &debian]).run().status(0);
    home.mvm(["tag", &debian, "debian:12"]).run().status(0);
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap_or_default());
    let expected = [
        "ID=debian\n",
        "6667b2d1aab6a00caa5aee5af8ad9f1465e567abf1c209d15727d57b3e8f6e5f",
        "",
        "a-file",
        "web\n",
    ];
    for (line, expected) in lines.iter().zip(expected) {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", line])
            .current_dir(&place)
            .env("PATH", &path)
            .env("MVM_HOME", home.path())
            .env("MVM_KERNEL", kernel().expect("a kernel"))
            .stdin(Stdio::null())
            .output()
            .expect("run bash");
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {}\n{stdout}{stderr}", output.status);
        assert!(stdout.contains(expected), "{line}: {expected:?} is not in\n{stdout}{stderr}");
    }
    assert!(home.vms().is_empty());
    home.is_quiet();
}
