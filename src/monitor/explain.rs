// SPDX-License-Identifier: Apache-2.0
//! Why a VM did not come up or broke down, from what its console and its VMM
//! said, in words that tell what to do.

use crate::error::Failure;
use crate::hypervisor::{VmEnd, last_lines};

/// Console lines that are shown.
const LINES: usize = 6;

/// A boot that did not reach the agent.
pub fn boot(why: &str, console: &str) -> Failure {
    let panic = console.lines().find(|line| line.contains("Kernel panic"));
    let message = match panic {
        Some(line) => {
            let line = last_lines(line, 1).concat();
            format!("the VM did not boot: the guest kernel panicked: {}", after_timestamp(&line))
        }
        None => format!("the VM did not boot: {why}"),
    };
    with_console(message, console).hint(match panic {
        Some(_) => "is this mvm's own kernel? --kernel and MVM_KERNEL choose another; mvm doctor",
        None => "mvm doctor checks this host; --boot-timeout gives a slow one more time",
    })
}

/// A VM that ended while its workload ran.
pub fn crash(end: &VmEnd, console: &str) -> Failure {
    let message = match end {
        VmEnd::Crashed(what) => format!("the VM failed: {what}"),
        VmEnd::Guest => "the guest ended the VM before the command had ended".to_owned(),
        VmEnd::Stopped => "the VM was stopped".to_owned(),
    };
    with_console(message, console)
}

fn with_console(mut message: String, console: &str) -> Failure {
    let lines = last_lines(console, LINES);
    if !lines.is_empty() {
        message.push_str("\nlast lines of its console:");
    }
    for line in lines {
        message.push_str("\n  ");
        message.push_str(&line);
    }
    Failure::new(message)
}

/// "[    1.234567] text" → "text".
fn after_timestamp(line: &str) -> &str {
    match line.split_once("] ") {
        Some((stamp, text)) if stamp.starts_with('[') => text,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_named() {
        let console =
            "[    0.5] hello\n[    1.2] Kernel panic - not syncing: No init\r\n[ 1.3] x\n";
        let failure = boot("silence", console);
        assert!(
            failure.message.starts_with(
                "the VM did not boot: the guest kernel panicked: Kernel panic - not syncing: No init\n"
            ),
            "{failure}"
        );
        assert!(failure.message.ends_with("\n  [ 1.3] x"), "{failure}");
        assert_eq!(boot("it was silent", "").message, "the VM did not boot: it was silent");
    }
}
