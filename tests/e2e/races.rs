// SPDX-License-Identifier: Apache-2.0
//! Commands that race on one VM: each race has ends that are written down
//! (docs/SPECIFICATION.md), and no other.
