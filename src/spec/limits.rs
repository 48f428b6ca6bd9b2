// SPDX-License-Identifier: Apache-2.0
//! What the workload may use and do, and what surrounds it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {}
