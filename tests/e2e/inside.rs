// SPDX-License-Identifier: Apache-2.0
//! Every way into a running VM, in one boot: what of them may differ between
//! hypervisors. What each can do has tests of its own.

use std::fs;

use crate::{image, need, ready};

#[test]
fn every_way_into_a_vm() {
    let home = need!(ready());
    let work = home.make_volume("work");
    let file = |name: &str| work.join(name).to_str().expect("UTF-8").to_owned();
    let bytes: Vec<u8> =
        (0..2_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(file("there"), &bytes).expect("a file");
    fs::write(file("config"), "injected\n").expect("a file");
    let secret = format!("id=token,src={}", file("config"));
    let inject = format!("{}:/etc/mvm.conf:0640", file("config"));
    home.mvm(["run", "-d", "--name", "box", "--secret", &secret, "--inject", &inject])
        .args([&image("busybox"), "sleep", "1000"])
        .run()
        .status(0);

    let script = "cat /run/secrets/token; cat /etc/mvm.conf; exit 3";
    home.mvm(["exec", "box", "sh", "-c", script]).run().status(3).stdout("injected\ninjected\n");
    home.mvm(["exec", "-i", "box", "cat"]).stdin(bytes.clone()).run().status(0).stdout(&bytes);

    home.mvm(["cp", "-q", &file("there"), "box:/srv"]).run().status(0);
    home.mvm(["cp", "-q", "box:/srv", &file("back")]).run().status(0);
    assert!(fs::read(file("back")).expect("a file") == bytes, "a copy is another");

    home.mvm(["ssh", "box", "id -u; exit 4"]).run().status(4).stdout("0\n");
    home.mvm(["ssh", "-T", "box", "cat"]).stdin(bytes.clone()).run().status(0).stdout(&bytes);

    let script = "echo from the guest | /dev/mvm stream --timeout 60 a";
    let program = home.mvm(["exec", "box", "sh", "-c", script]).spawn();
    home.mvm(["stream", "-t", "60", "box", "a"])
        .stdin("from the host\n")
        .run()
        .status(0)
        .stdout("from the guest\n");
    program.finish().status(0).stdout("from the host\n");

    home.mvm(["top", "box", "-o", "pid,args"]).run().status(0).stdout_has("sleep 1000");
    home.mvm(["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "box"])
        .run()
        .status(0)
        .stdout("box 1\n");
    home.mvm(["rm", "-f", "box"]).run().status(0);
    home.is_quiet();
}
