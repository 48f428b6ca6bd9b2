// SPDX-License-Identifier: Apache-2.0
//! The only crate that may touch libkrun. Empty until that backend lands.
