// SPDX-License-Identifier: Apache-2.0
//! `mvm top`: the processes of a VM, asked of a helper in it, shown as ps(1)
//! does.

mod columns;
mod options;

use std::ffi::OsString;

use clap::Args;
use mvm_proto::ProcessList;
use protobuf::Message;
use tokio::io::AsyncReadExt;

use super::exec::check_runs;
use super::format::table;
use crate::error::{Failure, Result};
use crate::monitor::{self, ExecRequest};
use crate::state::{Dirs, Record, VmStore};
use options::Options;

/// Bytes that the guest may say.
const MAX_LIST: u64 = 64 << 20;

/// Show the processes of a VM
///
/// Needs no ps in the image. What mvm itself runs in the VM is not shown.
#[derive(Debug, Args)]
#[command(override_usage = "mvm top VM [PS OPTIONS]")]
pub struct TopArgs {
    /// Name, ID or start of an ID; then options of ps: -ef, aux, -o pid,user,args
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "VM")]
    words: Vec<OsString>,
}

pub async fn run(dirs: &Dirs, args: TopArgs) -> Result<u8> {
    let words: Vec<String> =
        args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (vm, rest) = words.split_first().ok_or_else(|| Failure::new("no VM is given"))?;
    let options = Options::parse(rest)?;
    let found = VmStore::new(dirs).find(vm)?;
    check_runs(&found)?;
    let list = list(&found.record).await?;
    let header: Vec<&str> = options.columns.iter().map(|column| column.title.as_str()).collect();
    let rows: Vec<Vec<String>> = options
        .sorted(&list)
        .map(|process| options.columns.iter().map(|c| c.kind.show(process, &list)).collect())
        .collect();
    let text = table(&header, &rows);
    // As ps, no line for titles that are all empty.
    let text = match header.iter().all(|title| title.is_empty()) {
        true => text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default(),
        false => text,
    };
    super::print(&text).map(|()| 0)
}

async fn list(record: &Record) -> Result<ProcessList> {
    let request = ExecRequest::helper("top", &[]);
    let mut helper = monitor::helper(record, request).await?;
    let mut bytes = Vec::new();
    let reading = (&mut helper.stdout).take(MAX_LIST).read_to_end(&mut bytes).await;
    let end = helper.end().await?;
    let failed = |why: String| Failure::cannot(format!("list processes of {}", record.name), why);
    match (end.code, reading) {
        (0, Ok(_)) => ProcessList::parse_from_bytes(&bytes).map_err(|e| failed(e.to_string())),
        (0, Err(e)) => Err(failed(e.to_string())),
        (_, _) => Err(failed(super::format::printable(&end.words))),
    }
}
