// SPDX-License-Identifier: Apache-2.0
//! The whole path, driven through the real binary: a registry on loopback,
//! images made by other tools, VMs that boot. Each test has a home of its own
//! and leaves nothing behind.
//!
//! A boot takes seconds where it is emulated, and there are two CPUs for all
//! of them: what one boot can show is shown in one test.

#![cfg(target_os = "linux")]

#[path = "../support/mod.rs"]
mod support;

mod attach;
mod backend;
mod cp;
mod crash;
mod disk;
mod docker;
mod exec;
mod exec_states;
mod exit;
mod faithful;
mod guest;
mod hostile;
mod image;
mod inside;
mod lifecycle;
mod limits;
mod logs;
mod looks;
mod many;
mod network;
mod openssh;
mod options;
mod package;
mod pull;
mod races;
mod rendezvous;
mod restart;
mod secrets;
mod signals;
mod ssh;
mod storm;
mod streams;
mod terminal;
mod tour;
mod volumes;

use support::{Home, Mvm, images, is_libkrun, kernel};

/// A home in which busybox and debian:12 only need to be started.
fn ready() -> Result<Home, String> {
    kernel()?;
    Home::with_images()
}

/// A reference to one of the test images. `ready()` came before.
fn image(name: &str) -> String {
    images().expect("the test images").image(name)
}

/// `mvm run --rm OPTIONS busybox sh -c SCRIPT`.
fn sh<'home>(home: &'home Home, options: &[&str], script: &str) -> Mvm<'home> {
    let busybox = image("busybox");
    home.mvm(["run", "--rm"]).args(options).args([&busybox, "sh", "-c", script])
}

/// As `mvm inspect` calls it.
fn status_of(home: &Home, vm: &str) -> String {
    let output = home.mvm(["inspect", "-f", "{{.State.Status}}", vm]).run();
    output.stdout_text().trim().to_owned()
}
