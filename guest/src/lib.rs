// SPDX-License-Identifier: Apache-2.0
//! PID 1 and agent of the guest: dials the host, builds the root file system
//! it is told to, runs processes with Docker's rules and ends the VM. It
//! trusts the host and nothing in the image.
#![cfg(target_os = "linux")]

pub mod agent;
pub mod boot;
pub mod cgroup;
pub mod channel;
pub mod child;
pub mod cmdline;
pub mod dev;
pub mod device_rules;
pub mod devices;
pub mod environment;
pub mod error;
pub mod handover;
pub mod helpers;
pub mod inherit;
pub mod lookup;
pub mod mounts;
pub mod names;
pub mod netlink;
pub mod network;
pub mod plan;
pub mod power;
pub mod privileges;
pub mod process;
pub mod reaper;
pub mod rendezvous;
pub mod root;
pub mod secrets;
pub mod sftp;
pub mod shares;
pub mod ssh;
pub mod stdio;
pub mod streams;
pub mod sysctl;
pub mod terminal;
pub mod tmpfs;
pub mod uevent;
pub mod users;
