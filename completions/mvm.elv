# SPDX-License-Identifier: Apache-2.0
# Completion of mvm for Elvish. It asks mvm, which knows its commands, flags and
# names; see src/cli/complete.

use str

set edit:completion:arg-completer[mvm] = {|@words|
    var lines = [(mvm __complete (count $words) $@words | from-lines)]
    for line $lines {
        if (str:has-prefix $line ':files') {
            edit:complete-filename $words[-1]
        } elif (not (str:has-prefix $line ':')) {
            var value @help = (str:split "\t" $line)
            edit:complex-candidate $value &display=$value' '(str:join ' ' $help)
        }
    }
}
