// SPDX-License-Identifier: Apache-2.0
//! Runs an OCI image as a virtual machine with a kernel of its own.

pub mod agent;
pub mod cli;
pub mod collect;
pub mod config;
pub mod confine;
pub mod copy;
pub mod error;
pub mod hypervisor;
pub mod image;
pub mod initramfs;
pub mod kernel;
pub mod logs;
pub mod monitor;
pub mod net;
pub mod pipeline;
pub mod preflight;
pub mod rootfs;
pub mod similar;
pub mod spec;
pub mod ssh;
pub mod state;
pub mod sys;
pub mod terminal;

#[cfg(test)]
#[path = "../tests/support/skip.rs"]
mod skip;
