// SPDX-License-Identifier: Apache-2.0
//! `mvm inspect`: VMs, and images where no VM has the name.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::image_inspect;
use super::vm_document::document;
use crate::error::{Failure, Result};
use crate::image::{Error, Store};
use crate::spec::Blueprint;
use crate::state::{Dirs, Found, VmStore};

/// Show all that is known of VMs or images
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Names, IDs or starts of IDs; of images, references too
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// json, or a template such as '{{.State.Status}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Look among these only
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(alias = "container")]
    Vm,
    Image,
}

pub fn run(dirs: &Dirs, args: &InspectArgs) -> Result<u8> {
    let (vms, images) = (VmStore::new(dirs), Store::open(&dirs.data)?);
    let find = |name: &str| -> Result<Value> {
        let vm = match args.kind {
            Some(Kind::Image) => None,
            _ => Some(vms.find(name)),
        };
        match (&vm, args.kind) {
            (Some(Ok(found)), _) => of_vm(found),
            (Some(Err(failure)), Some(Kind::Vm)) => Err(failure.clone()),
            (_, Some(Kind::Image)) => Ok(image_inspect::document(&images.details(name)?)),
            _ => match images.details(name) {
                Ok(details) => Ok(image_inspect::document(&details)),
                Err(error) => Err(nobody(name, vm, &error)),
            },
        }
    };
    image_inspect::show(&args.names, args.format.as_deref(), find)
}

/// It is the name of nothing; what has one like it is the hint.
fn nobody(name: &str, vm: Option<Result<Found>>, image: &Error) -> Failure {
    let of_vm = vm.and_then(|found| found.err()?.hint);
    let near = |hint: &String| hint.starts_with("did you mean");
    let hint = of_vm.filter(near).or_else(|| image.hint().filter(near));
    Failure::new(format!("no VM and no image: {name}"))
        .hint(hint.unwrap_or_else(|| "mvm ps -a and mvm images list what there is".into()))
}

/// The document of a VM, with what is kept of how it was made.
fn of_vm(found: &Found) -> Result<Value> {
    let record = &found.record;
    let blueprint = Blueprint::read(&record.dirs.vm(&record.id))?;
    Ok(document(found, blueprint.as_ref()))
}
