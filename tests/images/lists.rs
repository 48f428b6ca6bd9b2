// SPDX-License-Identifier: Apache-2.0
//! `mvm images` and `mvm system df`.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{Lab, need, support::Home};

#[test]
fn images_as_docker_lists_them() {
    let lab = need!(Lab::new());
    let old = lab.pulled("team/old:1", 1, &[("/etc/one", "1")]);
    let new = lab.pulled("new", 3, &[("/etc/three", "3")]);
    lab.mvm(&["tag", &old, "mine/app:2.0"]).status(0);
    let repository = |name: &str| name.rsplit_once(':').unwrap().0.to_owned();
    let (old_repository, new_repository) = (repository(&old), new.clone());
    let (old_id, new_id) = (lab.id(&old), lab.id(&new));

    // The youngest first, the pulled before the tagged.
    let names = format!("{new_repository}:latest\n{old}\nmine/app:2.0\n");
    lab.mvm(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).status(0).stdout(&names);
    lab.mvm(&["image", "ls", "-a", "--format", "{{.Repository}}:{{.Tag}}"]).stdout(&names);
    let (short_new, short_old) = (&new_id[7..19], &old_id[7..19]);
    let ids = format!("{short_new}\n{short_old}\n{short_old}\n");
    lab.mvm(&["images", "-q"]).status(0).stdout(ids);
    lab.mvm(&["images", "-q", "--no-trunc", "mine/*"]).status(0).stdout(format!("{old_id}\n"));

    let table = lab.mvm(&["images"]).status(0).stdout_text();
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0], ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    assert_eq!(lines[1][..3], [&new_repository, "latest", short_new]);
    assert!(lines[1][3].ends_with(" ago"), "{table}");
    assert_eq!(lines[3][..3], ["mine/app", "2.0", short_old]);
    let digest = lab.listed()[0]["digest"].as_str().unwrap().to_owned();
    let wide = lab.mvm(&["images", "--digests"]).status(0).stdout_text();
    assert!(wide.lines().next().unwrap().contains("DIGEST"), "{wide}");
    assert!(wide.contains(&digest) && wide.contains("<none>"), "{wide}");

    for (filter, expected) in [
        ("dangling=true", ""),
        ("dangling=false", names.as_str()),
        ("reference=mine/app", "mine/app:2.0\n"),
        ("reference=mine/*:2.?", "mine/app:2.0\n"),
        ("reference=*", ""),
        ("label=day=3", &format!("{new}:latest\n")),
        ("label=none", ""),
        ("until=2024-01-02", &format!("{old}\nmine/app:2.0\n")),
        (&format!("before={new}"), &format!("{old}\nmine/app:2.0\n")),
        (&format!("since={old_repository}:1"), &format!("{new}:latest\n")),
    ] {
        let format = "{{.Repository}}:{{.Tag}}";
        lab.mvm(&["images", "-f", filter, "--format", format]).status(0).stdout(expected);
    }
    let header = lab.mvm(&["images", "--format", r"table {{.ID}}\t{{.CreatedAt}}", "mine/app:2.0"]);
    header.status(0).stdout(format!(
        "IMAGE ID       CREATED AT\n{short_old}   2024-01-01 00:00:00 +0000 UTC\n"
    ));
    lab.mvm(&["images", "-f", "colour=red"]).status(1).one_error("unknown filter");
    lab.mvm(&["images", "--format", "{{.Nope}}"]).status(1).one_error("no field .Nope");
    lab.mvm(&["images", "-f", "before=none"]).status(1).one_error("no such image");
}

#[test]
fn df_adds_up() {
    let lab = need!(Lab::new());
    lab.mvm(&["system", "df"]).status(0).stdout_has("Images   0       0        0B     0B\n");
    let one = lab.pulled("one", 1, &[("/etc/shared", "s")]);
    lab.mvm(&["tag", &one, "again"]).status(0);
    lab.pulled("two", 2, &[("/etc/two", "2")]);
    let text = lab.mvm(&["system", "df", "--format", "json"]).status(0).stdout_text();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["type"], &rows[0]["total"]), (&json!("Images"), &json!(2)));
    assert_eq!(rows[0]["size"], rows[0]["reclaimable"], "no VM uses any");
    let used = std::process::Command::new("du")
        .args(["-sB1"])
        .args([lab.data().join("blobs/blobs"), lab.layers()])
        .output()
        .unwrap();
    let used = String::from_utf8(used.stdout).unwrap();
    let bytes = |line: &str| line.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    let used: u64 = used.lines().map(bytes).sum();
    // du counts the directories, too.
    let size = rows[0]["size"].as_u64().unwrap();
    assert!(size <= used && size + (64 << 10) > used, "{size} of {used}");

    let verbose = lab.mvm(&["system", "df", "-v", "--format", "json"]).status(0).json();
    let images = verbose["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["names"].as_array().unwrap().len(), 2);
    let sum: u64 = images.iter().map(|image| image["size"].as_u64().unwrap()).sum();
    let shared: u64 = images.iter().map(|image| image["shared"].as_u64().unwrap()).sum();
    assert_eq!(size, sum - shared / 2);
    lab.mvm(&["system", "df", "-v"]).status(0).stdout_has("UNIQUE SIZE");
}

/// One file is read, however many images there are.
#[test]
fn a_thousand_images_are_listed_at_once() {
    let home = Home::new();
    let blobs = home.path().join("data/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let digest = |of: String| mvm::image::Digest::of(of.as_bytes()).to_string();
    let entry = |n: u32| {
        let name = format!("registry.example.com/team/service-{n}");
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(format!("manifest {n}")), "size": 1234,
            "platform": {"os": "linux", "architecture": "amd64"},
            "annotations": {
                "org.opencontainers.image.ref.name": format!("{name}:1.{n}"),
                "org.opencontainers.image.created": "2024-01-02T03:04:05Z",
                "dev.mvm.image.id": digest(format!("image {n}")),
                "dev.mvm.image.repository": name,
                "dev.mvm.image.repo-digest": digest(format!("manifest {n}")),
                "dev.mvm.image.size": "123456789",
            }
        })
    };
    let index = json!({"schemaVersion": 2, "manifests": (0..1000).map(entry).collect::<Vec<_>>()});
    std::fs::write(blobs.join("index.json"), index.to_string()).unwrap();
    let begun = Instant::now();
    let text = home.mvm(["images"]).run().status(0).stdout_text();
    let took = begun.elapsed();
    assert_eq!(text.lines().count(), 1001);
    eprintln!("1000 images in {took:?}");
    // An unoptimised program, among other tests; the promise is in the benchmarks.
    assert!(took.as_millis() < 2000, "{took:?}");
    // Changing one is quick, too.
    let begun = Instant::now();
    home.mvm(["tag", "registry.example.com/team/service-7:1.7", "seven"]).run().status(0);
    home.mvm(["rmi", "seven"]).run().status(0).stdout("Untagged: seven:latest\n");
    eprintln!("tag and rmi among 1000 images in {:?}", begun.elapsed());
}
