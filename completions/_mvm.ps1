# SPDX-License-Identifier: Apache-2.0
# Completion of mvm for PowerShell. It asks mvm, which knows its commands, flags
# and names; see src/cli/complete.

Register-ArgumentCompleter -Native -CommandName 'mvm' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.ToString().Trim("'", '"') })
    # An empty last word is passed as one that is missing.
    $count = $words.Count
    if ($wordToComplete -eq '') {
        $count += 1
    }
    elseif ($words.Count -gt 1) {
        $words[-1] = $wordToComplete.Trim("'", '"')
    }
    $lines = @(& $words[0] '__complete' $count @words 2>$null)
    foreach ($line in $lines) {
        # Where names of files are wanted PowerShell offers them by itself, if
        # nothing else is.
        if ($line.StartsWith(':')) { continue }
        $value, $help = $line -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
    }
}
