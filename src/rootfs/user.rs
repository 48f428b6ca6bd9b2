// SPDX-License-Identifier: Apache-2.0
//! Whom the files of a volume are to belong to in the guest: the workload's
//! user, whom the guest will look up by the same rules in the same files.

use std::path::PathBuf;

use mvm_proto::users::{self, MAX_FILE};

use super::lookup::Layers;
use crate::confine::GuestUser;

/// The user of a workload, `USER[:GROUP]` as Docker has it, in an image of these
/// layers, bottom first. Root if it cannot be told: the guest complains about a
/// user that is not there.
pub fn of_workload(user: &str, layers: &[PathBuf]) -> GuestUser {
    let looked_up = || {
        let layers = Layers::open(layers)?;
        let passwd = layers.read("/etc/passwd", MAX_FILE)?;
        let group = layers.read("/etc/group", MAX_FILE)?;
        Ok::<_, std::io::Error>((passwd, group))
    };
    let (passwd, group) = looked_up().unwrap_or_else(|error| {
        tracing::warn!("cannot read the image's users: {error}");
        Default::default()
    });
    match users::resolve(user, &[], &passwd, &group) {
        Ok(found) => GuestUser { uid: found.uid, gid: found.gid },
        Err(error) => {
            tracing::debug!("the owner of volumes is root in the guest: {error}");
            GuestUser::default()
        }
    }
}
