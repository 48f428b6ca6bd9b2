
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mvm' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mvm'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mvm' {
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say where the time goes; twice: say what is done')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say where the time goes; twice: say what is done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Create a VM from an image and run a command in it')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry')
            [CompletionResult]::new('images', 'images', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('ps', 'ps', [CompletionResultType]::ParameterValue, 'List VMs')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop running VMs')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove VMs and their disks')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this host and say how to fix what is wrong')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;run' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Share a directory: -v /on/host:/in/vm[:ro]')
            [CompletionResult]::new('--volume', '--volume', [CompletionResultType]::ParameterName, 'Share a directory: -v /on/host:/in/vm[:ro]')
            [CompletionResult]::new('-w', '-w', [CompletionResultType]::ParameterName, 'Working directory in the VM')
            [CompletionResult]::new('--workdir', '--workdir', [CompletionResultType]::ParameterName, 'Working directory in the VM')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'User, and group, of the command: names or numbers')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'User, and group, of the command: names or numbers')
            [CompletionResult]::new('--entrypoint', '--entrypoint', [CompletionResultType]::ParameterName, 'Program to run in place of the image''s entrypoint')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Name of the VM, in place of a random one')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Host name in the VM, in place of its short ID')
            [CompletionResult]::new('--hostname', '--hostname', [CompletionResultType]::ParameterName, 'Host name in the VM, in place of its short ID')
            [CompletionResult]::new('--cpus', '--cpus', [CompletionResultType]::ParameterName, 'CPUs; a fraction limits the command''s share of the last one')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'RAM in MiB, or with a unit: 512m, 2g')
            [CompletionResult]::new('--memory', '--memory', [CompletionResultType]::ParameterName, 'RAM in MiB, or with a unit: 512m, 2g')
            [CompletionResult]::new('--disk', '--disk', [CompletionResultType]::ParameterName, 'Largest size of the VM''s own disk; takes space only as it fills')
            [CompletionResult]::new('--network', '--network', [CompletionResultType]::ParameterName, 'Network: none, or user (reaches out, and the host''s loopback too)')
            [CompletionResult]::new('--pull', '--pull', [CompletionResultType]::ParameterName, 'When to pull the image')
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from an image for several: linux/amd64')
            [CompletionResult]::new('--kernel', '--kernel', [CompletionResultType]::ParameterName, 'Guest kernel to boot (also: MVM_KERNEL)')
            [CompletionResult]::new('--boot-timeout', '--boot-timeout', [CompletionResultType]::ParameterName, 'Seconds that the guest may take to boot [default: 30; emulated: 180]')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('--interactive', '--interactive', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('--rm', '--rm', [CompletionResultType]::ParameterName, 'Remove the VM when it ends, however it ends')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;pull' {
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from an image for several: linux/amd64')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;images' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'format')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten IDs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;ps' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'format')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Also those that do not run')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Also those that do not run')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten IDs and commands')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;stop' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Seconds from SIGTERM to SIGKILL')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Seconds from SIGTERM to SIGKILL')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;rm' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Kill those that run')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Kill those that run')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;doctor' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print the findings')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Hypervisor to ask about (also: MVM_BACKEND, config.toml) [default: auto]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Create a VM from an image and run a command in it')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry')
            [CompletionResult]::new('images', 'images', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('ps', 'ps', [CompletionResultType]::ParameterValue, 'List VMs')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop running VMs')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove VMs and their disks')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this host and say how to fix what is wrong')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;help;run' {
            break
        }
        'mvm;help;pull' {
            break
        }
        'mvm;help;images' {
            break
        }
        'mvm;help;ps' {
            break
        }
        'mvm;help;stop' {
            break
        }
        'mvm;help;rm' {
            break
        }
        'mvm;help;doctor' {
            break
        }
        'mvm;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
