// SPDX-License-Identifier: Apache-2.0
//! rmi, tag, inspect, history and prune.

use std::process::Command;

use crate::layout::run;
use crate::{Lab, files, need};

#[test]
fn names_come_and_go_and_the_image_goes_with_the_last() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let (id, inspected) = (lab.id(&name), lab.inspect(&name));
    let digest = inspected["RepoDigests"][0].as_str().unwrap().to_owned();
    let layer = inspected["RootFS"]["Layers"][0].as_str().unwrap().to_owned();

    lab.mvm(&["tag", &name, "app"]).status(0).stdout("");
    lab.mvm(&["tag", &id[..19], "other/app:2"]).status(0).stdout("");
    lab.mvm(&["rmi", "app"]).status(0).stdout("Untagged: app:latest\n");
    lab.mvm(&["rmi", &id]).status(1).one_error("is referenced in 2 repositories");
    lab.mvm(&["image", "rm", "other/app:2"]).status(0).stdout("Untagged: other/app:2\n");
    let gone = format!("Untagged: {name}\nUntagged: {digest}\nDeleted: {id}\nDeleted: {layer}\n");
    lab.mvm(&["rmi", &name]).status(0).stdout(&gone);
    lab.mvm(&["images", "-q"]).status(0).stdout("");
    assert!(files(&lab.data().join("blobs/blobs/sha256")).is_empty());
    assert!(files(&lab.layers()).is_empty());
    lab.mvm(&["rmi", &name]).status(1).one_error("no such image");

    lab.mvm(&["pull", "-q", &name]).status(0);
    // By an ID, by a digest, and what is there beside what is not.
    let output = lab.mvm(&["rmi", "none", &id[7..19]]);
    output.status(1).stdout(&gone).stderr_has("no such image: none");
    lab.mvm(&["pull", "-q", &name]).status(0);
    lab.mvm(&["rmi", &digest]).status(0).stdout(&gone);
    lab.is_well();
}

#[test]
fn what_images_share_goes_with_the_last_of_them() {
    let lab = need!(Lab::new());
    let one = lab.pulled("one", 1, &[("/etc/shared", "s")]);
    // Built on the first, so that its lower layer is the same blob.
    let two = lab.registry.image("two");
    run(Command::new("umoci")
        .args(["tag", "--image"])
        .arg(format!("{}:one", lab.layout.path().display()))
        .arg("two"));
    let file = lab.layout.scratch("more");
    std::fs::write(&file, "more").unwrap();
    run(Command::new("umoci")
        .args(["insert", "--image"])
        .arg(format!("{}:two", lab.layout.path().display()))
        .arg(&file)
        .arg("/etc/more"));
    lab.layout.push("two", &two, &[]);
    lab.mvm(&["pull", "-q", &two]).status(0);
    let layers = lab.inspect(&two)["RootFS"]["Layers"].clone();
    assert_eq!(layers.as_array().unwrap().len(), 2);
    assert_eq!(layers[0], lab.inspect(&one)["RootFS"]["Layers"][0]);
    let output = lab.mvm(&["rmi", &two]);
    output.status(0).stdout_has(layers[1].as_str().unwrap());
    output.stdout_lacks(layers[0].as_str().unwrap());
    lab.is_well();
    let output = lab.mvm(&["rmi", &one]);
    output.status(0).stdout_has(layers[0].as_str().unwrap());
}

