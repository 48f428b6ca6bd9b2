// SPDX-License-Identifier: Apache-2.0
//! From the process's start to the VM's.

use std::io::Read;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::krun;
use crate::machine::Config;

/// Cap on the document: 127 layers in the longest of paths are half of it.
const MAX_CONFIG: u64 = 2 << 20;

/// Becomes the VM that standard input describes, after `confine` took away
/// what it does not need. To be called while the process has one thread and
/// owns no descriptor but the standard ones and those that its configuration
/// names. Returns only if there is no VM: the reason.
pub fn main<P: DeserializeOwned>(confine: impl FnOnce(P) -> Result<(), String>) -> String {
    let config: Config<P> = match read() {
        Ok(config) => config,
        Err(error) => return format!("cannot read what to run: {error}"),
    };
    #[cfg(not(target_os = "linux"))]
    end_with_the_monitor();
    krun::start_log();
    match krun::Context::new(&config.machine) {
        Ok(context) => match confine(config.policy) {
            Ok(()) => context.enter(),
            Err(error) => format!("cannot confine the VMM: {error}"),
        },
        Err(error) => error,
    }
}

fn read<P: DeserializeOwned>() -> Result<Config<P>, serde_json::Error> {
    // The writer keeps its end open: the document ends where its JSON does.
    let input = std::io::stdin().lock().take(MAX_CONFIG);
    Config::deserialize(&mut serde_json::Deserializer::from_reader(input))
}

/// Where the kernel does not end a child with its parent, the end of standard
/// input, which the monitor holds, does.
#[cfg(not(target_os = "linux"))]
fn end_with_the_monitor() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}
