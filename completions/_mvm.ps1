
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
            [CompletionResult]::new('create', 'create', [CompletionResultType]::ParameterValue, 'Create a VM from an image, to be started later')
            [CompletionResult]::new('start', 'start', [CompletionResultType]::ParameterValue, 'Start VMs that do not run, with the disks that they have')
            [CompletionResult]::new('restart', 'restart', [CompletionResultType]::ParameterValue, 'Stop VMs and start them again')
            [CompletionResult]::new('exec', 'exec', [CompletionResultType]::ParameterValue, 'Run another command in a running VM')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry, or take one from a directory or an archive')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'Push an image to a registry')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Log in to a registry')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Log out from a registry')
            [CompletionResult]::new('images', 'images', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('rmi', 'rmi', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('tag', 'tag', [CompletionResultType]::ParameterValue, 'Give an image another name')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'Show how an image was built')
            [CompletionResult]::new('image', 'image', [CompletionResultType]::ParameterValue, 'Manage images')
            [CompletionResult]::new('system', 'system', [CompletionResultType]::ParameterValue, 'Manage what mvm keeps on this machine')
            [CompletionResult]::new('load', 'load', [CompletionResultType]::ParameterValue, 'Load images from an archive (docker save, or a tar of an OCI layout)')
            [CompletionResult]::new('save', 'save', [CompletionResultType]::ParameterValue, 'Save images to an archive')
            [CompletionResult]::new('ps', 'ps', [CompletionResultType]::ParameterValue, 'List VMs')
            [CompletionResult]::new('logs', 'logs', [CompletionResultType]::ParameterValue, 'Show what the command of a VM has written')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'Give a VM another name')
            [CompletionResult]::new('attach', 'attach', [CompletionResultType]::ParameterValue, 'Take stdin, stdout and stderr of a running VM''s command')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop running VMs')
            [CompletionResult]::new('kill', 'kill', [CompletionResultType]::ParameterValue, 'Send a signal to the commands of running VMs')
            [CompletionResult]::new('wait', 'wait', [CompletionResultType]::ParameterValue, 'Wait until VMs end, and print their exit codes')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show all that is known of VMs or images')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove VMs and their disks')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this host and say how to fix what is wrong')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;run' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Take only these streams of the command; stdin too with -i')
            [CompletionResult]::new('--attach', '--attach', [CompletionResultType]::ParameterName, 'Take only these streams of the command; stdin too with -i')
            [CompletionResult]::new('--sig-proxy', '--sig-proxy', [CompletionResultType]::ParameterName, 'Pass signals on to the command; else they end this one alone')
            [CompletionResult]::new('--detach-keys', '--detach-keys', [CompletionResultType]::ParameterName, 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]')
            [CompletionResult]::new('--cidfile', '--cidfile', [CompletionResultType]::ParameterName, 'Write the VM''s ID to a file')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to')
            [CompletionResult]::new('--volume', '--volume', [CompletionResultType]::ParameterName, 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to')
            [CompletionResult]::new('--mount', '--mount', [CompletionResultType]::ParameterName, 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm')
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
            [CompletionResult]::new('--stop-signal', '--stop-signal', [CompletionResultType]::ParameterName, 'Signal with which `mvm stop` asks the command to end')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Seconds that `mvm stop` gives it then, -1 for ever')
            [CompletionResult]::new('--boot-timeout', '--boot-timeout', [CompletionResultType]::ParameterName, 'Seconds that the guest may take to boot [default: 30; emulated: 180]')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]')
            [CompletionResult]::new('--pids-limit', '--pids-limit', [CompletionResultType]::ParameterName, 'Processes and threads there can be, -1 for as many as fit')
            [CompletionResult]::new('--ulimit', '--ulimit', [CompletionResultType]::ParameterName, 'Limit of setrlimit(2), -1 for none: nofile=1024:4096')
            [CompletionResult]::new('--shm-size', '--shm-size', [CompletionResultType]::ParameterName, 'Size of /dev/shm in bytes, or with a unit [default: 64m]')
            [CompletionResult]::new('--tmpfs', '--tmpfs', [CompletionResultType]::ParameterName, 'Mount a file system in memory: /run:size=10m,mode=755,exec')
            [CompletionResult]::new('--add-host', '--add-host', [CompletionResultType]::ParameterName, 'Line of /etc/hosts; host-gateway is the host''s address')
            [CompletionResult]::new('--dns', '--dns', [CompletionResultType]::ParameterName, 'Name server, in place of the network''s')
            [CompletionResult]::new('--dns-search', '--dns-search', [CompletionResultType]::ParameterName, 'Domain to look names up in, "." for none')
            [CompletionResult]::new('--dns-option', '--dns-option', [CompletionResultType]::ParameterName, 'Option of resolv.conf(5)')
            [CompletionResult]::new('--dns-opt', '--dns-opt', [CompletionResultType]::ParameterName, 'Option of resolv.conf(5)')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set variables from a file, a NAME[=VALUE] a line; -e wins')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Label the VM')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Label the VM')
            [CompletionResult]::new('--label-file', '--label-file', [CompletionResultType]::ParameterName, 'Label the VM from a file, a NAME[=VALUE] a line')
            [CompletionResult]::new('--group-add', '--group-add', [CompletionResultType]::ParameterName, 'Further group of the command, name or number')
            [CompletionResult]::new('--sysctl', '--sysctl', [CompletionResultType]::ParameterName, 'Set a parameter of the VM''s kernel')
            [CompletionResult]::new('--cap-add', '--cap-add', [CompletionResultType]::ParameterName, 'Give the command a capability, or ALL')
            [CompletionResult]::new('--cap-drop', '--cap-drop', [CompletionResultType]::ParameterName, 'Take a capability from the command, or ALL')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Device of the VM''s kernel: /dev/fuse, /dev/net/tun')
            [CompletionResult]::new('--security-opt', '--security-opt', [CompletionResultType]::ParameterName, 'no-new-privileges[=false], systempaths=unconfined')
            [CompletionResult]::new('--device-cgroup-rule', '--device-cgroup-rule', [CompletionResultType]::ParameterName, 'device-cgroup-rule')
            [CompletionResult]::new('--storage-opt', '--storage-opt', [CompletionResultType]::ParameterName, 'storage-opt')
            [CompletionResult]::new('--gpus', '--gpus', [CompletionResultType]::ParameterName, 'gpus')
            [CompletionResult]::new('--ipc', '--ipc', [CompletionResultType]::ParameterName, 'ipc')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'pid')
            [CompletionResult]::new('--uts', '--uts', [CompletionResultType]::ParameterName, 'uts')
            [CompletionResult]::new('--userns', '--userns', [CompletionResultType]::ParameterName, 'userns')
            [CompletionResult]::new('--cgroupns', '--cgroupns', [CompletionResultType]::ParameterName, 'cgroupns')
            [CompletionResult]::new('--cgroup-parent', '--cgroup-parent', [CompletionResultType]::ParameterName, 'cgroup-parent')
            [CompletionResult]::new('--memory-swap', '--memory-swap', [CompletionResultType]::ParameterName, 'memory-swap')
            [CompletionResult]::new('--memory-swappiness', '--memory-swappiness', [CompletionResultType]::ParameterName, 'memory-swappiness')
            [CompletionResult]::new('--memory-reservation', '--memory-reservation', [CompletionResultType]::ParameterName, 'memory-reservation')
            [CompletionResult]::new('--oom-score-adj', '--oom-score-adj', [CompletionResultType]::ParameterName, 'oom-score-adj')
            [CompletionResult]::new('--cpu-shares', '--cpu-shares', [CompletionResultType]::ParameterName, 'cpu-shares')
            [CompletionResult]::new('--cpu-period', '--cpu-period', [CompletionResultType]::ParameterName, 'cpu-period')
            [CompletionResult]::new('--cpu-quota', '--cpu-quota', [CompletionResultType]::ParameterName, 'cpu-quota')
            [CompletionResult]::new('--cpuset-cpus', '--cpuset-cpus', [CompletionResultType]::ParameterName, 'cpuset-cpus')
            [CompletionResult]::new('--cpuset-mems', '--cpuset-mems', [CompletionResultType]::ParameterName, 'cpuset-mems')
            [CompletionResult]::new('--blkio-weight', '--blkio-weight', [CompletionResultType]::ParameterName, 'blkio-weight')
            [CompletionResult]::new('--runtime', '--runtime', [CompletionResultType]::ParameterName, 'runtime')
            [CompletionResult]::new('--isolation', '--isolation', [CompletionResultType]::ParameterName, 'isolation')
            [CompletionResult]::new('--log-driver', '--log-driver', [CompletionResultType]::ParameterName, 'Whether the output is kept for `mvm logs`')
            [CompletionResult]::new('--log-opt', '--log-opt', [CompletionResultType]::ParameterName, 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Run in the background and print the VM''s ID')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Run in the background and print the VM''s ID')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('--interactive', '--interactive', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('--tty', '--tty', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('--rm', '--rm', [CompletionResultType]::ParameterName, 'Remove the VM when it ends, however it ends')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--read-only', '--read-only', [CompletionResultType]::ParameterName, 'Make the root read-only')
            [CompletionResult]::new('--privileged', '--privileged', [CompletionResultType]::ParameterName, 'Let the command do all that the VM can do')
            [CompletionResult]::new('--init', '--init', [CompletionResultType]::ParameterName, 'Accepted: the first process of a VM always reaps orphans')
            [CompletionResult]::new('--oom-kill-disable', '--oom-kill-disable', [CompletionResultType]::ParameterName, 'oom-kill-disable')
            break
        }
        'mvm;create' {
            [CompletionResult]::new('--cidfile', '--cidfile', [CompletionResultType]::ParameterName, 'Write the VM''s ID to a file')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to')
            [CompletionResult]::new('--volume', '--volume', [CompletionResultType]::ParameterName, 'Share a directory or a file: -v /on/host:/in/vm[:ro]; alone, a path in the VM that can be written to')
            [CompletionResult]::new('--mount', '--mount', [CompletionResultType]::ParameterName, 'The same in words: type=bind,source=/on/host,target=/in/vm[,readonly], or type=tmpfs,target=/in/vm')
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
            [CompletionResult]::new('--stop-signal', '--stop-signal', [CompletionResultType]::ParameterName, 'Signal with which `mvm stop` asks the command to end')
            [CompletionResult]::new('--stop-timeout', '--stop-timeout', [CompletionResultType]::ParameterName, 'Seconds that `mvm stop` gives it then, -1 for ever')
            [CompletionResult]::new('--boot-timeout', '--boot-timeout', [CompletionResultType]::ParameterName, 'Seconds that the guest may take to boot [default: 30; emulated: 180]')
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Hypervisor (also: MVM_BACKEND, config.toml) [default: auto]')
            [CompletionResult]::new('--pids-limit', '--pids-limit', [CompletionResultType]::ParameterName, 'Processes and threads there can be, -1 for as many as fit')
            [CompletionResult]::new('--ulimit', '--ulimit', [CompletionResultType]::ParameterName, 'Limit of setrlimit(2), -1 for none: nofile=1024:4096')
            [CompletionResult]::new('--shm-size', '--shm-size', [CompletionResultType]::ParameterName, 'Size of /dev/shm in bytes, or with a unit [default: 64m]')
            [CompletionResult]::new('--tmpfs', '--tmpfs', [CompletionResultType]::ParameterName, 'Mount a file system in memory: /run:size=10m,mode=755,exec')
            [CompletionResult]::new('--add-host', '--add-host', [CompletionResultType]::ParameterName, 'Line of /etc/hosts; host-gateway is the host''s address')
            [CompletionResult]::new('--dns', '--dns', [CompletionResultType]::ParameterName, 'Name server, in place of the network''s')
            [CompletionResult]::new('--dns-search', '--dns-search', [CompletionResultType]::ParameterName, 'Domain to look names up in, "." for none')
            [CompletionResult]::new('--dns-option', '--dns-option', [CompletionResultType]::ParameterName, 'Option of resolv.conf(5)')
            [CompletionResult]::new('--dns-opt', '--dns-opt', [CompletionResultType]::ParameterName, 'Option of resolv.conf(5)')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set variables from a file, a NAME[=VALUE] a line; -e wins')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Label the VM')
            [CompletionResult]::new('--label', '--label', [CompletionResultType]::ParameterName, 'Label the VM')
            [CompletionResult]::new('--label-file', '--label-file', [CompletionResultType]::ParameterName, 'Label the VM from a file, a NAME[=VALUE] a line')
            [CompletionResult]::new('--group-add', '--group-add', [CompletionResultType]::ParameterName, 'Further group of the command, name or number')
            [CompletionResult]::new('--sysctl', '--sysctl', [CompletionResultType]::ParameterName, 'Set a parameter of the VM''s kernel')
            [CompletionResult]::new('--cap-add', '--cap-add', [CompletionResultType]::ParameterName, 'Give the command a capability, or ALL')
            [CompletionResult]::new('--cap-drop', '--cap-drop', [CompletionResultType]::ParameterName, 'Take a capability from the command, or ALL')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Device of the VM''s kernel: /dev/fuse, /dev/net/tun')
            [CompletionResult]::new('--security-opt', '--security-opt', [CompletionResultType]::ParameterName, 'no-new-privileges[=false], systempaths=unconfined')
            [CompletionResult]::new('--device-cgroup-rule', '--device-cgroup-rule', [CompletionResultType]::ParameterName, 'device-cgroup-rule')
            [CompletionResult]::new('--storage-opt', '--storage-opt', [CompletionResultType]::ParameterName, 'storage-opt')
            [CompletionResult]::new('--gpus', '--gpus', [CompletionResultType]::ParameterName, 'gpus')
            [CompletionResult]::new('--ipc', '--ipc', [CompletionResultType]::ParameterName, 'ipc')
            [CompletionResult]::new('--pid', '--pid', [CompletionResultType]::ParameterName, 'pid')
            [CompletionResult]::new('--uts', '--uts', [CompletionResultType]::ParameterName, 'uts')
            [CompletionResult]::new('--userns', '--userns', [CompletionResultType]::ParameterName, 'userns')
            [CompletionResult]::new('--cgroupns', '--cgroupns', [CompletionResultType]::ParameterName, 'cgroupns')
            [CompletionResult]::new('--cgroup-parent', '--cgroup-parent', [CompletionResultType]::ParameterName, 'cgroup-parent')
            [CompletionResult]::new('--memory-swap', '--memory-swap', [CompletionResultType]::ParameterName, 'memory-swap')
            [CompletionResult]::new('--memory-swappiness', '--memory-swappiness', [CompletionResultType]::ParameterName, 'memory-swappiness')
            [CompletionResult]::new('--memory-reservation', '--memory-reservation', [CompletionResultType]::ParameterName, 'memory-reservation')
            [CompletionResult]::new('--oom-score-adj', '--oom-score-adj', [CompletionResultType]::ParameterName, 'oom-score-adj')
            [CompletionResult]::new('--cpu-shares', '--cpu-shares', [CompletionResultType]::ParameterName, 'cpu-shares')
            [CompletionResult]::new('--cpu-period', '--cpu-period', [CompletionResultType]::ParameterName, 'cpu-period')
            [CompletionResult]::new('--cpu-quota', '--cpu-quota', [CompletionResultType]::ParameterName, 'cpu-quota')
            [CompletionResult]::new('--cpuset-cpus', '--cpuset-cpus', [CompletionResultType]::ParameterName, 'cpuset-cpus')
            [CompletionResult]::new('--cpuset-mems', '--cpuset-mems', [CompletionResultType]::ParameterName, 'cpuset-mems')
            [CompletionResult]::new('--blkio-weight', '--blkio-weight', [CompletionResultType]::ParameterName, 'blkio-weight')
            [CompletionResult]::new('--runtime', '--runtime', [CompletionResultType]::ParameterName, 'runtime')
            [CompletionResult]::new('--isolation', '--isolation', [CompletionResultType]::ParameterName, 'isolation')
            [CompletionResult]::new('--log-driver', '--log-driver', [CompletionResultType]::ParameterName, 'Whether the output is kept for `mvm logs`')
            [CompletionResult]::new('--log-opt', '--log-opt', [CompletionResultType]::ParameterName, 'How much of it: max-size=SIZE of a file, max-file=NUMBER of them')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('--interactive', '--interactive', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('--tty', '--tty', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('--rm', '--rm', [CompletionResultType]::ParameterName, 'Remove the VM when it ends, however it ends')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Do not show how the pull goes on')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--read-only', '--read-only', [CompletionResultType]::ParameterName, 'Make the root read-only')
            [CompletionResult]::new('--privileged', '--privileged', [CompletionResultType]::ParameterName, 'Let the command do all that the VM can do')
            [CompletionResult]::new('--init', '--init', [CompletionResultType]::ParameterName, 'Accepted: the first process of a VM always reaps orphans')
            [CompletionResult]::new('--oom-kill-disable', '--oom-kill-disable', [CompletionResultType]::ParameterName, 'oom-kill-disable')
            break
        }
        'mvm;start' {
            [CompletionResult]::new('--detach-keys', '--detach-keys', [CompletionResultType]::ParameterName, 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Stay, show its output, pass on signals, and exit with its status')
            [CompletionResult]::new('--attach', '--attach', [CompletionResultType]::ParameterName, 'Stay, show its output, pass on signals, and exit with its status')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Pass stdin to the command, if it was made with -i; implies --attach')
            [CompletionResult]::new('--interactive', '--interactive', [CompletionResultType]::ParameterName, 'Pass stdin to the command, if it was made with -i; implies --attach')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;restart' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Signal to send first [default: --stop-signal, the image''s, or TERM]')
            [CompletionResult]::new('--signal', '--signal', [CompletionResultType]::ParameterName, 'Signal to send first [default: --stop-signal, the image''s, or TERM]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;exec' {
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Set a variable; with no value, to what it is here')
            [CompletionResult]::new('--env-file', '--env-file', [CompletionResultType]::ParameterName, 'Set variables from a file, a NAME[=VALUE] a line; -e wins')
            [CompletionResult]::new('-w', '-w', [CompletionResultType]::ParameterName, 'Working directory in the VM [default: the VM''s command''s]')
            [CompletionResult]::new('--workdir', '--workdir', [CompletionResultType]::ParameterName, 'Working directory in the VM [default: the VM''s command''s]')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'User, and group: names or numbers [default: the VM''s command''s]')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'User, and group: names or numbers [default: the VM''s command''s]')
            [CompletionResult]::new('--detach-keys', '--detach-keys', [CompletionResultType]::ParameterName, 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('--interactive', '--interactive', [CompletionResultType]::ParameterName, 'Pass stdin to the command')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('--tty', '--tty', [CompletionResultType]::ParameterName, 'Give the command a terminal')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Leave the command when it has started')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Leave the command when it has started')
            [CompletionResult]::new('--privileged', '--privileged', [CompletionResultType]::ParameterName, 'With every right in the VM')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;pull' {
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from an image for several: linux/amd64')
            [CompletionResult]::new('--disable-content-trust', '--disable-content-trust', [CompletionResultType]::ParameterName, 'Docker''s; there is no content trust to disable')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Docker''s; images are pulled one at a time')
            [CompletionResult]::new('--all-tags', '--all-tags', [CompletionResultType]::ParameterName, 'Docker''s; images are pulled one at a time')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;push' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Push all tags of the repository')
            [CompletionResult]::new('--all-tags', '--all-tags', [CompletionResultType]::ParameterName, 'Push all tags of the repository')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;login' {
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'User name')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User name')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Docker''s flag, refused: other users see command lines')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Docker''s flag, refused: other users see command lines')
            [CompletionResult]::new('--password-stdin', '--password-stdin', [CompletionResultType]::ParameterName, 'Read the password from stdin')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;logout' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;images' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--digests', '--digests', [CompletionResultType]::ParameterName, 'Show digests')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;rmi' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;tag' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;history' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry, or take one from a directory or an archive')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'Push an image to a registry')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('remove', 'remove', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('tag', 'tag', [CompletionResultType]::ParameterValue, 'Give an image another name')
            [CompletionResult]::new('load', 'load', [CompletionResultType]::ParameterValue, 'Load images from an archive (docker save, or a tar of an OCI layout)')
            [CompletionResult]::new('save', 'save', [CompletionResultType]::ParameterValue, 'Save images to an archive')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show all that is known of images')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'Show how an image was built')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove images without a name, and what ended pulls left')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that images are what they were when they came')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;image;ls' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--digests', '--digests', [CompletionResultType]::ParameterName, 'Show digests')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;list' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'dangling=BOOL, reference=PATTERN, label=KEY[=VALUE], before=IMAGE, since=IMAGE or until=TIME')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All images; there are none that only others are built on')
            [CompletionResult]::new('--digests', '--digests', [CompletionResultType]::ParameterName, 'Show digests')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;pull' {
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from an image for several: linux/amd64')
            [CompletionResult]::new('--disable-content-trust', '--disable-content-trust', [CompletionResultType]::ParameterName, 'Docker''s; there is no content trust to disable')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Docker''s; images are pulled one at a time')
            [CompletionResult]::new('--all-tags', '--all-tags', [CompletionResultType]::ParameterName, 'Docker''s; images are pulled one at a time')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;push' {
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Push all tags of the repository')
            [CompletionResult]::new('--all-tags', '--all-tags', [CompletionResultType]::ParameterName, 'Push all tags of the repository')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the reference only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;rm' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;image;remove' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Also one that a VM uses, or that has names in several repositories')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;image;tag' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;load' {
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Read this file, in place of stdin (-)')
            [CompletionResult]::new('--input', '--input', [CompletionResultType]::ParameterName, 'Read this file, in place of stdin (-)')
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from images for several: linux/amd64')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Do not show how it goes on')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Do not show how it goes on')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;save' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write to this file, in place of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write to this file, in place of stdout')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Kind of archive; without this, one that readers of both kinds take')
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform that the images must be for: linux/amd64')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;inspect' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'json, or a template such as ''{{.Config.Env}}''')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'json, or a template such as ''{{.Config.Env}}''')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;history' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;prune' {
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'All images that no VM uses')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All images that no VM uses')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;image;verify' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print what was found')
            [CompletionResult]::new('--repair', '--repair', [CompletionResultType]::ParameterName, 'Make anew what can be made, and remove what cannot, so that `mvm pull` fetches it')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;image;help' {
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry, or take one from a directory or an archive')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'Push an image to a registry')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('tag', 'tag', [CompletionResultType]::ParameterValue, 'Give an image another name')
            [CompletionResult]::new('load', 'load', [CompletionResultType]::ParameterValue, 'Load images from an archive (docker save, or a tar of an OCI layout)')
            [CompletionResult]::new('save', 'save', [CompletionResultType]::ParameterValue, 'Save images to an archive')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show all that is known of images')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'Show how an image was built')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove images without a name, and what ended pulls left')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that images are what they were when they came')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;image;help;ls' {
            break
        }
        'mvm;image;help;pull' {
            break
        }
        'mvm;image;help;push' {
            break
        }
        'mvm;image;help;rm' {
            break
        }
        'mvm;image;help;tag' {
            break
        }
        'mvm;image;help;load' {
            break
        }
        'mvm;image;help;save' {
            break
        }
        'mvm;image;help;inspect' {
            break
        }
        'mvm;image;help;history' {
            break
        }
        'mvm;image;help;prune' {
            break
        }
        'mvm;image;help;verify' {
            break
        }
        'mvm;image;help;help' {
            break
        }
        'mvm;system' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check all that mvm keeps: images, their index, what VMs need')
            [CompletionResult]::new('df', 'df', [CompletionResultType]::ParameterValue, 'Show how much of the disk is used')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove stopped VMs, images without a name, and what ended pulls left')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;system;check' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print what was found')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mvm;system;df' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json, or a template such as ''{{.Type}}: {{.Size}}''')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'By image and VM')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'By image and VM')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;system;prune' {
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'All images that no VM uses, not only those without a name')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All images that no VM uses, not only those without a name')
            [CompletionResult]::new('--volumes', '--volumes', [CompletionResultType]::ParameterName, 'Refused: mvm has no named volumes')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;system;help' {
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check all that mvm keeps: images, their index, what VMs need')
            [CompletionResult]::new('df', 'df', [CompletionResultType]::ParameterValue, 'Show how much of the disk is used')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove stopped VMs, images without a name, and what ended pulls left')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;system;help;check' {
            break
        }
        'mvm;system;help;df' {
            break
        }
        'mvm;system;help;prune' {
            break
        }
        'mvm;system;help;help' {
            break
        }
        'mvm;load' {
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Read this file, in place of stdin (-)')
            [CompletionResult]::new('--input', '--input', [CompletionResultType]::ParameterName, 'Read this file, in place of stdin (-)')
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform to choose from images for several: linux/amd64')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Do not show how it goes on')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Do not show how it goes on')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;save' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write to this file, in place of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write to this file, in place of stdout')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Kind of archive; without this, one that readers of both kinds take')
            [CompletionResult]::new('--platform', '--platform', [CompletionResultType]::ParameterName, 'Platform that the images must be for: linux/amd64')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;ps' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE, ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME')
            [CompletionResult]::new('--filter', '--filter', [CompletionResultType]::ParameterName, 'id=REGEX, name=REGEX, label=KEY[=VALUE], status=STATUS, exited=CODE, ancestor=IMAGE, before=VM, since=VM, volume=PATH or network=NAME')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Only so many, the youngest, running or not')
            [CompletionResult]::new('--last', '--last', [CompletionResultType]::ParameterName, 'Only so many, the youngest, running or not')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'table, json (one object for each line), or a template such as ''{{.ID}}''')
            [CompletionResult]::new('-a', '-a', [CompletionResultType]::ParameterName, 'Also those that do not run')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Also those that do not run')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Only the youngest, running or not')
            [CompletionResult]::new('--latest', '--latest', [CompletionResultType]::ParameterName, 'Only the youngest, running or not')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Show how much of the disk they use')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Show how much of the disk they use')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'IDs only')
            [CompletionResult]::new('--no-trunc', '--no-trunc', [CompletionResultType]::ParameterName, 'Do not shorten what is long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;logs' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Lines from then on: 10m (ago), 2026-01-31T12:00:00Z, seconds since 1970')
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Lines until then')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'So many lines from the end, or all')
            [CompletionResult]::new('--tail', '--tail', [CompletionResultType]::ParameterName, 'So many lines from the end, or all')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Go on as the command writes, until it ends')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on as the command writes, until it ends')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Put its time before each line')
            [CompletionResult]::new('--timestamps', '--timestamps', [CompletionResultType]::ParameterName, 'Put its time before each line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;rename' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;attach' {
            [CompletionResult]::new('--sig-proxy', '--sig-proxy', [CompletionResultType]::ParameterName, 'Pass signals on to the command; else they end this one alone')
            [CompletionResult]::new('--detach-keys', '--detach-keys', [CompletionResultType]::ParameterName, 'Keys that leave a terminal [default: config.toml, or ctrl-p,ctrl-q]')
            [CompletionResult]::new('--no-stdin', '--no-stdin', [CompletionResultType]::ParameterName, 'Leave its stdin alone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;stop' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Signal to send first [default: --stop-signal, the image''s, or TERM]')
            [CompletionResult]::new('--signal', '--signal', [CompletionResultType]::ParameterName, 'Signal to send first [default: --stop-signal, the image''s, or TERM]')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Seconds until SIGKILL follows, -1 for ever [default: --stop-timeout or 10]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;kill' {
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Name or number of the signal')
            [CompletionResult]::new('--signal', '--signal', [CompletionResultType]::ParameterName, 'Name or number of the signal')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;wait' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;inspect' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'json, or a template such as ''{{.State.Status}}''')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'json, or a template such as ''{{.State.Status}}''')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'Look among these only')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'mvm;rm' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Kill those that run')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Kill those that run')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Remove its volumes, too: those without a name always go with their VM')
            [CompletionResult]::new('--volumes', '--volumes', [CompletionResultType]::ParameterName, 'Remove its volumes, too: those without a name always go with their VM')
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
            [CompletionResult]::new('create', 'create', [CompletionResultType]::ParameterValue, 'Create a VM from an image, to be started later')
            [CompletionResult]::new('start', 'start', [CompletionResultType]::ParameterValue, 'Start VMs that do not run, with the disks that they have')
            [CompletionResult]::new('restart', 'restart', [CompletionResultType]::ParameterValue, 'Stop VMs and start them again')
            [CompletionResult]::new('exec', 'exec', [CompletionResultType]::ParameterValue, 'Run another command in a running VM')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry, or take one from a directory or an archive')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'Push an image to a registry')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Log in to a registry')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Log out from a registry')
            [CompletionResult]::new('images', 'images', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('rmi', 'rmi', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('tag', 'tag', [CompletionResultType]::ParameterValue, 'Give an image another name')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'Show how an image was built')
            [CompletionResult]::new('image', 'image', [CompletionResultType]::ParameterValue, 'Manage images')
            [CompletionResult]::new('system', 'system', [CompletionResultType]::ParameterValue, 'Manage what mvm keeps on this machine')
            [CompletionResult]::new('load', 'load', [CompletionResultType]::ParameterValue, 'Load images from an archive (docker save, or a tar of an OCI layout)')
            [CompletionResult]::new('save', 'save', [CompletionResultType]::ParameterValue, 'Save images to an archive')
            [CompletionResult]::new('ps', 'ps', [CompletionResultType]::ParameterValue, 'List VMs')
            [CompletionResult]::new('logs', 'logs', [CompletionResultType]::ParameterValue, 'Show what the command of a VM has written')
            [CompletionResult]::new('rename', 'rename', [CompletionResultType]::ParameterValue, 'Give a VM another name')
            [CompletionResult]::new('attach', 'attach', [CompletionResultType]::ParameterValue, 'Take stdin, stdout and stderr of a running VM''s command')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop running VMs')
            [CompletionResult]::new('kill', 'kill', [CompletionResultType]::ParameterValue, 'Send a signal to the commands of running VMs')
            [CompletionResult]::new('wait', 'wait', [CompletionResultType]::ParameterValue, 'Wait until VMs end, and print their exit codes')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show all that is known of VMs or images')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove VMs and their disks')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this host and say how to fix what is wrong')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mvm;help;run' {
            break
        }
        'mvm;help;create' {
            break
        }
        'mvm;help;start' {
            break
        }
        'mvm;help;restart' {
            break
        }
        'mvm;help;exec' {
            break
        }
        'mvm;help;pull' {
            break
        }
        'mvm;help;push' {
            break
        }
        'mvm;help;login' {
            break
        }
        'mvm;help;logout' {
            break
        }
        'mvm;help;images' {
            break
        }
        'mvm;help;rmi' {
            break
        }
        'mvm;help;tag' {
            break
        }
        'mvm;help;history' {
            break
        }
        'mvm;help;image' {
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'List images')
            [CompletionResult]::new('pull', 'pull', [CompletionResultType]::ParameterValue, 'Pull an image from a registry, or take one from a directory or an archive')
            [CompletionResult]::new('push', 'push', [CompletionResultType]::ParameterValue, 'Push an image to a registry')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove images')
            [CompletionResult]::new('tag', 'tag', [CompletionResultType]::ParameterValue, 'Give an image another name')
            [CompletionResult]::new('load', 'load', [CompletionResultType]::ParameterValue, 'Load images from an archive (docker save, or a tar of an OCI layout)')
            [CompletionResult]::new('save', 'save', [CompletionResultType]::ParameterValue, 'Save images to an archive')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Show all that is known of images')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'Show how an image was built')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove images without a name, and what ended pulls left')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that images are what they were when they came')
            break
        }
        'mvm;help;image;ls' {
            break
        }
        'mvm;help;image;pull' {
            break
        }
        'mvm;help;image;push' {
            break
        }
        'mvm;help;image;rm' {
            break
        }
        'mvm;help;image;tag' {
            break
        }
        'mvm;help;image;load' {
            break
        }
        'mvm;help;image;save' {
            break
        }
        'mvm;help;image;inspect' {
            break
        }
        'mvm;help;image;history' {
            break
        }
        'mvm;help;image;prune' {
            break
        }
        'mvm;help;image;verify' {
            break
        }
        'mvm;help;system' {
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check all that mvm keeps: images, their index, what VMs need')
            [CompletionResult]::new('df', 'df', [CompletionResultType]::ParameterValue, 'Show how much of the disk is used')
            [CompletionResult]::new('prune', 'prune', [CompletionResultType]::ParameterValue, 'Remove stopped VMs, images without a name, and what ended pulls left')
            break
        }
        'mvm;help;system;check' {
            break
        }
        'mvm;help;system;df' {
            break
        }
        'mvm;help;system;prune' {
            break
        }
        'mvm;help;load' {
            break
        }
        'mvm;help;save' {
            break
        }
        'mvm;help;ps' {
            break
        }
        'mvm;help;logs' {
            break
        }
        'mvm;help;rename' {
            break
        }
        'mvm;help;attach' {
            break
        }
        'mvm;help;stop' {
            break
        }
        'mvm;help;kill' {
            break
        }
        'mvm;help;wait' {
            break
        }
        'mvm;help;inspect' {
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