#[test]
fn inspect_shows_what_skopeo_shows() {
    let lab = need!(Lab::new());
    let name = lab.pulled("team/app:1.0", 2, &[("/etc/one", "1"), ("/etc/two", "2")]);
    let ours = lab.inspect(&name);
    let config = run(Command::new("skopeo")
        .args(["--insecure-policy", "inspect", "--config", "--raw"])
        .arg(format!("oci:{}:{name}", lab.data().join("blobs").display())));
    let config: serde_json::Value = serde_json::from_slice(&config.stdout).unwrap();
    assert_eq!(ours["Config"], config["config"]);
    assert_eq!(ours["RootFS"]["Layers"], config["rootfs"]["diff_ids"]);
    assert_eq!(ours["Created"], config["created"]);
    assert_eq!(ours["Architecture"], config["architecture"]);
    assert_eq!(ours["Os"], "linux");
    assert_eq!(ours["RepoTags"], serde_json::json!([name]));
    assert_eq!(ours["Config"]["Labels"]["day"], "2");
    let disk = ours["Mvm"]["Layers"][1]["DiskImage"].as_str().unwrap();
    assert!(std::path::Path::new(disk).is_file());

    lab.mvm(&["image", "inspect", "-f", "{{.Config.Cmd}} {{json .Config.Labels}}", &name])
        .status(0)
        .stdout("[/bin/true] {\"day\":\"2\"}\n");
    let format = "{{index .RepoTags 0}}{{range .RootFS.Layers}} {{len .}}{{end}}";
    lab.mvm(&["image", "inspect", "-f", format, &name]).stdout(format!("{name} 71 71\n"));
    let output = lab.mvm(&["image", "inspect", "none", &name]);
    output.status(1).stderr_has("no such image: none");
    assert_eq!(output.json()[0]["Id"], ours["Id"]);
    lab.mvm(&["image", "inspect", "-f", "{{.None}}", &name]).status(1).one_error("no field .None");

    let output = lab.mvm(&["image", "history", "--format", "{{.ID}} {{.CreatedBy}}", &name]);
    let steps = output.status(0).stdout_text();
    assert!(steps.starts_with(&ours["Id"].as_str().unwrap()[7..19]), "{steps}");
    assert!(steps.contains("<missing> umoci"), "{steps}");
}

#[test]
fn where_nothing_is_nothing_is_done() {
    let home = crate::support::Home::new();
    home.mvm(["images"]).run().status(0).stdout("REPOSITORY   TAG   IMAGE ID   CREATED   SIZE\n");
    home.mvm(["image", "verify"]).run().status(0).stdout("");
    home.mvm(["system", "check"]).run().status(0).stdout("all is well\n");
    for prune in [["image", "prune", "-f"], ["system", "prune", "-f"]] {
        let output = home.mvm(prune).run();
        output.status(0).stdout("Total reclaimed space: 0B\n").stderr_lacks("warning");
    }
    home.mvm(["rmi", "none"]).run().status(1).one_error("no such image: none");
    home.mvm(["tag", "none", "x"]).run().status(1).one_error("no such image: none");
    assert!(files(&home.path().join("data")).is_empty(), "looking makes nothing");
}

#[test]
fn prune_asks_and_takes_what_has_no_name() {
    let lab = need!(Lab::new());
    let name = lab.pulled("app:1", 1, &[("/etc/one", "1")]);
    let old = lab.id(&name);
    let layer = lab.inspect(&name)["RootFS"]["Layers"][0].as_str().unwrap().to_owned();
    let digest = lab.inspect(&name)["RepoDigests"][0].as_str().unwrap().to_owned();
    let moved = lab.pulled("app:2", 2, &[("/etc/two", "2")]);
    lab.mvm(&["tag", &moved, &name]).status(0);
    let question = "WARNING! This will remove all dangling images.\n\
                    Are you sure you want to continue? [y/N] ";
    for (answer, force) in [("n\n", false), ("", false)] {
        assert!(!force);
        let output = lab.home.mvm(["image", "prune"]).stdin(answer).run();
        output.status(0).stdout(format!("{question}Total reclaimed space: 0B\n"));
    }
    assert_eq!(lab.listed().len(), 3);
    lab.mvm(&["image", "prune", "-f", "--filter", "until=2023-12-31"]).status(0);
    lab.mvm(&["image", "prune", "-f", "--filter", "label=day=2"]).status(0);
    assert_eq!(lab.listed().len(), 3);
    let output = lab.home.mvm(["image", "prune"]).stdin("y\n").run();
    let list = format!("Deleted Images:\nuntagged: {digest}\ndeleted: {old}\ndeleted: {layer}\n\n");
    output.status(0).stdout_has(&format!("{question}{list}Total reclaimed space: "));
    assert_eq!(lab.listed().len(), 2);
    lab.mvm(&["image", "prune", "-f"]).status(0).stdout("Total reclaimed space: 0B\n");
    lab.mvm(&["image", "prune", "-a", "-f"]).status(0).stdout_has(&format!("untagged: {name}\n"));
    assert!(lab.listed().is_empty());
    lab.is_well();
}
