# SPDX-License-Identifier: Apache-2.0
# Completion of mvm for fish. It asks mvm, which knows its commands, flags and
# names; see src/cli/complete.

function __mvm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l count (math (count $words) + 1)
    set -l lines (command $words[1] __complete $count $words "$current" 2>/dev/null)
    set -q lines[1]; or return
    set -l directive $lines[-1]
    set -e lines[-1]
    set -q lines[1]; and printf '%s\n' $lines
    switch $directive
        case ':files*'
            __fish_complete_path "$current"
        case ':directories*'
            __fish_complete_directories "$current"
    end
end

complete -c mvm -e
complete -c mvm -f -a '(__mvm_complete)'
