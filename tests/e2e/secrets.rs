// SPDX-License-Identifier: Apache-2.0
//! `--secret`: in the VM and nowhere else.

use std::fs;
use std::path::Path;

use crate::support::Home;
use crate::{image, need, ready};

const OF_FILE: &[u8] = b"file-s3cret\0\xff\nof the file";
const OF_ENV: &str = "env-s3cret-of-the-variable";

#[test]
fn a_secret_is_in_the_vm_and_nowhere_else() {
    let home = need!(ready());
    let busybox = image("busybox");
    // Beside the home, in which nothing of it may be.
    let elsewhere = tempfile::tempdir().expect("a directory");
    let file = elsewhere.path().join("key");
    fs::write(&file, OF_FILE).expect("write the secret");
    fs::write(elsewhere.path().join("empty"), "").expect("write the secret");
    let of_file = format!("id=key,src={}", file.display());
    let empty = format!("id=empty,src={}", elsewhere.path().join("empty").display());
    let script = "cat /run/secrets/key | sha256sum; cat /run/secrets/env /etc/app/env; echo
        ls -ln /run/secrets /etc/app | awk 'NF > 8 { print $1, $3, $4, $5, $9 }'
        touch /run/secrets/new; rm /run/secrets/key; env | grep -c 's[3]cret'
        grep ' /run/secrets ' /proc/mounts | cut -d, -f1-4; echo end; exec sleep 1000";
    let created = home
        .mvm(["-vv", "create", "--name", "box", "--read-only", "--disk", "256m", "-u", "1000:7"])
        .args(["--secret", &of_file, "--secret", &empty, "--secret", "id=env,env=MVM_TEST_SECRET"])
        .args(["--secret", "id=other,env=MVM_TEST_SECRET,target=/etc/app/env,uid=5,mode=0444"])
        .args([&busybox, "sh", "-c", script])
        .run();
    created.status(0);
    // It is read at each start, and who starts has to have it.
    home.mvm(["start", "box"]).run().status(1).one_error("MVM_TEST_SECRET is not set");
    home.mvm(["-vv", "start", "box"])
        .env("MVM_TEST_SECRET", OF_ENV)
        .run()
        .status(0)
        .stderr_lacks("s3cret");
    let began = std::time::Instant::now();
    let said = loop {
        let said = home.mvm(["logs", "box"]).run().stdout_text();
        if said.contains("end\n") {
            break said;
        }
        assert!(began.elapsed().as_secs() < 60, "{said}");
    };
    let (sum, rest) = said.split_once('\n').expect("lines");
    assert_eq!(sum, format!("{}  -", sha256(&file)));
    assert_eq!(
        rest,
        format!(
            "{OF_ENV}{OF_ENV}\n\
             -r--r--r-- 5 7 {n} env\n\
             -r-------- 1000 7 0 empty\n-r-------- 1000 7 {n} env\n-r-------- 1000 7 {f} key\n\
             0\ntmpfs /run/secrets tmpfs ro,nosuid,nodev,noexec\nend\n",
            n = OF_ENV.len(),
            f = OF_FILE.len()
        )
    );
    // Its own words, which it chose to write, are in the log.
    is_nowhere(&home);
    let inspected = home.mvm(["inspect", "box"]).run();
    inspected
        .status(0)
        .stdout_has("MVM_TEST_SECRET")
        .stdout_has("/etc/app/env")
        .stdout_lacks("s3cret");

    // A restart that would not have it does not stop the VM.
    home.mvm(["restart", "-t", "0", "box"]).run().status(1).one_error("MVM_TEST_SECRET is not set");
    home.mvm(["ps", "--format", "{{.Names}}"]).run().stdout("box\n");
    let another = home.mvm(["restart", "-t", "0", "box"]).env("MVM_TEST_SECRET", "changed").run();
    another.status(0);
    home.mvm(["exec", "box", "cat", "/run/secrets/env"]).run().stdout("changed");
    home.mvm(["rm", "-f", "box"]).run().status(0);

    let wrong = home.mvm(["run", "--rm", "--secret", "id=../x,env=HOME", &busybox, "true"]).run();
    wrong.fails_with("an id is a file's name");
    fs::write(&file, vec![b'x'; (1 << 20) + 1]).expect("write the secret");
    let huge = home.mvm(["run", "--rm", "--secret", &of_file, &busybox, "true"]).run();
    huge.fails_with("more than 1 MiB");
    assert!(home.vms().is_empty());
}

fn sha256(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().expect("run sha256sum");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}

/// In no file of the home but logs of output, and in no process's arguments or
/// environment.
fn is_nowhere(home: &Home) {
    let found = std::process::Command::new("grep")
        .args(["-raFl", "s3cret", "--exclude=output-*.log"])
        .arg(home.path())
        .output()
        .expect("run grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
    let holds = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"s3cret");
    let processes = home.processes();
    assert!(processes.len() >= 2, "{processes:?}");
    for process in processes {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{}/{file}", process.pid);
            assert!(!holds(&fs::read(&path).unwrap_or_default()), "in {path}: {process:?}");
        }
    }
}
