// SPDX-License-Identifier: Apache-2.0
//! `mvm completion`: what a shell has to read to complete mvm's command lines.
//! The scripts ask `mvm __complete`.

use clap::{Args, ValueEnum};

use crate::error::Result;

/// Print what makes a shell complete mvm's commands, flags and names
///
/// For bash: source <(mvm completion bash). For zsh: mvm completion zsh into a
/// file _mvm in a directory of $fpath. For fish: mvm completion fish | source.
/// For PowerShell: mvm completion powershell | Out-String | Invoke-Expression
#[derive(Debug, Args)]
pub struct CompletionArgs {
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell", alias = "pwsh")]
    Power,
    Elvish,
}

impl Shell {
    fn script(self) -> &'static str {
        match self {
            Self::Bash => include_str!("../../completions/mvm.bash"),
            Self::Zsh => include_str!("../../completions/_mvm"),
            Self::Fish => include_str!("../../completions/mvm.fish"),
            Self::Power => include_str!("../../completions/_mvm.ps1"),
            Self::Elvish => include_str!("../../completions/mvm.elv"),
        }
    }
}

pub fn run(args: &CompletionArgs) -> Result<u8> {
    super::print(args.shell.script()).map(|()| 0)
}
