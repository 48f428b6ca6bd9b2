// SPDX-License-Identifier: Apache-2.0
//! Runs an OCI image as a virtual machine with a kernel of its own.
