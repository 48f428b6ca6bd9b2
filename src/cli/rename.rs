// SPDX-License-Identifier: Apache-2.0
//! `mvm rename`

use clap::Args;

use crate::error::Result;
use crate::state::{Dirs, VmStore};

/// Give a VM another name
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Name, ID or start of an ID
    #[arg(value_name = "VM")]
    vm: String,
    /// The name that it is to have
    #[arg(value_name = "NAME")]
    name: String,
}

pub fn run(dirs: &Dirs, args: &RenameArgs) -> Result<u8> {
    let store = VmStore::new(dirs);
    store.rename(&store.find(&args.vm)?, &args.name)?;
    Ok(0)
}
