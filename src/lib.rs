// SPDX-License-Identifier: Apache-2.0
//! Runs an OCI image as a virtual machine with a kernel of its own.

pub mod error;
pub mod hypervisor;
pub mod rootfs;
pub mod state;
pub mod sys;
