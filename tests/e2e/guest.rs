// SPDX-License-Identifier: Apache-2.0
//! Guests and hypervisors that fail: one error each, and nothing left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Home, Mvm, initramfs, tiny_kernel};
use crate::{image, is_libkrun, need, ready, sh, skip};

/// Seconds a guest gets to dial in these tests.
const SOON: &str = "10";

/// `mvm run` of a VM that will not come up.
fn boot<'home>(home: &'home Home, options: &[&str]) -> Mvm<'home> {
    let options = [&["--boot-timeout", SOON], options].concat();
    sh(home, &options, "true").timeout(Duration::from_secs(60))
}

#[test]
fn a_kernel_that_crashes_at_once() {
    let home = need!(ready());
    let kernel = home.path().join("crash");
    // ud2 with no IDT: a triple fault.
    tiny_kernel(&kernel, &[0x0f, 0x0b]);
    boot(&home, &["--kernel", kernel.to_str().unwrap()]).run().fails_with("guest");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn a_guest_that_never_dials() {
    let home = need!(ready());
    let kernel = home.path().join("hang");
    // cli; hlt; jmp to the hlt
    tiny_kernel(&kernel, &[0xfa, 0xf4, 0xeb, 0xfd]);
    let output = boot(&home, &["--kernel", kernel.to_str().unwrap()]).run();
    output.fails_with("guest");
    assert!(output.elapsed > Duration::from_secs(9), "gave up after {:?}", output.elapsed);
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn a_kernel_that_panics_is_quoted() {
    let home = need!(ready());
    let broken = home.path().join("initramfs");
    need!(initramfs(&broken, "exit 1"));
    let output = boot(&home, &[]).env("MVM_INITRAMFS", &broken).run();
    output.fails_with("guest").stderr_has("Attempted to kill init");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn a_guest_that_sends_garbage() {
    if is_libkrun() {
        skip!("needs QEMU: a busybox opens its serial ports, and no vsock");
    }
    let home = need!(ready());
    let broken = home.path().join("initramfs");
    let script = "/bin/busybox mount -t devtmpfs dev /dev
        for p in /dev/vport*; do /bin/busybox cat /dev/urandom >$p & done
        while :; do /bin/busybox sleep 1; done";
    need!(initramfs(&broken, script));
    boot(&home, &[]).env("MVM_INITRAMFS", &broken).run().fails_with("no hello");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn no_kernel_and_no_elf_are_refused() {
    let home = need!(ready());
    let text = home.path().join("text");
    fs::write(&text, "no kernel\n").unwrap();
    boot(&home, &["--kernel", "/no/such/vmlinux"]).run().fails_with("/no/such/vmlinux");
    boot(&home, &["--kernel", text.to_str().unwrap()]).run().fails_with("kernel");
    assert!(home.vms().is_empty());
}

#[test]
fn no_qemu_and_a_broken_one() {
    if is_libkrun() {
        skip!("needs QEMU");
    }
    let home = need!(ready());
    boot(&home, &[]).env("MVM_QEMU", "/no/such/qemu").run().fails_with("qemu").stderr_has("hint:");
    // Tells its version and fails at the machine.
    let fake = home.path().join("qemu");
    let script = "#!/bin/sh\n\
        case \"$*\" in *-version*|*help*) exec qemu-system-x86_64 \"$@\";; esac\n\
        echo 'this QEMU is broken' >&2\nexit 1\n";
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    boot(&home, &[]).env("MVM_QEMU", &fake).run().status(125).stderr_has("this QEMU is broken");
    home.is_quiet();
    assert!(home.vms().is_empty());
}

#[test]
fn emulation_is_said_once() {
    if is_libkrun() {
        skip!("needs QEMU: libkrun emulates nothing");
    }
    let home = need!(ready());
    let output = home.mvm(["run", "--rm", &image("busybox"), "true"]).run();
    output.status(0);
    let said = output.stderr_text().matches("emulat").count();
    assert_eq!(said, 1, "{}", output.stderr_text());
}
